//! A power cut: ext4 on a loop device, whose image is copied while the writer stands still. The copy has what was synced and what the
//! kernel happened to have written back, and no more.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use ninja_tests::{Ledger, folder_in_memory, system};

use crate::support::{Mount, assert_acknowledged, host, is_long, skip};

/// The host and what it stands on; both are gone when dropped, the host first.
struct Writer {
    host: Child,
    disk: Mount,
}

impl Writer {
    fn signal(&self, signal: &str) {
        system("kill", &[signal, &self.host.id().to_string()]).unwrap();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.host.kill().ok();
        self.host.wait().ok();
    }
}

/// Makes an image with an empty file system.
fn format(image: &Path) -> Result<(), String> {
    fs::File::create(image).unwrap().set_len(192 * 1024 * 1024).unwrap();
    system("mkfs.ext4", &["-q", "-F", &image.display().to_string()]).map(drop)
}

fn start(image: &Path, at: &Path, ledger: &Path, bytes: usize) -> Result<Writer, String> {
    let disk = Mount::new(at, &["-o", "loop", &image.display().to_string()])?;
    let (data, ledger) = (disk.path().join("data").display().to_string(), ledger.display().to_string());
    let mut command = host(None, &["write", &data, &ledger, "100000000", &bytes.to_string()]);
    let host = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    Ok(Writer { host, disk })
}

/// Waits until the ledger has so many lines. Not a timing: only a hang reaches the end.
fn wait_for(ledger: &Ledger, lines: usize, writer: &mut Writer) {
    let begun = Instant::now();
    while ledger.lines().len() < lines {
        assert!(begun.elapsed() < Duration::from_secs(120), "the writer hangs");
        assert!(writer.host.try_wait().unwrap().is_none(), "the writer ended by itself");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Copies the image as it is at one moment. The kernel goes on writing while the host stands still, and a copy that it wrote into
/// is of no moment at all: such a one is made again.
fn copy_at_one_moment(image: &Path, copy: &Path, disk: &Path) {
    let device = system("findmnt", &["--noheadings", "--output", "SOURCE", &disk.display().to_string()]).unwrap();
    let stat = format!("/sys/block/{}/stat", device.trim_start_matches("/dev/"));
    // Writes that have ended, and calls that have not.
    let writes = || {
        let stat = fs::read_to_string(&stat).unwrap();
        let field = |n: usize| stat.split_whitespace().nth(n).unwrap().parse::<u64>().unwrap();
        (field(4), field(8))
    };
    let begun = Instant::now();
    loop {
        let before = writes();
        fs::copy(image, copy).unwrap();
        if before.1 == 0 && writes() == before {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "the kernel never stands still");
    }
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let rounds = if is_long() { 30 } else { 5 };
    for round in 0..rounds {
        let bytes = [300, 4_000, 30_000, 600_000][round % 4];
        let root = folder_in_memory();
        let (image, copy) = (root.path().join("image"), root.path().join("copy"));
        if let Err(error) = format(&image) {
            return skip("mkfs.ext4", &error);
        }
        let ledger_path = root.path().join("ledger");
        let mut writer = match start(&image, &root.path().join("disk"), &ledger_path, bytes) {
            Ok(writer) => writer,
            Err(error) => return skip("root and loop devices", &error),
        };
        let ledger = Ledger::at(&ledger_path);
        let lines = if bytes > 100_000 { 12 } else { 80 } + round * 7 % 23;
        wait_for(&ledger, lines, &mut writer);
        writer.signal("-STOP");
        // What the ledger says by now was acknowledged before the copy; what comes later is not asked for.
        let acknowledged = fs::read(&ledger_path).unwrap();
        copy_at_one_moment(&image, &copy, writer.disk.path());
        writer.signal("-CONT");
        drop(writer);
        fs::write(&ledger_path, acknowledged).unwrap();
        let disk = Mount::new(&root.path().join("cut"), &["-o", "loop", &copy.display().to_string()]).unwrap();
        assert_acknowledged(&disk.path().join("data"), &ledger, bytes, &format!("round {round}, {bytes} bytes"));
    }
}
