//! The command line of `bwrap`: what the sandbox looks like from inside.
//!
//! It holds `/usr` read-only, made-up `/etc` files, private `/proc`, `/dev` and `/tmp`, the workspace, the mounts asked
//! for, and nothing else of the host. Everything but the workspace, `/tmp` and `/dev/shm` is read-only. `/proc` above
//! all: under a daemon that runs as root, code inside is the host's root to `/proc/sys`, without capabilities but with
//! its file rights.

use std::{
    os::fd::RawFd,
    path::{Component, Path},
    sync::Arc,
};

use super::super::{Mount, ProcessSpec, SandboxError, SandboxLimits};

/// One word of the command line. Descriptors get their numbers when the process is spawned.
#[derive(Debug, Clone)]
pub(super) enum Arg {
    /// As it stands.
    Text(String),
    /// The number of a descriptor from which these bytes are read.
    Data(Arc<[u8]>),
    /// The number of the descriptor on which bubblewrap says what happens.
    Status,
    /// The number of the descriptor on which bubblewrap waits before it goes on.
    Gate,
}

/// What was found out about this machine's bubblewrap and kernel.
#[derive(Debug, Clone)]
pub(super) struct Features {
    /// Whether bubblewrap can take away the right to make user namespaces (0.8 and later). Seccomp does so as well.
    pub(super) disable_userns: bool,
    /// The compiled filter; `None` on an architecture it is not known for.
    pub(super) seccomp: Option<Arc<[u8]>>,
    /// Whether the limits are kept by cgroups. Otherwise `prlimit` inside sets weaker ones: memory for each process
    /// instead of all together, and processes by user instead of by sandbox.
    pub(super) cgroups: bool,
    /// Whether `/usr/bin/prlimit` is there to cap file sizes and forbid core dumps.
    pub(super) prlimit: bool,
    /// Descriptors that the daemon was started with and that a program would inherit. A shell inside closes them first.
    pub(super) stray: Vec<RawFd>,
}

/// Makes no sense of users but 65534, the one inside.
const PASSWD: &[u8] = b"ninja:x:65534:65534:sandbox:/tmp:/bin/bash\n";
const GROUP: &[u8] = b"ninja:x:65534:\n";
const HOSTS: &[u8] = b"127.0.0.1 localhost ninja\n::1 localhost\n";

/// Files in `/proc` that tell of the host or of the kernel's memory and are readable for root; masked where they exist.
const MASKED_FILES: [&str; 12] = [
    "kallsyms",
    "kcore",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "sched_debug",
    "slabinfo",
    "timer_list",
    "vmallocinfo",
];

/// The folder that code may write to.
pub(super) const WORKSPACE: &str = "/workspace";

/// Open files and sockets of one process.
const OPEN_FILES_MAX: u32 = 4_096;

/// The command line of a process: options, which travel through a descriptor so that no host path and no value of the
/// environment is readable in `/proc/1/cmdline`, and the program with its arguments.
#[derive(Debug, Clone)]
pub(super) struct CommandLine {
    pub(super) options: Vec<Arg>,
    pub(super) program: Vec<String>,
}

/// Returns the whole command line for a process.
///
/// # Errors
///
/// Fails where the spec asks for something that cannot be, such as a mount over `/usr` or an empty `argv`.
pub(super) fn command_line(spec: &ProcessSpec, features: &Features) -> Result<CommandLine, SandboxError> {
    let mut line = Line(Vec::new());
    isolation(&mut line, features);
    system(&mut line, spec.limits.memory_mib);
    line.texts(["--bind", &utf8(&spec.workspace)?, WORKSPACE, "--chdir", WORKSPACE]);
    mounts(&mut line, &spec.mounts)?;
    line.texts(["--remount-ro", "/dev", "--remount-ro", "/proc", "--remount-ro", "/"]);
    for (name, value) in &spec.env {
        if name.is_empty() || name.contains('=') {
            return Err(refused(format!("{name:?} is not a name for an environment variable")));
        }
        line.texts(["--setenv", name, value]);
    }
    if spec.argv.is_empty() {
        return Err(refused("there is no program to run".to_owned()));
    }
    let mut program = limiter(&spec.limits, features);
    program.extend_from_slice(&spec.argv);
    let has_nul = |arg: &Arg| matches!(arg, Arg::Text(text) if text.contains('\0'));
    if line.0.iter().any(has_nul) || program.iter().any(|word| word.contains('\0')) {
        return Err(refused("arguments and environment must not contain NUL".to_owned()));
    }
    Ok(CommandLine { options: line.0, program })
}

