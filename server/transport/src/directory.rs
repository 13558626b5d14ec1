//! The directory of a running node: its socket, token file and lock. Only its owner may enter it; nothing in it is ever trusted to another user.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};

/// Longest path that fits a Unix socket address, without its final NUL.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// A directory that one node holds: mode 0700, ours, and locked for as long as this value lives.
///
/// Dropping it removes the files that it handed out and, if it made the directory, the directory too (if nothing else is in it).
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    created: bool,
    // Held for its lock.
    _lock: File,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another node holds it.
    #[error(
        "a node already runs in {} (process {pid}): connect to it, end it with `thornback stop --dir {}`, or choose another --dir",
        path.display(), path.display()
    )]
    Held {
        /// The directory.
        path: PathBuf,
        /// Process id as the other node wrote it; "unknown" if it has not yet.
        pid: String,
    },
    /// Others could tamper with it.
    #[error("{} is not safe to listen in: {reason}; choose another --dir or remove it", path.display())]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The socket's path would be too long for the kernel.
    #[error("{} is too long for a Unix socket: at most {SOCKET_PATH_BYTES_MAX} bytes; choose a shorter --dir", path.display())]
    TooLong {
        /// The socket's path.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
}

impl Directory {
    const LOCK: &'static str = "node.pid";
    const SOCKET: &'static str = "node.sock";
    const TOKEN: &'static str = "token";

