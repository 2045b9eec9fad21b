//! Finds out whether bubblewrap works here, by a trial, and what to do where it does not.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use super::{
    super::{ProcessEnd, ProcessSpec, Sandbox, SandboxError, SandboxLimits},
    Bubblewrap, Inner,
    args::Features,
    cgroup, failed, seccomp, syscalls,
};

const HOW_TO_INSTALL: &str = "bubblewrap is not installed; on Debian or Ubuntu: apt install bubblewrap";

const HOW_TO_ALLOW: &str = "if user namespaces are off: sysctl -w kernel.unprivileged_userns_clone=1 (Debian), \
    sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu 24.04), sysctl -w user.max_user_namespaces=10000; \
    in a container: allow them and an unmasked /proc (docker run --security-opt seccomp=unconfined --security-opt \
    systempaths=unconfined)";

impl Bubblewrap {
    /// Looks for bubblewrap along a search path like that of the variable `PATH`, tries it out with a real process, and reaps
    /// what a former daemon left behind.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Unavailable`] with the reason and the way to fix it.
    pub async fn detect_in(search: &OsStr) -> Result<Self, SandboxError> {
        let candidates = std::env::split_paths(search).filter(|folder| folder.is_absolute());
        let program = candidates.map(|folder| folder.join("bwrap")).find(|program| program.is_file());
        let program = program.ok_or_else(|| unavailable(HOW_TO_INSTALL))?;
        let inspect = tokio::task::spawn_blocking(move || inspect(program));
        let inner = inspect.await.map_err(|error| SandboxError::Failed(error.to_string()))??;
        let found = Self { inner: Arc::new(inner) };
        match found.trial().await {
            Ok(()) => Ok(found),
            Err(error @ SandboxError::Interrupted { .. }) => Err(error),
            Err(SandboxError::Failed(reason) | SandboxError::Unavailable(reason)) => {
                Err(unavailable(&format!("bubblewrap does not work here ({reason}); {HOW_TO_ALLOW}")))
            }
        }
    }

    /// Runs `true` in an empty workspace.
    pub(super) async fn trial(&self) -> Result<(), SandboxError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let workspace = std::env::temp_dir().join(format!("ninja-trial-{}-{number}", std::process::id()));
        std::fs::create_dir(&workspace).map_err(|error| failed("make a folder for a trial", &error))?;
        let spec = ProcessSpec {
            argv: vec!["/bin/true".to_owned()],
            env: Vec::new(),
            stdin: Vec::new(),
            workspace: workspace.clone(),
            mounts: Vec::new(),
            limits: SandboxLimits { wall_seconds: 20, ..SandboxLimits::default() },
        };
        let outcome = self.run(spec, CancellationToken::new()).await;
        std::fs::remove_dir(&workspace).map_err(|error| failed("remove the folder of a trial", &error))?;
        match outcome? {
            output if output.end == ProcessEnd::Exited(0) => Ok(()),
            output => Err(SandboxError::Failed(format!("a trial ended with {:?}: {}", output.end, output.stderr.text))),
        }
    }
}

fn inspect(program: PathBuf) -> Result<Inner, SandboxError> {
    let ask = |option: &str| {
        let output = Command::new(&program).arg(option).env_clear().output();
        let output = output.map_err(|error| unavailable(&format!("{} does not start: {error}", program.display())))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let (version, help): (String, String) = (ask("--version")?, ask("--help")?);
    if let Some(missing) =
        ["--clearenv", "--size", "--json-status-fd", "--block-fd"].iter().find(|word| !help.contains(**word))
    {
        return Err(unavailable(&format!("{version} does not know {missing}; version 0.6 or later is needed")));
    }
    let mut weaker = Vec::new();
    let cgroups: Option<Arc<dyn cgroup::Cgroups>> = match cgroup::detect() {
        Ok(cgroups) => Some(cgroups.into()),
        Err(reason) => {
            weaker.push(format!("memory is capped for each process alone and processes by user ({reason})"));
            None
        }
    };
    if let Some(cgroups) = &cgroups {
        let killed = cgroup::reap(cgroups.as_ref());
        if killed > 0 {
            tracing::info!(killed, "killed processes of a former daemon's sandboxes");
        }
    }
    let features = Features {
        disable_userns: help.contains("--disable-userns"),
        seccomp: syscalls::this_machine().map(|machine| seccomp::program(machine).into()),
        cgroups: cgroups.is_some(),
        prlimit: Path::new("/usr/bin/prlimit").is_file(),
        stray: stray_descriptors(),
    };
    if features.seccomp.is_none() {
        weaker.push(format!("no system call filter for {}", std::env::consts::ARCH));
    }
    if !features.prlimit {
        weaker.push("file sizes are not capped, as /usr/bin/prlimit (util-linux) is missing".to_owned());
    }
    if rustix::process::geteuid().is_root() {
        weaker.push("the daemon is root, so code in the sandbox is root without any capability".to_owned());
    }
    Ok(Inner { program, version, features, cgroups, weaker, idle: Mutex::new(Vec::new()) })
}

/// Lists open descriptors, beyond the three streams, that spawned programs inherit: whoever started the daemon left
/// them open. What the daemon itself opens is not inherited.
fn stray_descriptors() -> Vec<i32> {
    const CLOSE_ON_EXEC: u32 = 0o2_000_000;
    let Ok(entries) = std::fs::read_dir("/proc/self/fdinfo") else { return Vec::new() };
    let is_inherited = |entry: &std::fs::DirEntry| {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let flags = text.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
        flags.is_some_and(|flags| flags & CLOSE_ON_EXEC == 0)
    };
    let inherited = entries.flatten().filter(is_inherited);
    let mut numbers: Vec<i32> =
        inherited.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|number| *number > 2).collect();
    numbers.sort_unstable();
    numbers
}

fn unavailable(reason: &str) -> SandboxError {
    SandboxError::Unavailable(reason.to_owned())
}
