//! `ninja run GOAL`: hand a task in, stay with it, fetch what it made.

use std::path::{Path, PathBuf};

use ninja_sdk::{
    Content, Ninja,
    api::{Autonomy, Planning, StepKind, StepSpec, SubmitTask, Task, TaskStatus},
};
use serde_json::{Map, Value};

use super::{
    Exit, Failure, Output, artifacts,
    attend::{Attend, Attended},
    budget::Limits,
    forecast, given,
    interrupt::Interrupt,
    name, report,
};
use crate::{Connector, Need, Resume, Session, format::short};

/// The arguments of `ninja run`.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// What is wanted, in words
    #[arg(required_unless_present_any = ["template", "plan", "resume"])]
    goal: Vec<String>,
    /// The template that makes the plan
    #[arg(long, short, conflicts_with = "plan")]
    template: Option<String>,
    /// A parameter of the template; a value that is JSON is taken as such, any other as text
    #[arg(long = "param", short, value_name = "NAME=VALUE", value_parser = given::parse_param)]
    params: Vec<(String, Value)>,
    /// A file for the task to work on
    #[arg(long = "file", short, value_name = "PATH")]
    files: Vec<PathBuf>,
    /// An explicit plan: a JSON file with `steps`
    #[arg(long, value_name = "FILE.json")]
    plan: Option<PathBuf>,
    /// Who makes the plan of a bare goal: `model`, or `none` to have one agent do it all in one step
    #[arg(long, value_name = "WHO", value_parser = given::parse_planning, conflicts_with_all = ["template", "plan"])]
    planning: Option<Planning>,
    /// The agent that does a bare goal in one step: the name of one, or an agent file
    #[arg(long, value_name = "NAME|FILE.md", conflicts_with_all = ["template", "plan", "planning"])]
    agent: Option<String>,
    /// Show the plan and ask before anything of it is done
    #[arg(long)]
    review: bool,
    /// What must hold at the end: a JSON file with `checks`
    #[arg(long, value_name = "FILE.json")]
    contract: Option<PathBuf>,
    /// The model that answers
    #[arg(long, short, value_name = "PROVIDER/NAME")]
    model: Option<String>,
    #[command(flatten)]
    limits: Limits,
    /// Where the files it makes are put; `ninja-artifacts/TASK` unless said otherwise, nowhere with --json
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Show the plan and what it may cost, and do nothing of it; no model is asked
    #[arg(long, conflicts_with = "resume")]
    dry_run: bool,
    /// Go on with a task that was parked
    #[arg(long, value_name = "TASK", conflicts_with_all = ["goal", "template", "plan", "files", "params"])]
    resume: Option<String>,
    /// Without a daemon, go on with every task that was parked as well
    #[arg(long)]
    resume_all: bool,
    /// Answer every approval with yes; questions and calls in doubt still wait for you
    #[arg(long, short)]
    yes: bool,
    /// Print the task as one line of JSON when it stands still, and nothing else
    #[arg(long)]
    pub(super) json: bool,
}

impl Run {
    /// Returns whether the person agreed beforehand to what would be asked.
    pub fn is_agreed(&self) -> bool {
        self.yes
    }

