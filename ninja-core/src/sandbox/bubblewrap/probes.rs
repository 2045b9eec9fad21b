//! Tries to break out of the sandbox, to use more than allowed and to survive. All of it must fail.

#![expect(clippy::disallowed_methods, reason = "tests ask the environment for their counterparts")]

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{
    super::{Mount, ProcessEnd, ProcessOutput, ProcessSpec, Sandbox, SandboxError, SandboxLimits},
    Bubblewrap,
};

/// A sandbox and a workspace for a test; `None` where there is no bubblewrap and no CI that insists on it.
struct Bench {
    sandbox: Bubblewrap,
    workspace: TempDir,
    limits: SandboxLimits,
    mounts: Vec<Mount>,
}

impl Bench {
    async fn new() -> Option<Self> {
        match Bubblewrap::detect_in("/usr/local/bin:/usr/bin:/bin".as_ref()).await {
            Ok(sandbox) => Some(Self {
                sandbox,
                workspace: tempfile::tempdir().unwrap(),
                limits: SandboxLimits { wall_seconds: 60, ..SandboxLimits::default() },
                mounts: Vec::new(),
            }),
            Err(error) if std::env::var_os("CI").is_none() => {
                eprintln!("skipped: needs bubblewrap ({error})");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn spec(&self, argv: &[&str]) -> ProcessSpec {
        ProcessSpec {
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            stdin: Vec::new(),
            workspace: self.workspace.path().to_owned(),
            mounts: self.mounts.clone(),
            limits: self.limits,
        }
    }

    async fn bash(&self, command: &str) -> ProcessOutput {
        self.sandbox.run(self.spec(&["/bin/bash", "-c", command]), CancellationToken::new()).await.unwrap()
    }

    async fn python(&self, code: &str) -> ProcessOutput {
        let spec = ProcessSpec { stdin: code.into(), ..self.spec(&["/usr/bin/python3", "-"]) };
        self.sandbox.run(spec, CancellationToken::new()).await.unwrap()
    }

    /// Runs a command until `mark` appears in the workspace, then cancels it.
    async fn cancelled(&self, command: &str) -> ProcessOutput {
        let cancel = CancellationToken::new();
        let run = self.sandbox.run(self.spec(&["/bin/bash", "-c", command]), cancel.clone());
        let mark = self.workspace.path().join("mark");
        let watch = async {
            while !mark.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            cancel.cancel();
        };
        tokio::join!(run, watch).0.unwrap()
    }
}

/// Counts the processes of this machine whose command line contains a text.
fn alive(text: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(text)).count()
}

/// Waits until there are none.
async fn gone(text: &str) {
    let start = Instant::now();
    while alive(text) > 0 {
        assert!(start.elapsed() < Duration::from_secs(5), "{text} is still alive");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_command_runs_and_says_how_it_ended() {
    let Some(bench) = Bench::new().await else { return };
    let output = bench.bash("echo out; echo err >&2; exit 3").await;
    assert_eq!((output.stdout.text.as_str(), output.stderr.text.as_str()), ("out\n", "err\n"));
    assert_eq!((output.end, output.killed), (ProcessEnd::Exited(3), 0));
    assert_eq!(bench.bash("kill -SEGV $$").await.end, ProcessEnd::Signaled(11));
    assert_eq!(bench.bash("kill -KILL $$").await.end, ProcessEnd::Signaled(9));
    assert_eq!(bench.bash("no-such-program").await.end, ProcessEnd::Exited(127));
    let missing = bench.sandbox.run(bench.spec(&["/no/such"]), CancellationToken::new()).await.unwrap();
    assert_eq!(missing.end, ProcessEnd::Exited(127), "{missing:?}");
}

#[tokio::test]
async fn standard_input_is_fed_and_closed() {
    let Some(bench) = Bench::new().await else { return };
    let big = vec![b'x'; 3_000_000];
    let spec = ProcessSpec { stdin: big, ..bench.spec(&["/usr/bin/wc", "-c"]) };
    let output = bench.sandbox.run(spec, CancellationToken::new()).await.unwrap();
    assert_eq!(output.stdout.text, "3000000\n");
    let unread = ProcessSpec { stdin: vec![b'x'; 3_000_000], ..bench.spec(&["/bin/true"]) };
    assert_eq!(bench.sandbox.run(unread, CancellationToken::new()).await.unwrap().end, ProcessEnd::Exited(0));
}

#[tokio::test]
async fn the_environment_is_what_was_given() {
    let Some(bench) = Bench::new().await else { return };
    let spec = ProcessSpec { env: vec![("A".into(), "b c\n$d".into())], ..bench.spec(&["/usr/bin/env"]) };
    let output = bench.sandbox.run(spec, CancellationToken::new()).await.unwrap();
    let mut lines: Vec<&str> =
        output.stdout.text.lines().filter(|line| !line.starts_with("SHLVL=") && !line.starts_with("_=")).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["$d", "A=b c", "PWD=/workspace"]);
    let first = bench.bash("tr '\\0' '\\n' < /proc/1/environ; tr '\\0' ' ' < /proc/1/cmdline").await.stdout.text;
    assert!(first.starts_with("/usr/bin/bwrap --args"), "the daemon's environment is readable: {first}");
    assert!(!first.contains(bench.workspace.path().to_str().unwrap()), "the host's paths are readable: {first}");
}

#[tokio::test]
async fn host_files_are_unseen_and_everything_but_the_workspace_is_read_only() {
    let Some(bench) = Bench::new().await else { return };
    let output = bench
        .bash("ls -d /root /home /var /etc/shadow /sys /mnt /boot /run 2>/dev/null; ls /etc; id -u; hostname")
        .await;
    assert_eq!(output.stdout.text, "alternatives\ngroup\nhosts\nld.so.cache\npasswd\n65534\nninja\n");
    let writable = "find / -writable -not -path '/proc/[0-9]*' -not -path '/proc/self/*' -not -path '/proc/thread-self/*' \
        2>/dev/null | sort | while read f; do if [ -f $f ] || [ -d $f ]; then echo $f; fi; done";
    assert_eq!(bench.bash(writable).await.stdout.text, "/dev/pts\n/dev/shm\n/tmp\n/workspace\n");
    let masked =
        "for f in /proc/*; do if [ -c $f ]; then echo masked; cat $f && echo read; echo x > $f && echo wrote; fi; done";
    let devices = bench.bash(masked).await;
    let told: std::collections::BTreeSet<&str> = devices.stdout.text.lines().collect();
    assert!(told.is_subset(&["masked"].into()), "masked files are neither readable nor writable: {devices:?}");
    let kernel = bench
        .bash(
            "echo x > /proc/sys/kernel/core_pattern || echo refused; echo 1 > /proc/self/oom_score_adj || echo refused",
        )
        .await;
    assert_eq!(kernel.stdout.text, "refused\nrefused\n", "{kernel:?}");
}

#[tokio::test]
async fn there_is_no_network() {
    let Some(bench) = Bench::new().await else { return };
    let output = bench
        .python(
            "import socket\n\
             for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET, socket.AF_VSOCK):\n\
             \x20   try: socket.socket(family, socket.SOCK_RAW if family > 10 else socket.SOCK_STREAM); print('open', family)\n\
             \x20   except PermissionError as error: pass\n\
             a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1))\n\
             s = socket.socket(socket.AF_UNIX)\n\
             try: s.connect('\\0/tmp/.X11-unix/X0'); print('abstract')\n\
             except ConnectionRefusedError: pass\n\
             print(sorted(line.split(':')[0].strip() for line in open('/proc/net/dev') if ':' in line))",
        )
        .await;
    assert_eq!(output.stdout.text, "b'x'\n['lo']\n", "{}", output.stderr.text);
}

#[tokio::test]
async fn dangerous_system_calls_are_denied() {
    let Some(bench) = Bench::new().await else { return };
    let calls = if cfg!(target_arch = "aarch64") {
        "dict(ptrace=117, mount=40, unshare=97, setns=268, keyctl=219, bpf=280, userfaultfd=282, perf_event_open=241, \
         io_uring_setup=425, kexec_load=104, init_module=105, open_by_handle_at=265, process_vm_readv=270, chroot=51)"
    } else {
        "dict(ptrace=101, mount=165, unshare=272, setns=308, keyctl=250, bpf=321, userfaultfd=323, perf_event_open=298, \
         io_uring_setup=425, kexec_load=246, init_module=175, open_by_handle_at=304, process_vm_readv=310, chroot=161)"
    };
    let code = format!(
        "import ctypes, os, fcntl\n\
         libc = ctypes.CDLL(None, use_errno=True)\n\
         for name, number in {calls}.items():\n\
         \x20   ctypes.set_errno(0)\n\
         \x20   if libc.syscall(number, 0x10000000, 0, 0, 0, 0) != -1 or ctypes.get_errno() != 1: print(name, ctypes.get_errno())\n\
         ctypes.set_errno(0); libc.syscall(435, 0, 0); print('clone3', ctypes.get_errno())\n\
         try: fcntl.ioctl(0, 0x5412, b'x'); print('typed')\n\
         except PermissionError: pass\n\
         print(open('/proc/self/status').read().split('CapEff:')[1].split()[0])\n"
    );
    let output = bench.python(&code).await;
    assert_eq!(output.stdout.text, "clone3 38\n0000000000000000\n", "{}", output.stderr.text);
}

#[tokio::test]
async fn a_fork_bomb_meets_its_cap_and_all_of_it_dies() {
    let Some(mut bench) = Bench::new().await else { return };
    bench.limits.pids = 40;
    let output = bench.python("import os, time\ncount = 0\ntry:\n    while True:\n        if os.fork() == 0: time.sleep(1000.25)\n        count += 1\nexcept OSError: print(count)").await;
    let forked: u32 = output.stdout.text.trim().parse().unwrap();
    assert!((35..40).contains(&forked), "{output:?}");
    bench.limits.wall_seconds = 2;
    let bomb = bench.bash(": bomb-7731; f() { f | f & }; f; f; sleep 1000").await;
    assert_eq!(bomb.end, ProcessEnd::TimedOut);
    assert_eq!(alive("bomb-7731"), 0);
}

#[tokio::test]
async fn too_much_memory_ends_only_the_sandbox() {
    let Some(mut bench) = Bench::new().await else { return };
    bench.limits.memory_mib = 64;
    let output = bench.python("print('start', flush=True); x = bytearray(200 << 20); print(len(x))").await;
    // Without cgroups the program is refused the memory instead of being killed for it.
    let expected = if bench.sandbox.inner.cgroups.is_some() { ProcessEnd::OutOfMemory } else { ProcessEnd::Exited(1) };
    assert_eq!((output.end, output.stdout.text.as_str()), (expected, "start\n"));
    let files = bench.bash("head -c 200M /dev/zero > /dev/shm/x").await;
    assert_ne!(files.end, ProcessEnd::Exited(0), "files in memory count as memory");
    let fits = bench.python("x = bytearray(20 << 20); print(len(x))").await;
    assert_eq!((fits.end, fits.stdout.text.as_str()), (ProcessEnd::Exited(0), "20971520\n"), "the slot is used again");
}

#[tokio::test]
async fn nothing_survives_a_cancel() {
    let Some(bench) = Bench::new().await else { return };
    let stubborn = "trap '' TERM INT HUP; sleep 1000.77311 & setsid sleep 1000.77311 & (setsid bash -c 'trap \"\" TERM; sleep 1000.77311 & sleep 1000.77311' &) ; nohup sleep 1000.77311 & sleep 0.2; touch mark; sleep 1000.77311";
    let output = bench.cancelled(stubborn).await;
    assert_eq!(output.end, ProcessEnd::Cancelled);
    assert_eq!(alive("1000.77311"), 0);
    assert!(output.killed >= 6, "{output:?}");
}

#[tokio::test]
async fn nothing_survives_the_end_the_deadline_or_a_dropped_future() {
    let Some(mut bench) = Bench::new().await else { return };
    let ended = bench.bash("setsid sleep 1000.8123 & sleep 1000.8123 & echo done").await;
    assert_eq!((ended.end, ended.stdout.text.as_str()), (ProcessEnd::Exited(0), "done\n"));
    assert_eq!(alive("1000.8123"), 0);
    bench.limits.wall_seconds = 1;
    assert_eq!(bench.bash("setsid sleep 1000.8124 & sleep 1000.8124").await.end, ProcessEnd::TimedOut);
    assert_eq!(alive("1000.8124"), 0);
    bench.limits.wall_seconds = 60;
    let spec = bench.spec(&["/bin/bash", "-c", "touch mark; sleep 1000.8125"]);
    let run = tokio::time::timeout(Duration::from_millis(300), bench.sandbox.run(spec, CancellationToken::new()));
    assert!(run.await.is_err());
    gone("1000.8125").await;
}

#[tokio::test]
async fn a_gigabyte_of_output_is_capped() {
    let Some(bench) = Bench::new().await else { return };
    let output = bench.bash("echo head; head -c 1G /dev/zero | tr '\\0' 'x'; echo tail").await;
    assert_eq!(output.end, ProcessEnd::Exited(0));
    assert!(output.stdout.truncated && output.stdout.text.len() < 66_000);
    assert!(output.stdout.text.starts_with("head\nxxx") && output.stdout.text.ends_with("xtail\n"));
    assert!(output.stdout.text.contains(&format!("[… {} bytes missing …]", (1_usize << 30) + 10 - 65_536)));
    let binary = bench.bash("printf 'a\\xff\\x00\\x1b[31mb'").await;
    assert_eq!(binary.stdout.text, "a\u{fffd}\0\u{1b}[31mb");
}

#[tokio::test]
async fn the_workspace_is_shared_and_the_disk_is_not_filled() {
    let Some(mut bench) = Bench::new().await else { return };
    std::fs::write(bench.workspace.path().join("in"), "hello").unwrap();
    assert_eq!(bench.bash("cat in; echo there > out").await.stdout.text, "hello");
    assert_eq!(std::fs::read_to_string(bench.workspace.path().join("out")).unwrap(), "there\n");
    bench.limits.file_mib = 1;
    let large = bench.bash("head -c 5M /dev/zero > big").await;
    assert_ne!(large.end, ProcessEnd::Exited(0), "{large:?}");
    assert_eq!(std::fs::metadata(bench.workspace.path().join("big")).unwrap().len(), 1 << 20);
    let many = bench.bash("mkdir d; cd d; for i in {1..40000}; do : > $i; done; sleep 1000").await;
    assert_eq!(many.end, ProcessEnd::Signaled(25));
}

#[tokio::test]
async fn mounts_are_read_only_and_leave_nothing_on_the_host() {
    let Some(mut bench) = Bench::new().await else { return };
    let elsewhere = tempfile::tempdir().unwrap();
    let host = elsewhere.path().join("data");
    std::fs::write(&host, "data").unwrap();
    for inside in ["/workspace/inputs/a/b.csv", "/ninja/request.json"] {
        bench.mounts.push(Mount { host: host.clone(), inside: PathBuf::from(inside) });
    }
    let plant = "ln -s ../../../../../../../../oldroot/tmp inputs; ln -s / root; ls";
    let planted = {
        let mounts = std::mem::take(&mut bench.mounts);
        let output = bench.bash(plant).await;
        bench.mounts = mounts;
        output
    };
    assert_eq!(planted.stdout.text, "inputs\nroot\n");
    let output = bench
        .bash("cat inputs/a/b.csv /ninja/request.json; echo x > inputs/a/b.csv; echo x > inputs/y; rm -r inputs")
        .await;
    assert_eq!(output.stdout.text, "datadata");
    assert_eq!(std::fs::read_to_string(&host).unwrap(), "data");
    let inputs = bench.workspace.path().join("inputs");
    assert!(std::fs::symlink_metadata(&inputs).unwrap().is_dir());
    assert_eq!(std::fs::read_dir(&inputs).unwrap().count(), 0, "mount points are not made in the host's folder");
}

#[tokio::test]
async fn sandboxes_side_by_side_share_nothing() {
    let Some(bench) = Bench::new().await else { return };
    let run = |number: usize| {
        let spec = ProcessSpec {
            env: vec![("SECRET".into(), format!("s{number}"))],
            ..bench.spec(&[
                "/bin/bash",
                "-c",
                "echo $(ls -v /proc/self/fd); p=(/proc/[0-9]*); echo ${#p[@]}; sleep 0.2; echo $SECRET",
            ])
        };
        let sandbox = bench.sandbox.clone();
        async move { (number, sandbox.run(spec, CancellationToken::new()).await.unwrap()) }
    };
    for (number, output) in futures::future::join_all((0..12).map(run)).await {
        let lines: Vec<&str> = output.stdout.text.lines().collect();
        // Descriptor 3 is the folder that is listed; the processes are the first one and bash.
        assert_eq!(lines, ["0 1 2 3", "2", &format!("s{number}")]);
    }
}

#[tokio::test]
async fn a_short_lived_thread_may_ask() {
    let Some(bench) = Bench::new().await else { return };
    let (sandbox, spec) = (bench.sandbox.clone(), bench.spec(&["/bin/bash", "-c", "sleep 0.5; echo alive"]));
    // The runtime's own threads come and go; "die with parent" must not mean them.
    let handle = tokio::runtime::Handle::current();
    let task = tokio::task::spawn_blocking(move || {
        handle.spawn(async move { sandbox.run(spec, CancellationToken::new()).await })
    });
    assert_eq!(task.await.unwrap().await.unwrap().unwrap().stdout.text, "alive\n");
}

#[tokio::test]
async fn a_killed_daemon_leaves_nothing_alive_and_its_groups_are_reaped() {
    const NAME: &str = "sandbox::bubblewrap::probes::a_killed_daemon_leaves_nothing_alive_and_its_groups_are_reaped";
    let Some(bench) = Bench::new().await else { return };
    let command = "setsid sleep 1000.55512 & sleep 1000.55512";
    if std::env::var_os("NINJA_PROBE_DAEMON").is_some() {
        bench.bash(command).await;
        return;
    }
    let mut daemon = std::process::Command::new(std::env::current_exe().unwrap());
    let mut daemon = daemon.args(["--exact", NAME]).env("NINJA_PROBE_DAEMON", "1").spawn().unwrap();
    let pid = daemon.id();
    while alive("1000.55512") < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    gone("1000.55512").await;
    Bubblewrap::detect_in("/usr/local/bin:/usr/bin:/bin".as_ref()).await.unwrap();
    if let Some(cgroups) = &bench.sandbox.inner.cgroups {
        let names: Vec<String> = cgroups.leftovers().into_iter().map(|(name, _)| name).collect();
        assert!(names.iter().all(|name| !name.contains(&format!("-{pid}-"))), "{names:?}");
    }
}

#[tokio::test]
async fn without_bubblewrap_the_way_to_get_it_is_said() {
    let Err(SandboxError::Unavailable(reason)) = Bubblewrap::detect_in("/nowhere".as_ref()).await else { panic!() };
    assert!(reason.contains("apt install bubblewrap"), "{reason}");
}

#[tokio::test]
async fn the_check_says_what_there_is() {
    let Some(bench) = Bench::new().await else { return };
    let text = bench.sandbox.check().await.unwrap();
    assert!(text.starts_with("bubblewrap ") && text.contains("seccomp"), "{text}");
}
