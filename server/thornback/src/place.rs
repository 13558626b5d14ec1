//! Where a node's directory is if nobody says.

use std::env;
use std::path::PathBuf;

use thornback_transport::Directory;

/// The directory of `thornback start`, which `stop`, `status` and `list` look in: one for each user.
pub(crate) fn of_start() -> PathBuf {
    match runtime_directory() {
        Some(runtime) => runtime.join("thornback"),
        None => env::temp_dir().join(format!("thornback-{}", user())),
    }
}

/// A directory of its own for a node in the foreground, so that any number of them run side by side. Those of nodes that were killed go.
pub(crate) fn of_dev() -> PathBuf {
    let (parent, prefix) = match runtime_directory() {
        Some(runtime) => (runtime, "thornback-dev-".to_owned()),
        None => (env::temp_dir(), format!("thornback-{}-dev-", user())),
    };
    Directory::sweep(&parent, &prefix);
    parent.join(format!("{prefix}{}", std::process::id()))
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