    /// Returns whether some model is needed and the person named none: a plan without agents needs none.
    pub async fn needs_any_model(&self) -> bool {
        let is_open = self.model.is_none() && self.resume.is_none();
        match &self.plan {
            // A plan that cannot be read is told of when it is submitted.
            Some(path) if is_open => given::read_plan(path).await.is_ok_and(|plan| plan.steps.iter().any(has_agent)),
            _ => is_open,
        }
    }

    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        if self.dry_run {
            return self.foresee(connector, output).await;
        }
        let interrupt = Interrupt::listen()?;
        let request = self.request().await?;
        let resume = self.resume(connector).await?;
        let session = connector.connect(Need::Work { resume }).await?;
        let attended = self.attend(&session, request, resume, output, interrupt).await;
        let exit = match attended {
            Ok((_, Attended::StandsStill(task))) => self.stands_still(&session, output, &task).await,
            Ok((task, Attended::Left)) => return self.left(session, output, &task).await,
            Err(failure) => Err(failure),
        };
        session.close().await;
        exit
    }

    async fn foresee(&self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let request = self.request().await?;
        let session = connector.connect(Need::Store).await?;
        let forecast = match self.with_files(session.ninja(), request).await {
            Ok(request) => session.ninja().forecast(&request).await.map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        session.close().await;
        Ok(forecast::show(&forecast?, output))
    }

    /// Hands the files in. What they are is part of what is asked for.
    async fn with_files(&self, ninja: &Ninja, mut request: SubmitTask) -> Result<SubmitTask, Failure> {
        for path in &self.files {
            request.files.push(upload(ninja, path).await?);
        }
        Ok(request)
    }

    async fn attend(
        &self,
        session: &Session,
        request: SubmitTask,
        resume: Resume,
        output: &Output,
        interrupt: Interrupt,
    ) -> Result<(Task, Attended), Failure> {
        let ninja = session.ninja();
        let task = match resume {
            Resume::Task(id) => ninja.task(id).await?,
            Resume::Nothing | Resume::All => ninja.submit_task(&self.with_files(ninja, request).await?).await?,
        };
        let attended = Attend { ninja, output, interrupt, yes: self.yes }.until_it_ends(&task).await?;
        Ok((task, attended))
    }

    /// Returns what is asked for, without its files.
    async fn request(&self) -> Result<SubmitTask, Failure> {
        let plan = match &self.plan {
            Some(path) => Some(given::read_plan(path).await?),
            None => None,
        };
        let contract = match &self.contract {
            Some(path) => Some(given::read_contract(path).await?),
            None => None,
        };
        let agent = match &self.agent {
            Some(agent) => Some(given::read_agent(agent).await?),
            None => None,
        };
        Ok(SubmitTask {
            goal: self.goal.join(" "),
            template: self.template.clone(),
            params: self.params.iter().cloned().collect::<Map<_, _>>(),
            plan,
            planning: self.planning.unwrap_or_default(),
            agent,
            autonomy: if self.review { Autonomy::Review } else { Autonomy::Full },
            contract,
            files: Vec::new(),
            model: self.model.clone(),
            budget: self.limits.given(),
        })
    }

    async fn resume(&self, connector: &dyn Connector) -> Result<Resume, Failure> {
        let Some(name) = &self.resume else {
            return Ok(if self.resume_all { Resume::All } else { Resume::Nothing });
        };
        if let Ok(id) = name.parse() {
            return Ok(Resume::Task(id));
        }
        let session = connector.connect(Need::Store).await?;
        let id = name::resolve(session.ninja(), name).await;
        session.close().await;
        Ok(Resume::Task(id?))
    }

    /// Fetches the files, reports, and says what to do next.
    async fn stands_still(&self, session: &Session, output: &Output, task: &Task) -> Result<Exit, Failure> {
        let directory = match (&self.out, output.json) {
            (Some(directory), _) => Some(directory.clone()),
            (None, false) => Some(artifacts::default_directory(task)),
            (None, true) => None,
        };
        let saved = match directory {
            Some(directory) if task.status == TaskStatus::Succeeded => {
                artifacts::save_all(session.ninja(), task, &directory).await
            }
            _ => Ok(Vec::new()),
        };
        report::outcome(output, task);
        for path in saved.as_deref().unwrap_or_default() {
            output.say(&format!("  {}", path.display()));
        }
        self.next(session, output, task);
        if let Err(failure) = &saved {
            output.explain(failure);
        }
        if output.json {
            output.json(task);
        }
        Ok(if saved.is_ok() { report::exit(task) } else { Exit::Failed })
    }

    fn next(&self, session: &Session, output: &Output, task: &Task) {
        if output.json {
            return;
        }
        output.say("");
        for line in report::next_commands(task, session.is_in_process()) {
            output.say(&format!("  {line}"));
        }
    }

    /// The person left: an engine in this process parks the task, a daemon goes on with it.
    async fn left(&self, session: Session, output: &Output, task: &Task) -> Result<Exit, Failure> {
        let is_in_process = session.is_in_process();
        let now = session.ninja().task(task.id).await;
        session.close().await;
        match is_in_process {
            true => output.note(&format!("the task is parked; go on with it: ninja run --resume {}", task.id)),
            false => output.note(&format!("the daemon goes on with it; follow it: ninja watch {}", short(task.id))),
        }
        if output.json {
            output.json(now.as_ref().unwrap_or(task));
        }
        Ok(Exit::Interrupted)
    }
}

/// Returns whether a model works on the step, or on a part of it.
fn has_agent(step: &StepSpec) -> bool {
    step.kind == StepKind::Agent || step.each.as_deref().is_some_and(has_agent)
}

async fn upload(ninja: &Ninja, path: &Path) -> Result<ninja_sdk::api::FileId, Failure> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let content = Content::open(path).await?;
    Ok(ninja.upload_file(&name, content).await?.id)
}
