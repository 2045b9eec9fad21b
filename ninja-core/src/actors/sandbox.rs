//! The sandbox actor: owns isolation, bounds how many processes run at a time, and ends them all when it ends.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use ractor::{Actor, ActorProcessingErr, ActorRef, MessagingErr, RpcReplyPort, concurrency::oneshot};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    roster::{Mailbox, Standing},
    services::Services,
};
use crate::sandbox::{ProcessOutput, ProcessSpec, Sandbox, SandboxError};

/// What the sandbox actor is told.
pub(super) enum SandboxMsg {
    /// Run a process to its end, in a child task.
    Run {
        /// What to run.
        spec: Box<ProcessSpec>,
        /// Stops it.
        cancel: CancellationToken,
        /// What came of it; dropped where the actor ends first.
        reply: RpcReplyPort<Result<ProcessOutput, SandboxError>>,
    },
}

/// The actor.
pub(super) struct SandboxActor {
    pub(super) services: Arc<Services>,
    pub(super) standing: Arc<Standing>,
}

/// Its state: when it is dropped, every process ends.
pub(super) struct SandboxState {
    permits: Arc<Semaphore>,
    alive: CancellationToken,
    _end_all: DropGuard,
}

impl Actor for SandboxActor {
    type Msg = SandboxMsg;
    type State = SandboxState;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<SandboxMsg>, (): ()) -> Result<SandboxState, ActorProcessingErr> {
        let alive = CancellationToken::new();
        let permits = Arc::new(Semaphore::new(self.services.roster.pool().size()));
        Ok(SandboxState { permits, _end_all: alive.clone().drop_guard(), alive })
    }

    async fn handle(
        &self,
        _: ActorRef<SandboxMsg>,
        message: SandboxMsg,
        state: &mut SandboxState,
    ) -> Result<(), ActorProcessingErr> {
        self.standing.took();
        match message {
            SandboxMsg::Run { spec, cancel, reply } => self.run(state, spec, cancel, reply),
        }
        Ok(())
    }
}

impl SandboxActor {
    fn run(
        &self,
        state: &SandboxState,
        spec: Box<ProcessSpec>,
        cancel: CancellationToken,
        reply: RpcReplyPort<Result<ProcessOutput, SandboxError>>,
    ) {
        self.services.failpoints.visit("sandbox.run");
        let (permits, alive, services) = (Arc::clone(&state.permits), state.alive.clone(), Arc::clone(&self.services));
        tokio::spawn(async move {
            let work = async {
                let waits = services.roster.pool().waits();
                // The semaphore is never closed, so the only other way on is a cancellation.
                let permit = tokio::select! {
                    permit = permits.acquire_owned() => permit.ok(),
                    () = cancel.cancelled() => None,
                };
                drop(waits);
                let _runs = permit.as_ref().map(|_| services.roster.pool().runs());
                match permit {
                    Some(_permit) => services.sandbox.run(*spec, cancel).await,
                    None => Err(SandboxError::Failed("cancelled before it started".to_owned())),
                }
            };
            tokio::select! {
                result = work => { reply.send(result).ok(); }
                // Dropping the work kills its processes. It ran beside what ended the actor and is not to blame.
                () = alive.cancelled() => { reply.send(Err(SandboxError::Interrupted { blamed: false })).ok(); }
            }
        });
    }
}

/// How long a call waits for the sandbox actor to be started again, which takes milliseconds.
const RESTART_WAIT: Duration = Duration::from_secs(5);

/// The sandbox as tools see it: a call to whichever sandbox actor lives now.
#[derive(Clone)]
pub(super) struct SandboxHandle {
    actor: Arc<watch::Sender<Option<Mailbox<SandboxMsg>>>>,
    direct: Arc<dyn Sandbox>,
}

impl SandboxHandle {
    pub(super) fn new(direct: Arc<dyn Sandbox>) -> Self {
        Self { actor: Arc::new(watch::Sender::new(None)), direct }
    }

    /// Points the handle at a newly started actor.
    pub(super) fn point_to(&self, actor: Mailbox<SandboxMsg>) {
        self.actor.send_replace(Some(actor));
    }

    /// Runs a process through the actor that lives now. Where that one fails, it returns only when the next one lives: a
    /// call that is made again at once would meet the same dying actor. Dropped, it stops the process, which runs in a
    /// task of the actor's and would not notice otherwise.
    async fn ask(&self, spec: ProcessSpec, cancel: CancellationToken) -> Result<ProcessOutput, SandboxError> {
        let cancel = cancel.child_token();
        let _stop = cancel.clone().drop_guard();
        let mut actors = self.actor.subscribe();
        let (sender, receiver) = oneshot();
        let mut message = SandboxMsg::Run { spec: Box::new(spec), cancel, reply: sender.into() };
        loop {
            let actor = actors.borrow_and_update().clone();
            message = match actor.map(|actor| actor.send_message(message)) {
                Some(Ok(())) => break,
                Some(Err(MessagingErr::SendErr(unsent))) => unsent,
                Some(Err(_)) | None => return Err(SandboxError::Interrupted { blamed: false }),
            };
            next_actor(&mut actors).await?;
        }
        // The actor drops a reply unsent only if it fails while it takes this very message.
        let result = receiver.await.unwrap_or(Err(SandboxError::Interrupted { blamed: true }));
        if let Err(SandboxError::Interrupted { .. }) = result {
            next_actor(&mut actors).await?;
        }
        result
    }
}

async fn next_actor(actors: &mut watch::Receiver<Option<Mailbox<SandboxMsg>>>) -> Result<(), SandboxError> {
    match tokio::time::timeout(RESTART_WAIT, actors.changed()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(SandboxError::Interrupted { blamed: false }),
    }
}

impl Sandbox for SandboxHandle {
    fn name(&self) -> &'static str {
        self.direct.name()
    }

    fn check(&self) -> BoxFuture<'_, Result<String, SandboxError>> {
        self.direct.check()
    }

    fn run<'a>(
        &'a self,
        spec: ProcessSpec,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<ProcessOutput, SandboxError>> {
        Box::pin(self.ask(spec, cancel))
    }
}
