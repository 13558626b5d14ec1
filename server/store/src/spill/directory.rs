//! The directory of one server's spilled objects, and getting rid of those of servers that died.
//!
//! Under the root that all servers of a machine may share, each living server has a directory `spill-<pid>-<n>` and holds a lock on the
//! file `spill-<pid>-<n>.lock` beside it. The kernel lets go of the lock however the server ends, so a directory without a locked file is a
//! leftover. A lock on the file `lock` of the root keeps two servers from starting, or cleaning up, at once.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use tracing::{info, warn};

const PREFIX: &str = "spill-";

/// This server's own directory under the root; removed, with all that is in it, when dropped.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    lock_path: PathBuf,
    // Held locked for as long as this lives.
    _lock: File,
}

impl Directory {
    /// Makes a directory under `root` (made too if need be) after removing those of dead servers.
    pub(super) fn create(root: &Path) -> io::Result<Directory> {
        DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        // An object store wants absolute paths, and the node may change its working directory.
        let root = root.canonicalize()?;
        let root_lock = open_lock_file(&root.join("lock"))?;
        rustix::fs::flock(&root_lock, FlockOperation::LockExclusive)?;

        remove_leftovers(&root)?;

        for n in 0_u32.. {
            let name = format!("{PREFIX}{}-{n}", std::process::id());
            let path = root.join(&name);
            let lock_path = root.join(name + ".lock");
            // Whoever holds it lives, under the same process number in another container, or is this very process.
            let lock = open_lock_file(&lock_path)?;
            if !try_lock(&lock)? {
                continue;
            }
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Directory { path, lock_path, _lock: lock }),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
        Err(io::Error::other("every name for a spill directory is taken"))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // The directory first: a lock file without a directory is harmless, and this order leaves nothing without its lock.
        match fs::remove_dir_all(&self.path).and_then(|()| fs::remove_file(&self.lock_path)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                warn!(path = %self.path.display(), "cannot remove the spill directory: {e}");
            }
            _ => {}
        }
    }
}

/// Removes what servers left behind that were killed. The caller holds the root's lock.
fn remove_leftovers(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let stem = name.strip_suffix(".lock").unwrap_or(name);
        let (path, lock_path) = (root.join(stem), root.join(format!("{stem}.lock")));
        // What cannot be removed (another user's, say) is not worth refusing to start for.
        if let Err(e) = remove_leftover(&path, &lock_path) {
            warn!(path = %path.display(), "cannot remove a leftover spill directory: {e}");
        }
    }
    Ok(())
}

fn remove_leftover(path: &Path, lock_path: &Path) -> io::Result<()> {
    let lock = open_lock_file(lock_path)?;
    if !try_lock(&lock)? {
        return Ok(());
    }
    match fs::remove_dir_all(path) {
        Ok(()) => info!(path = %path.display(), "removed what a dead server had spilled"),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    fs::remove_file(lock_path)
}

fn open_lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn try_lock(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_of_the_dead_go_and_what_the_living_hold_stays() {
        let root = tempfile::tempdir().unwrap();
        let living = Directory::create(root.path()).unwrap();
        fs::write(living.path().join("object"), b"alive").unwrap();
        // A server killed with its objects spilled: a directory, and a lock file that nobody holds.
        let dead = root.path().join("spill-1-0");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("object"), b"dead").unwrap();
        fs::write(root.path().join("spill-1-0.lock"), b"").unwrap();
        // One whose lock file is gone as well, and a lock file alone.
        fs::create_dir(root.path().join("spill-2-0")).unwrap();
        fs::write(root.path().join("spill-3-0.lock"), b"").unwrap();
        // Not ours at all.
        fs::write(root.path().join("notes.txt"), b"keep").unwrap();

        let second = Directory::create(root.path()).unwrap();

        assert_ne!(living.path(), second.path());
        assert_eq!(fs::read(living.path().join("object")).unwrap(), b"alive");
        assert!(root.path().join("notes.txt").exists());
        for gone in ["spill-1-0", "spill-1-0.lock", "spill-2-0", "spill-2-0.lock", "spill-3-0.lock"] {
            assert!(!root.path().join(gone).exists(), "{gone}");
        }
    }

    #[test]
    fn nothing_is_left_after_a_drop() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::create(&root.path().join("made/too")).unwrap();
        fs::write(directory.path().join("object"), b"x").unwrap();
        drop(directory);
        let left: Vec<_> =
            fs::read_dir(root.path().join("made/too")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["lock"]);
    }

    #[test]
    fn only_its_user_may_look_inside() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::create(root.path()).unwrap();
        assert_eq!(fs::metadata(directory.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
