//! The daemon as a process: how it is found, what strangers cannot do to it, how it ends.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{Daemon, Home, exit, only_json, stderr};

#[test]
fn a_daemon_is_found_by_socket_or_url_and_stops_in_order() {
    let home = Home::new();
    let daemon = Daemon::start(&home);
    let waiting = home.run(&["run", "--plan", &home.plan(), "--json"]);
    assert_eq!(exit(&waiting), 3, "{}", stderr(&waiting));
    let id = only_json(&waiting)["id"].as_str().unwrap().to_owned();
    let by_url = |key: Option<&str>| {
        let mut command = home.ninja(&["show", &id, "--json"]);
        command.env("NINJA_URL", &daemon.url);
        key.map(|key| command.env("NINJA_API_KEY", key));
        command.output().unwrap()
    };
    assert_eq!(only_json(&by_url(None))["status"], "waiting", "the owner's key is found by itself");
    assert_eq!(exit(&by_url(Some("nj_wrong"))), 4);

    let second = home.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(exit(&second), 4, "one engine a directory: {}", stderr(&second));
    assert_eq!(exit(&home.run(&["deny", &id])), 0);
    let mut watching = home.ninja(&["watch", &id, "--json"]);
    assert_eq!(exit(&watching.output().unwrap()), 1, "what a person denied has failed");
    assert_eq!(daemon.stop(), 0);
    assert!(!home.path().join(".local/share/ninja/ninja.sock").exists());
}

#[test]
fn the_command_line_speaks_tls_to_a_daemon_whose_certificate_is_replaced() {
    let home = Home::new();
    let (cert, key, old) = (home.path().join("tls.pem"), home.path().join("tls.key"), home.path().join("old.pem"));
    let renew = || {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        fs::write(&cert, made.cert.pem()).unwrap();
    };
    renew();
    fs::copy(&cert, &old).unwrap();
    let files = ["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let mut command = home.ninja(&[&["serve", "--listen", "127.0.0.1:0"], &files[..]].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let daemon = Daemon::of(command);
    assert!(daemon.url.starts_with("https://"), "{}", daemon.url);
    let tasks = |ca_file: Option<&Path>| {
        let mut command = home.ninja(&["tasks", "--json"]);
        command.env("NINJA_URL", &daemon.url);
        ca_file.map(|file| command.env("NINJA_CA_FILE", file));
        exit(&command.output().unwrap())
    };
    assert_eq!((tasks(Some(&cert)), tasks(None)), (0, 4), "nobody else vouches for it");
    renew();
    daemon.signal("-HUP");
    assert!((0..1_000).any(|_| tasks(Some(&cert)) == 0), "it was read again");
    assert_eq!(tasks(Some(&old)), 4);
    assert_eq!(daemon.stop(), 0);

    assert_eq!(exit(&home.run(&["serve", "--tls-cert", "tls.pem"])), 2, "half of a pair");
    fs::write(&cert, "nothing").unwrap();
    let broken = home.run(&[&["serve", "--listen", "127.0.0.1:0"], &files[..]].concat());
    assert!(exit(&broken) != 0 && stderr(&broken).contains("tls.pem"), "{}", stderr(&broken));
}

/// Starts a daemon under a limit of the shell's.
fn limited(home: &Home, limit: &str) -> Command {
    let ninja = home.ninja(&["serve", "--listen", "127.0.0.1:0"]);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\"")]);
    command.arg(ninja.get_program()).args(ninja.get_args());
    command.current_dir(home.path()).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.envs(ninja.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

impl Daemon {
    /// Opens a connection and says this.
    fn say(&self, what: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).unwrap();
        socket.write_all(what.as_bytes()).unwrap();
        socket
    }

    /// Returns the memory that it holds, in bytes.
    fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

/// Returns all that comes until the other side closes.
fn rest(mut socket: TcpStream) -> String {
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    text
}

const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[test]
fn strangers_who_connect_cannot_keep_a_task_from_being_written_down() {
    let home = Home::new();
    let daemon = Daemon::of(limited(&home, "-n 192"));
    let inside: Vec<TcpStream> = (0..24).map(|_| daemon.say("GET / HT")).collect();
    for _ in 0..50 {
        // Without room it is told so, or, where many are told at once, closed without a word.
        let answer = rest(daemon.say(""));
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }
    let waiting = home.run(&["run", "--plan", &home.plan(), "--json"]);
    assert_eq!(exit(&waiting), 3, "{}", stderr(&waiting));
    drop(inside);
    let served = || rest(daemon.say(HEALTH)).starts_with("HTTP/1.1 200 ");
    assert!((0..1_000).any(|_| served()), "there is room again");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn five_hundred_slow_connections_are_a_few_megabytes() {
    let home = Home::new();
    let daemon = Daemon::start(&home);
    let alone = daemon.memory();
    let heads: Vec<TcpStream> = (0..500).map(|_| daemon.say("GET /health HTTP/1.1\r\nhost: loc")).collect();
    assert!(rest(daemon.say(HEALTH)).starts_with("HTTP/1.1 200 "));
    let grown = daemon.memory().saturating_sub(alone);
    println!("500 half heads: {} KiB", grown / 1024);
    assert!(grown < 32 * 1024 * 1024, "{grown} bytes");
    drop(heads);
}

#[test]
fn a_second_signal_waits_for_nobody() {
    let home = Home::new();
    let mut daemon = Daemon::start(&home);
    let address = daemon.url.strip_prefix("http://").unwrap().to_owned();
    let key = fs::read_to_string(home.path().join(".local/share/ninja/owner.key")).unwrap();
    let head = format!("POST /api/v1/tasks HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n", key.trim());
    let rest_of_head = "content-type: application/json\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n";
    let mut half = daemon.say(&format!("{head}{rest_of_head}"));
    half.read_exact(&mut [0; 25]).unwrap();
    daemon.signal("-TERM");
    while TcpStream::connect(&address).is_ok() {
        std::thread::yield_now();
    }
    assert!(daemon.process.try_wait().unwrap().is_none(), "half a request is waited for");
    daemon.signal("-TERM");
    assert_eq!(daemon.process.wait().unwrap().code(), Some(130));
    drop(half);
    // What was promised is there all the same.
    assert_eq!(exit(&home.run(&["tasks"])), 0);
}

/// Ends a daemon as a crash does, where cores are not limited, and returns whether it left one.
fn leaves_a_core(allowed: bool) -> bool {
    let home = Home::new();
    let mut command = limited(&home, "-c unlimited");
    if allowed {
        command.env("NINJA_CORE_DUMPS", "1");
    }
    let mut daemon = Daemon::of(command);
    daemon.signal("-ABRT");
    daemon.process.wait().unwrap();
    let names = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.into_iter().any(|name| name.starts_with("core"))
}

#[test]
fn a_crash_leaves_no_core_unless_it_is_allowed() {
    assert!(!leaves_a_core(false), "a core holds keys");
    // Where the kernel hands cores to a program there is none to be seen.
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let is_plain = pattern.trim() == "core";
    assert_eq!(leaves_a_core(true), is_plain, "{pattern}");
}