fn isolation(line: &mut Line, features: &Features) {
    line.texts(["--unshare-all", "--unshare-user", "--new-session", "--die-with-parent", "--clearenv"]);
    if features.disable_userns {
        line.text("--disable-userns");
    }
    line.texts(["--uid", "65534", "--gid", "65534", "--cap-drop", "ALL", "--hostname", "ninja"]);
    if let Some(filter) = &features.seccomp {
        line.text("--seccomp");
        line.0.push(Arg::Data(filter.clone()));
    }
    line.text("--json-status-fd");
    line.0.push(Arg::Status);
}

fn system(line: &mut Line, memory_mib: u64) {
    line.texts(["--ro-bind", "/usr", "/usr"]);
    for (target, link) in [("usr/bin", "/bin"), ("usr/sbin", "/sbin"), ("usr/lib", "/lib"), ("usr/lib64", "/lib64")] {
        line.texts(["--symlink", target, link]);
    }
    for path in ["/etc/ld.so.cache", "/etc/alternatives"] {
        line.texts(["--ro-bind-try", path, path]);
    }
    for (path, content) in [("/etc/passwd", PASSWD), ("/etc/group", GROUP), ("/etc/hosts", HOSTS)] {
        line.text("--ro-bind-data");
        line.0.push(Arg::Data(content.into()));
        line.text(path);
    }
    line.texts(["--proc", "/proc", "--dev", "/dev"]);
    for file in MASKED_FILES.map(|name| format!("/proc/{name}")).iter().filter(|file| Path::new(file).exists()) {
        line.texts(["--ro-bind", "/dev/null", file]);
    }
    // What lies in a tmpfs counts as memory, so the cap on memory is the cap on these as well.
    let size = bytes_of(memory_mib).to_string();
    for path in ["/dev/shm", "/tmp"] {
        line.texts(["--size", &size, "--tmpfs", path]);
    }
}

/// Puts the mounts in. Those in the workspace get a tmpfs over their top folder, so that mount points are never made in
/// the host's folder; [`top_folders`] says which folders must be there.
fn mounts(line: &mut Line, mounts: &[Mount]) -> Result<(), SandboxError> {
    let folders = top_folders(mounts)?;
    for folder in &folders {
        line.texts(["--size", "1048576", "--tmpfs", &format!("{WORKSPACE}/{folder}")]);
    }
    for mount in mounts {
        let inside = utf8(&mount.inside)?;
        if !is_plain(&mount.inside) || !["/workspace/", "/ninja/"].iter().any(|place| inside.starts_with(place)) {
            return Err(refused(format!("{inside} is not below /workspace or /ninja")));
        }
        line.texts(["--ro-bind", &utf8(&mount.host)?, &inside]);
    }
    for folder in &folders {
        line.texts(["--remount-ro", &format!("{WORKSPACE}/{folder}")]);
    }
    Ok(())
}

/// Returns the folders at the top of the workspace in which mounts lie: they must exist, as real folders, before the
/// start.
///
/// # Errors
///
/// Fails for a mount at the very top: it would leave its mount point in the host's folder.
pub(super) fn top_folders(mounts: &[Mount]) -> Result<Vec<String>, SandboxError> {
    let mut folders = Vec::new();
    for mount in mounts {
        let Ok(below) = mount.inside.strip_prefix(WORKSPACE) else { continue };
        let mut names = below.components();
        let top = names.next().and_then(|name| name.as_os_str().to_str());
        let (Some(top), Some(_)) = (top, names.next()) else {
            return Err(refused(format!("{} must lie in a folder of the workspace", mount.inside.display())));
        };
        folders.push(top.to_owned());
    }
    folders.sort();
    folders.dedup();
    Ok(folders)
}

fn is_plain(path: &Path) -> bool {
    path.is_absolute() && path.components().skip(1).all(|part| matches!(part, Component::Normal(_)))
}

/// Returns the words before the program that set what cgroups cannot, or what they would if there were any.
fn limiter(limits: &SandboxLimits, features: &Features) -> Vec<String> {
    let mut words = Vec::new();
    if features.prlimit {
        words.extend(["/usr/bin/prlimit".to_owned(), "--core=0".to_owned()]);
        words.extend([format!("--nofile={OPEN_FILES_MAX}"), format!("--fsize={}", bytes_of(limits.file_mib))]);
        if !features.cgroups {
            words.extend([format!("--as={}", bytes_of(limits.memory_mib)), format!("--nproc={}", limits.pids)]);
        }
        words.push("--".to_owned());
    }
    if !features.stray.is_empty() {
        let close: String = features.stray.iter().map(|number| format!("exec {number}>&-; ")).collect();
        words.extend(["/bin/bash".to_owned(), "-c".to_owned(), format!("{close}exec \"$@\""), "ninja".to_owned()]);
    }
    words
}

