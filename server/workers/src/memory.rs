//! How much memory there is and who takes it. Readings only: what to do about them is the core's decision.
//!
//! Each reading takes a few small files of `/proc` and `/sys`, about 0.1 ms in all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Memory of the machine and of the control group that this process is in, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Of the machine.
    pub total: u64,
    /// Of the machine, what can be had without swapping (`MemAvailable`).
    pub available: u64,
    /// What the control groups that this process is in allow, if one of them has a limit below the machine's total.
    pub group: Option<Group>,
}

/// Control groups with a limit, the process's own and those around it taken together, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// The lowest of their limits.
    pub limit: u64,
    /// What can still be taken before the first of them runs out. File pages that the kernel would drop before count as free.
    pub left: u64,
}

impl Memory {
    /// What this process and its children may use at most: the machine's memory or the groups' limit.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.group.map_or(self.total, |group| group.limit.min(self.total))
    }

    /// What they can still take, whichever of machine and groups runs out first.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.group.map_or(self.available, |group| group.left.min(self.available))
    }
}

/// Memory of one process, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Its own: what ending it gives back (pages shared with its template excepted).
    pub anonymous: u64,
    /// Mapped files, programs and libraries above all.
    pub file: u64,
    /// Shared memory, of which object arenas are part; ending the process gives nothing of it back.
    pub shared: u64,
}

impl Usage {
    /// All that is resident (RSS).
    #[must_use]
    pub fn resident(&self) -> u64 {
        self.anonymous + self.file + self.shared
    }
}

/// Reads the machine's and the control group's memory.
pub fn read() -> io::Result<Memory> {
    read_at(Path::new("/"))
}

/// The memory that a node may count on: the machine's, or its control group's limit if that is less.
pub fn system_memory() -> io::Result<u64> {
    read().map(|memory| memory.limit())
}

/// Reads a process's memory; `None` if it is gone (or a zombie, which has none).
#[must_use]
pub fn usage(pid: u32) -> Option<Usage> {
    parse_status(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// Bytes of a process that ending it would give back. `None` if it is gone.
#[must_use]
pub fn rss(pid: u32) -> Option<u64> {
    usage(pid).map(|usage| usage.anonymous)
}

fn read_at(root: &Path) -> io::Result<Memory> {
    let path = root.join("proc/meminfo");
    let meminfo = fs::read_to_string(&path)?;
    let field = |name| {
        kilobytes(&meminfo, name).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} has no {name}", path.display()))
        })
    };
    let total = field("MemTotal:")?;
    let available = field("MemAvailable:")?;
    let group = groups(root)
        .into_iter()
        .filter_map(|group| group.read())
        .filter(|group| group.limit < total)
        .reduce(|a, b| Group { limit: a.limit.min(b.limit), left: a.left.min(b.left) });
    Ok(Memory { total, available, group })
}

fn parse_status(status: &str) -> Option<Usage> {
    Some(Usage {
        anonymous: kilobytes(status, "RssAnon:")?,
        file: kilobytes(status, "RssFile:")?,
        shared: kilobytes(status, "RssShmem:")?,
    })
}

