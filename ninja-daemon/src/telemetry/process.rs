//! What the operating system says of this process, read when somebody collects.

use std::{fs, time::Instant};

use ninja_core::telemetry::names;
use opentelemetry::metrics::Meter;

/// Lets whoever collects read it. What cannot be read is left out.
pub(super) fn observe(meter: &Meter) {
    let memory = meter.u64_observable_gauge(names::PROCESS_MEMORY).with_unit("By");
    memory
        .with_description("Memory of the process that is in use")
        .with_callback(|observer| resident_bytes().into_iter().for_each(|bytes| observer.observe(bytes, &[])))
        .build();
    let open = meter.u64_observable_gauge(names::PROCESS_FILES).with_unit("{file_descriptor}");
    open.with_description("File descriptors that are open")
        .with_callback(|observer| open_files().into_iter().for_each(|count| observer.observe(count, &[])))
        .build();
    let started = Instant::now();
    let uptime = meter.f64_observable_gauge(names::PROCESS_UPTIME).with_unit("s");
    uptime
        .with_description("How long the process has run")
        .with_callback(move |observer| observer.observe(started.elapsed().as_secs_f64(), &[]))
        .build();
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))?;
    kibibytes.parse::<u64>().ok()?.checked_mul(1024)
}

fn open_files() -> Option<u64> {
    // Reading the folder opens one more.
    u64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()?.checked_sub(1)
}
