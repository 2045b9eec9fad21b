//! `setup`: what the tests need from the system, and the counterparts they run against.
//!
//! On Debian as root it installs what is missing; elsewhere it says what to install and fails. Where nothing is missing it
//! is done at once.

use std::{os::unix::fs::MetadataExt, path::Path, process::ExitCode};

use anyhow::{Result, bail};

use crate::{counterparts, places, shell};

/// The nextest that the tests were last run with; compiled only where there is none at all.
const NEXTEST: &str = "cargo-nextest@0.9.143";

/// Debian's own Python. The sandbox shows its system's `/usr` and nothing of a Python under a home.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// Something that must be on the machine.
pub(crate) struct Need {
    is: Is,
    /// The Debian package that brings it.
    package: &'static str,
    /// What for.
    why: &'static str,
}

enum Is {
    /// A program on `PATH`.
    Program(&'static str),
    /// A file.
    File(&'static str),
    /// A module of [`PYTHON`].
    Module(&'static str),
}

/// What the main job needs.
pub(crate) const MAIN_JOB: &[Need] = &[
    Need { is: Is::Program("bwrap"), package: "bubblewrap", why: "the sandbox that code steps run in" },
    Need { is: Is::File(PYTHON), package: "python3", why: "the scripts of templates" },
    Need { is: Is::Module("pip"), package: "python3-pip", why: "fetching the local model" },
];

/// What the tests need on top.
const TESTS: &[Need] = &[
    Need { is: Is::Module("ensurepip"), package: "python3-venv", why: "the counterparts' environment" },
    Need { is: Is::Program("tmux"), package: "tmux", why: "the terminal in a real terminal" },
    Need { is: Is::Program("strace"), package: "strace", why: "failing system calls" },
    Need { is: Is::Program("mount"), package: "mount", why: "small file systems to fill up" },
    Need { is: Is::File("/usr/sbin/mkfs.ext4"), package: "e2fsprogs", why: "file systems to cut the power of" },
];

/// Runs the command.
pub(crate) fn run() -> Result<ExitCode> {
    for_tests()?;
    let ninja = places::ninja()?;
    if !counterparts::has_model()? {
        shell::run(shell::cargo(&["build", "--package", "ninja-daemon", "--bin", "ninja"]))?;
        counterparts::install_model(&ninja)?;
    }
    eprintln!("setup: everything is there");
    Ok(ExitCode::SUCCESS)
}

/// Brings what the tests need, save the local model, for which `ninja` must be built first.
pub(crate) fn for_tests() -> Result<()> {
    ensure(MAIN_JOB.iter().chain(TESTS))?;
    ensure_nextest();
    counterparts::install()
}

/// Returns whether the tests can be run with nextest.
pub(crate) fn has_nextest() -> bool {
    shell::works(shell::cargo(&["nextest", "--version"]))
}

/// Installs what is missing of `needs`, or fails and says what that is.
pub(crate) fn ensure<'a>(needs: impl Iterator<Item = &'a Need> + Clone) -> Result<()> {
    let missing: Vec<&Need> = needs.clone().filter(|need| !need.is_there()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        eprintln!("setup: missing {} ({})", need.package, need.why);
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    if !can_install() {
        let packages = packages.join(" ");
        match is_debian() {
            true => bail!("as root, run: apt-get install {packages}"),
            false => bail!("install what these Debian packages bring: {packages}"),
        }
    }
    install(&packages)?;
    match needs.filter(|need| !need.is_there()).map(|need| need.package).collect::<Vec<_>>() {
        still if still.is_empty() => Ok(()),
        still => bail!("still missing although installed: {}", still.join(" ")),
    }
}

impl Need {
    fn is_there(&self) -> bool {
        match self.is {
            Is::Program(name) => places::program(name).is_some(),
            Is::File(path) => Path::new(path).is_file(),
            Is::Module(name) => shell::works(shell::command(PYTHON, &["-c", &format!("import {name}")])),
        }
    }
}

fn is_debian() -> bool {
    Path::new("/etc/debian_version").is_file() && places::program("apt-get").is_some()
}

fn can_install() -> bool {
    is_debian() && std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn install(packages: &[&str]) -> Result<()> {
    let apt = |args: &[&str]| {
        let mut command = shell::command("apt-get", args);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    let args = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    // The package lists of a fresh image are empty, those of an old one name what is gone: then, and only then, fetch them.
    if has_package_lists() && shell::succeeds(apt(&args))? {
        return Ok(());
    }
    shell::run(apt(&["update"]))?;
    shell::run(apt(&args))
}

fn has_package_lists() -> bool {
    let Ok(lists) = std::fs::read_dir("/var/lib/apt/lists") else { return false };
    lists.flatten().any(|list| list.file_name().to_string_lossy().contains("_Packages"))
}

/// Without nextest the tests still run, by `cargo test`; so a failure here is only said.
fn ensure_nextest() {
    if has_nextest() {
        return;
    }
    eprintln!("setup: missing cargo-nextest (the test runner); compiling it takes some minutes");
    match shell::succeeds(shell::cargo(&["install", "--locked", NEXTEST])) {
        Ok(true) => {}
        Ok(false) | Err(_) => eprintln!("setup: no cargo-nextest; the tests will run with `cargo test`"),
    }
}