/// Converts MiB. None at all would be refused by bubblewrap, and nobody means it.
pub(super) fn bytes_of(mib: u64) -> u64 {
    mib.max(1).saturating_mul(1 << 20).min(i64::MAX as u64)
}

fn utf8(path: &Path) -> Result<String, SandboxError> {
    path.to_str().map(str::to_owned).ok_or_else(|| refused(format!("{} is not UTF-8", path.display())))
}

fn refused(reason: String) -> SandboxError {
    SandboxError::Failed(reason)
}

struct Line(Vec<Arg>);

impl Line {
    fn text(&mut self, text: &str) {
        self.0.push(Arg::Text(text.to_owned()));
    }

    fn texts<'t>(&mut self, texts: impl IntoIterator<Item = &'t str>) {
        texts.into_iter().for_each(|text| self.text(text));
    }
}

/// Writes the words as `bwrap --args` reads them: each followed by a NUL. `number` tells the descriptor behind a word.
pub(super) fn encode(line: &[Arg], mut number: impl FnMut(&Arg) -> RawFd) -> Vec<u8> {
    let mut bytes = Vec::new();
    for arg in line {
        match arg {
            Arg::Text(text) => bytes.extend_from_slice(text.as_bytes()),
            Arg::Data(_) | Arg::Status | Arg::Gate => bytes.extend(number(arg).to_string().into_bytes()),
        }
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ProcessSpec {
        ProcessSpec {
            argv: vec!["/bin/echo".into(), "--bind".into(), "$(id)".into()],
            env: vec![("A".into(), "b c".into())],
            stdin: Vec::new(),
            workspace: "/data/w".into(),
            mounts: Vec::new(),
            limits: SandboxLimits::default(),
        }
    }

    fn features() -> Features {
        Features { disable_userns: true, seccomp: Some([1, 2].into()), cgroups: true, prlimit: true, stray: Vec::new() }
    }

    fn words(spec: &ProcessSpec) -> Vec<String> {
        let encoded = encode(&command_line(spec, &features()).unwrap().options, |_| 9);
        String::from_utf8(encoded).unwrap().split_terminator('\0').map(str::to_owned).collect()
    }

    fn with_mount(inside: &str) -> ProcessSpec {
        ProcessSpec { mounts: vec![Mount { host: "/blobs/x".into(), inside: inside.into() }], ..spec() }
    }

    #[test]
    fn the_program_stands_apart_word_by_word() {
        let program = command_line(&spec(), &features()).unwrap().program;
        assert_eq!(program[program.len() - 4..], ["--", "/bin/echo", "--bind", "$(id)"]);
        assert_eq!(program[0], "/usr/bin/prlimit");
        let words = words(&spec());
        assert_eq!(words[words.len() - 3..], ["--setenv", "A", "b c"]);
    }

    #[test]
    fn a_mount_in_the_workspace_lies_in_a_tmpfs() {
        let line = words(&with_mount("/workspace/inputs/a.csv")).join(" ");
        assert!(
            line.contains(
                "--tmpfs /workspace/inputs --ro-bind /blobs/x /workspace/inputs/a.csv --remount-ro /workspace/inputs"
            ),
            "{line}"
        );
        assert!(words(&with_mount("/ninja/request.json")).join(" ").contains("--ro-bind /blobs/x /ninja/request.json"));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for inside in ["/usr/bin/x", "/workspace", "/workspace/x", "/workspace/../etc/x", "inputs/x", "/ninja/../usr/x"]
        {
            assert!(command_line(&with_mount(inside), &features()).is_err(), "{inside}");
        }
        for bad in [
            ProcessSpec { argv: Vec::new(), ..spec() },
            ProcessSpec { argv: vec!["a\0b".into()], ..spec() },
            ProcessSpec { env: vec![("A=B".into(), "c".into())], ..spec() },
            ProcessSpec { env: vec![(String::new(), "c".into())], ..spec() },
        ] {
            assert!(command_line(&bad, &features()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn descriptors_from_before_the_start_are_closed_inside() {
        let words =
            limiter(&SandboxLimits::default(), &Features { stray: vec![10, 251], prlimit: false, ..features() });
        assert_eq!(words, ["/bin/bash", "-c", "exec 10>&-; exec 251>&-; exec \"$@\"", "ninja"]);
    }

    #[test]
    fn without_cgroups_limits_are_set_for_each_process() {
        let weaker = limiter(&SandboxLimits::default(), &Features { cgroups: false, ..features() });
        assert!(weaker.contains(&"--as=1073741824".to_owned()) && weaker.contains(&"--nproc=128".to_owned()));
        assert!(limiter(&SandboxLimits::default(), &Features { prlimit: false, ..features() }).is_empty());
    }
}