/// The value of a line such as `MemTotal:   16331752 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The directory of a control group, and how its files are called.
#[derive(Debug, PartialEq, Eq)]
struct GroupFiles {
    directory: PathBuf,
    version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl GroupFiles {
    fn read(&self) -> Option<Group> {
        let (limit, used, cache) = match self.version {
            Version::One => ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            Version::Two => ("memory.max", "memory.current", "inactive_file"),
        };
        let number = |name| fs::read_to_string(self.directory.join(name)).ok()?.trim().parse::<u64>().ok();
        // Version 2 says "max" where there is none, which is no number.
        let limit = number(limit)?;
        let used = number(used)?;
        let stat = fs::read_to_string(self.directory.join("memory.stat")).unwrap_or_default();
        let droppable = stat
            .lines()
            .find_map(|line| line.strip_prefix(cache)?.strip_prefix(' ')?.parse::<u64>().ok())
            .unwrap_or(0);
        Some(Group { limit, left: limit.saturating_sub(used.saturating_sub(droppable)) })
    }
}

/// The control groups that limit this process's memory: its own and all above it.
fn groups(root: &Path) -> Vec<GroupFiles> {
    let read = |path| fs::read_to_string(root.join(path)).unwrap_or_default();
    let (memberships, mounts) = (read("proc/self/cgroup"), read("proc/self/mountinfo"));
    let mut all = Vec::new();
    for line in memberships.lines() {
        // "hierarchy:controllers:path"
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let version = match controllers {
            "" => Version::Two,
            _ if controllers.split(',').any(|controller| controller == "memory") => Version::One,
            _ => continue,
        };
        let Some((mount_root, mount_point)) = mounts.lines().find_map(|line| mount_of(line, version)) else {
            continue;
        };
        let top = root.join(mount_point.trim_start_matches('/'));
        // Within a container the mount may show only the part below the container's own group.
        let below = Path::new(path).strip_prefix(mount_root).unwrap_or_else(|_| Path::new(""));
        let own = top.join(below);
        all.extend(
            own.ancestors()
                .take_while(|directory| directory.starts_with(&top))
                .map(|directory| GroupFiles { directory: directory.to_owned(), version }),
        );
    }
    all
}

/// Root and mount point, if this line of mountinfo is the mount of control groups with memory in them.
fn mount_of(line: &str, version: Version) -> Option<(&str, &str)> {
    // "36 35 98:0 root mount-point options optional… - type source super-options"
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let (root, point) = (before.next()?, before.next()?);
    let mut after = after.split(' ');
    let (kind, options) = (after.next()?, after.nth(1)?);
    let fits = match version {
        Version::One => kind == "cgroup" && options.split(',').any(|option| option == "memory"),
        Version::Two => kind == "cgroup2",
    };
    fits.then_some((root, point))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of 16 GiB with 8 GiB available, and the given files.
    fn machine(files: &[(&str, &str)]) -> Memory {
        let root = tempfile::tempdir().unwrap();
        let meminfo = "MemTotal:       16777216 kB\nMemFree:  1 kB\nMemAvailable:    8388608 kB\n";
        for (path, text) in [("proc/meminfo", meminfo)].iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        read_at(root.path()).unwrap()
    }

    const GIB: u64 = 1 << 30;

    #[test]
    fn without_control_groups_the_machine_is_all() {
        let memory = machine(&[]);
        assert_eq!(memory, Memory { total: 16 * GIB, available: 8 * GIB, group: None });
        assert_eq!((memory.limit(), memory.left()), (16 * GIB, 8 * GIB));
    }

    #[test]
    fn the_tightest_group_of_version_two_counts_and_cache_does_not() {
        let memory = machine(&[
            ("proc/self/cgroup", "0::/jobs/one\n"),
            ("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/jobs/one/memory.max", "max\n"),
            ("sys/fs/cgroup/jobs/one/memory.current", "1\n"),
            ("sys/fs/cgroup/jobs/memory.max", "4294967296\n"),
            ("sys/fs/cgroup/jobs/memory.current", "3221225472\n"),
            ("sys/fs/cgroup/jobs/memory.stat", "anon 5\nfile 7\ninactive_file 1073741824\n"),
        ]);
        assert_eq!(memory.group, Some(Group { limit: 4 * GIB, left: 2 * GIB }));
        assert_eq!((memory.limit(), memory.left()), (4 * GIB, 2 * GIB));
    }

    #[test]
    fn of_nested_groups_one_may_be_smaller_and_another_fuller() {
        let memory = machine(&[
            ("proc/self/cgroup", "0::/jobs/one\n"),
            ("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/jobs/one/memory.max", "4294967296\n"),
            ("sys/fs/cgroup/jobs/one/memory.current", "0\n"),
            ("sys/fs/cgroup/jobs/memory.max", "8589934592\n"),
            ("sys/fs/cgroup/jobs/memory.current", "7516192768\n"),
        ]);
        assert_eq!((memory.limit(), memory.left()), (4 * GIB, GIB));
    }

    #[test]
    fn version_one_inside_a_container_is_found_below_its_mount() {
        let memory = machine(&[
            ("proc/self/cgroup", "9:pids:/docker/abc\n8:cpu,memory:/docker/abc\n0::/\n"),
            (
                "proc/self/mountinfo",
                "40 30 0:30 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                 41 30 0:31 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
            ),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1073741824\n"),
        ]);
        assert_eq!(memory.group, Some(Group { limit: 2 * GIB, left: GIB }));
    }

    #[test]
    fn a_limit_above_the_machine_is_none() {
        let memory = machine(&[
            ("proc/self/cgroup", "8:memory:/\n"),
            ("proc/self/mountinfo", "41 30 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1073741824\n"),
        ]);
        assert_eq!(memory.group, None);
    }

    #[test]
    fn this_machine_and_this_process_can_be_read() {
        let memory = read().unwrap();
        assert!(memory.available <= memory.total && memory.left() <= memory.available);
        assert_eq!(system_memory().unwrap(), memory.limit());
        let usage = usage(std::process::id()).unwrap();
        assert!(usage.anonymous > 0 && usage.resident() < memory.total);
        assert_eq!(super::usage(u32::MAX), None);
    }
}
