//! What a crash leaves behind of memory: nothing, since keys of providers are there.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// The variable that allows core dumps.
const CORE_DUMPS: &str = "NINJA_CORE_DUMPS";

/// Keeps memory out of files, and from programs of the same user that would look into it, unless a variable allows that.
pub fn forbid_core_dumps() {
    if std::env::var_os(CORE_DUMPS).is_some_and(|value| value == "1") {
        return;
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        eprintln!("warning: core dumps cannot be forbidden: {error}");
    }
}
