//! The sandbox actor: owns isolation, bounds how many processes run at a time, and ends them all when it ends.

use std::sync::{Arc, PoisonError, RwLock};

use futures::future::BoxFuture;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, concurrency::oneshot};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::services::Services;
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
        let permits = Arc::new(Semaphore::new(self.services.sandboxes_max));
        Ok(SandboxState { permits, _end_all: alive.clone().drop_guard(), alive })
    }

    async fn handle(
        &self,
        _: ActorRef<SandboxMsg>,
        message: SandboxMsg,
        state: &mut SandboxState,
    ) -> Result<(), ActorProcessingErr> {
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
                // The semaphore is never closed, so the only other way on is a cancellation.
                let permit = tokio::select! {
                    permit = permits.acquire_owned() => permit.ok(),
                    () = cancel.cancelled() => None,
                };
                match permit {
                    Some(_permit) => services.sandbox.run(*spec, cancel).await,
                    None => Err(SandboxError::Failed("cancelled before it started".to_owned())),
                }
            };
            tokio::select! {
                result = work => { reply.send(result).ok(); }
                // Dropping the work kills its processes; dropping the reply tells the caller that it was interrupted.
                () = alive.cancelled() => {}
            }
        });
    }
}

/// The sandbox as tools see it: a call to whichever sandbox actor lives now.
#[derive(Clone)]
pub(super) struct SandboxHandle {
    name: &'static str,
    actor: Arc<RwLock<Option<ActorRef<SandboxMsg>>>>,
    direct: Arc<dyn Sandbox>,
}

impl SandboxHandle {
    pub(super) fn new(direct: Arc<dyn Sandbox>) -> Self {
        Self { name: direct.name(), actor: Arc::default(), direct }
    }

    /// Points the handle at a newly started actor.
    pub(super) fn point_to(&self, actor: ActorRef<SandboxMsg>) {
        *self.actor.write().unwrap_or_else(PoisonError::into_inner) = Some(actor);
    }
}

impl Sandbox for SandboxHandle {
    fn name(&self) -> &'static str {
        self.name
    }

    fn check(&self) -> BoxFuture<'_, Result<String, SandboxError>> {
        self.direct.check()
    }

    fn run<'a>(
        &'a self,
        spec: ProcessSpec,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<ProcessOutput, SandboxError>> {
        Box::pin(async move {
            let actor = self.actor.read().unwrap_or_else(PoisonError::into_inner).clone();
            let actor = actor.ok_or(SandboxError::Interrupted)?;
            let (sender, receiver) = oneshot();
            let message = SandboxMsg::Run { spec: Box::new(spec), cancel, reply: sender.into() };
            actor.send_message(message).map_err(|_| SandboxError::Interrupted)?;
            receiver.await.unwrap_or(Err(SandboxError::Interrupted))
        })
    }
}
