//! Where a node's directory is if nobody says.

use std::env;
use std::path::PathBuf;

/// The directory of `thornback start`, which `stop`, `status` and `list` look in: one for each user.
pub(crate) fn of_start() -> PathBuf {
    match runtime_directory() {
        Some(runtime) => runtime.join("thornback"),
        None => env::temp_dir().join(format!("thornback-{}", user())),
    }
}

/// A directory of its own for a node in the foreground, so that any number of them run side by side.
pub(crate) fn of_dev() -> PathBuf {
    let process = std::process::id();
    match runtime_directory() {
        Some(runtime) => runtime.join(format!("thornback-dev-{process}")),
        None => env::temp_dir().join(format!("thornback-{}-dev-{process}", user())),
    }
}

/// Where a node spills to. Not in the runtime directory, which is usually in memory.
pub(crate) fn of_spill() -> PathBuf {
    env::temp_dir().join(format!("thornback-{}-spill", user()))
}

fn runtime_directory() -> Option<PathBuf> {
    env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute() && path.is_dir())
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}