    /// Creates the directory if need be, checks that nobody else can write to it, and takes its lock.
    pub fn hold(path: &Path) -> Result<Self, DirectoryError> {
        let io = |what| move |source| DirectoryError::Io { what, path: path.to_owned(), source };
        let socket = path.join(Self::SOCKET);
        if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            return Err(DirectoryError::TooLong { path: socket });
        }
        let created = Self::private(path)?;
        let mut lock = Self::lock(path)?;
        let write = |lock: &mut File| {
            lock.set_len(0)?;
            lock.rewind()?;
            writeln!(lock, "{}", std::process::id())
        };
        write(&mut lock).map_err(io("write the lock in"))?;
        // What a node that was killed left behind; the lock says that it is gone.
        for stale in [Self::SOCKET, Self::TOKEN] {
            let _ = fs::remove_file(path.join(stale));
        }
        Ok(Self { path: path.to_owned(), created, _lock: lock })
    }

    fn lock(path: &Path) -> Result<File, DirectoryError> {
        let io = |what| move |source| DirectoryError::Io { what, path: path.to_owned(), source };
        let lock_path = path.join(Self::LOCK);
        loop {
            let lock = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(OFlags::NOFOLLOW.bits() as i32)
                .open(&lock_path)
                .map_err(io("open the lock in"))?;
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                let mut pid = String::new();
                // What stands there is only for the message.
                let _ = (&lock).take(32).read_to_string(&mut pid);
                let pid = if pid.trim().is_empty() { "unknown".to_owned() } else { pid.trim().to_owned() };
                return Err(DirectoryError::Held { path: path.to_owned(), pid });
            }
            // A node that ends removes the file that it has locked. If that was between our opening and our locking it, we have locked
            // what nobody else will find.
            let own = lock.metadata().map_err(io("look at the lock in"))?;
            if fs::symlink_metadata(&lock_path)
                .is_ok_and(|found| (found.dev(), found.ino()) == (own.dev(), own.ino()))
            {
                return Ok(lock);
            }
        }
    }

    /// Makes a directory, and its parents, that nobody else may enter, or checks that the one that is there is such a one. Says whether it
    /// was made.
    pub fn private(path: &Path) -> Result<bool, DirectoryError> {
        let io = |what| move |source| DirectoryError::Io { what, path: path.to_owned(), source };
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(parent)
                .map_err(io("create the parent of"))?;
        }
        let created = match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(io("create")(error)),
        };
        check(path)?;
        Ok(created)
    }

    /// Removes the directories beside each other in `parent` whose names begin with `prefix` and end in the number of a process that is
    /// gone: what nodes left that were killed. Anything that does not look exactly so, or that cannot be removed, stays.
    pub fn sweep(parent: &Path, prefix: &str) {
        let Ok(entries) = fs::read_dir(parent) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| name.strip_prefix(prefix)?.parse::<u32>().ok());
            // One that lives may be about to take its lock.
            if pid.is_none_or(|pid| Path::new("/proc").join(pid.to_string()).exists()) {
                continue;
            }
            let path = entry.path();
            if check(&path).is_ok()
                && !fs::symlink_metadata(path.join(Self::LOCK)).is_ok_and(|lock| lock.is_symlink())
            {
                // Under its lock: a process of that number may live where we cannot see it, in another container.
                if let Ok(lock) = Self::lock(&path) {
                    drop(Self { path, created: true, _lock: lock });
                }
            }
        }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the node's Unix socket is.
    pub fn socket(&self) -> PathBuf {
        self.path.join(Self::SOCKET)
    }

    /// Where the token file is.
    pub fn token(&self) -> PathBuf {
        self.path.join(Self::TOKEN)
    }

    /// The process that holds the directory `path`, if one does. It is an answer about a moment: the process may end at any time after it.
    pub fn holder(path: &Path) -> Option<u32> {
        let mut lock = File::open(path.join(Self::LOCK)).ok()?;
        if flock(&lock, FlockOperation::NonBlockingLockShared).is_ok() {
            return None;
        }
        let mut pid = String::new();
        lock.read_to_string(&mut pid).ok()?;
        pid.trim().parse().ok()
    }

    /// The socket of the node that holds `path`.
    pub fn socket_in(path: &Path) -> PathBuf {
        path.join(Self::SOCKET)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        for name in [Self::SOCKET, Self::TOKEN, Self::LOCK] {
            let _ = fs::remove_file(self.path.join(name));
        }
        if self.created {
            // Refuses if anything else is in it, which is then not ours to remove.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// Refuses a directory that another user could have prepared or could change: a link, another owner, or open to group and others.
fn check(path: &Path) -> Result<(), DirectoryError> {
    let found = fs::symlink_metadata(path).map_err(|source| DirectoryError::Io {
        what: "look at",
        path: path.to_owned(),
        source,
    })?;
    let own = rustix::process::geteuid().as_raw();
    let reason = if found.file_type().is_symlink() {
        "it is a symbolic link".to_owned()
    } else if !found.is_dir() {
        "it is not a directory".to_owned()
    } else if found.uid() != own {
        format!("it belongs to user {} and we are user {own}", found.uid())
    } else if found.mode() & 0o077 != 0 {
        format!("its mode is {:o} and only its owner may have rights (`chmod 700`)", found.mode() & 0o777)
    } else {
        return Ok(());
    };
    Err(DirectoryError::Unsafe { path: path.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn makes_a_private_directory_and_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("deep/node");
        let held = Directory::hold(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert_eq!(Directory::holder(&path), Some(std::process::id()));
        fs::write(held.socket(), "").unwrap();
        drop(held);
        assert!(!path.exists());
        assert_eq!(Directory::holder(&path), None);
    }

    #[test]
    fn keeps_a_directory_that_holds_more() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("node");
        let held = Directory::hold(&path).unwrap();
        fs::write(path.join("diary"), "mine").unwrap();
        drop(held);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    }

    #[test]
    fn is_held_by_one_node_only() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("node");
        let held = Directory::hold(&path).unwrap();
        let refused = Directory::hold(&path).unwrap_err();
        assert!(
            matches!(&refused, DirectoryError::Held { pid, .. } if *pid == std::process::id().to_string()),
            "{refused}"
        );
        drop(held);
        Directory::hold(&path).unwrap();
    }

    #[test]
    fn sweeps_what_killed_nodes_left_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        // No process has such a number.
        let (dead, other) = (parent.path().join("node-4294967295"), parent.path().join("edon-4294967295"));
        let alive = parent.path().join(format!("node-{}", std::process::id()));
        let named = parent.path().join("node-of-mine");
        for path in [&dead, &other, &alive, &named] {
            Directory::private(path).unwrap();
            fs::write(path.join("node.sock"), "").unwrap();
            fs::write(path.join("node.pid"), "1").unwrap();
        }
        let held = parent.path().join("node-4294967294");
        let holder = Directory::hold(&held).unwrap();
        Directory::sweep(parent.path(), "node-");
        assert!(!dead.exists());
        assert!([&other, &alive, &named, &held].iter().all(|path| path.exists()));
        assert!(holder.token().parent().unwrap().join("node.pid").exists());
    }

    #[test]
    fn refuses_links_and_open_doors() {
        let parent = tempfile::tempdir().unwrap();
        let real = parent.path().join("real");
        drop(Directory::hold(&real).unwrap());
        fs::create_dir(&real).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(Directory::hold(&real), Err(DirectoryError::Unsafe { .. })));
        fs::set_permissions(&real, fs::Permissions::from_mode(0o700)).unwrap();
        let link = parent.path().join("link");
        symlink(&real, &link).unwrap();
        assert!(matches!(Directory::hold(&link), Err(DirectoryError::Unsafe { .. })));
        let long = parent.path().join("x".repeat(120));
        assert!(matches!(Directory::hold(&long), Err(DirectoryError::TooLong { .. })));
    }
}
