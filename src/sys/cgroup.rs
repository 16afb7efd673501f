//! How often the kernel has killed a process of drainit's own control group because memory ran out.
//!
//! Read only from a cgroup file system, which is the kernel's own memory. Anything else that is mounted there could wait for another
//! program.

use std::ffi::CString;

use super::procfs;

/// The count; `None` if it cannot be read, as in a container that does not see its cgroup.
#[must_use]
pub fn oom_kills() -> Option<u64> {
    let mut groups = Groups::default();
    procfs::each_line_while(c"/proc/self/cgroup", |line| groups.note(line));
    let mut file = File::default();
    procfs::each_line_while(c"/proc/self/mountinfo", |line| file.look_for(&groups, line));
    let path = CString::new(file.path()?).ok()?;
    let mut kills = None;
    procfs::each_line_while(&path, |line| {
        kills = count(line);
        kills.is_none()
    });
    kills
}

/// `oom_kill N`, in `memory.events` (version 2) and in `memory.oom_control` (version 1).
fn count(line: &str) -> Option<u64> {
    line.strip_prefix("oom_kill ")?.trim().parse().ok()
}

/// The control groups of this process, as the lines of /proc/self/cgroup have them (cgroups(7)).
#[derive(Debug, Default)]
struct Groups {
    version_1: Option<String>,
    version_2: Option<String>,
}

impl Groups {
    /// Takes in a line. Returns true, because any later line may matter.
    fn note(&mut self, line: &str) -> bool {
        let mut parts = line.splitn(3, ':').skip(1);
        if let (Some(controllers), Some(path)) = (parts.next(), parts.next()) {
            if controllers.split(',').any(|one| one == "memory") {
                self.version_1 = Some(path.to_owned());
            } else if line.starts_with("0::") {
                self.version_2 = Some(path.to_owned());
            }
        }
        true
    }
}

/// The file with the count, in the first mount that shows this process's group. Version 1 comes first.
#[derive(Debug, Default)]
struct File {
    version_1: Option<String>,
    version_2: Option<String>,
}

impl File {
    /// Takes in a line of /proc/self/mountinfo (proc_pid_mountinfo(5)). Returns whether a later one may matter.
    fn look_for(&mut self, groups: &Groups, line: &str) -> bool {
        if let Some(path) = &groups.version_1 {
            self.version_1 = folder(line, path, "cgroup", "memory");
        }
        if let (Some(path), None) = (&groups.version_2, &self.version_2) {
            self.version_2 = folder(line, path, "cgroup2", "");
        }
        self.version_1.is_none() && (groups.version_1.is_some() || self.version_2.is_none())
    }

    fn path(self) -> Option<String> {
        let version_1 = self.version_1.map(|folder| folder + "/memory.oom_control");
        version_1.or_else(|| self.version_2.map(|folder| folder + "/memory.events"))
    }
}

/// The folder in which this mount shows this path of the hierarchy.
fn folder(line: &str, path: &str, kind: &str, option: &str) -> Option<String> {
    let (mount, system) = line.split_once(" - ")?;
    let mut system = system.split(' ');
    let (found, options) = (system.next()?, system.nth(1)?);
    if found != kind || !(option.is_empty() || options.split(',').any(|one| one == option)) {
        return None;
    }
    let mut mount = mount.split(' ').skip(3);
    let (root, point) = (mount.next()?, mount.next()?);
    let below = path.strip_prefix(root.trim_end_matches('/'))?;
    Some(format!("{point}/{}", below.trim_start_matches('/')).trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file, and how many lines of the mounts were read for it.
    fn file(groups: &str, mounts: &str) -> (Option<String>, usize) {
        let (mut own, mut file, mut read) = (Groups::default(), File::default(), 0);
        assert!(groups.lines().all(|line| own.note(line)));
        for line in mounts.lines() {
            read += 1;
            if !file.look_for(&own, line) {
                break;
            }
        }
        (file.path(), read)
    }

    #[test]
    fn the_file_is_found_in_either_version() {
        let mounts = "25 1 0:5 / /proc rw - proc proc rw\n\
                      30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
                      31 25 0:27 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      32 25 0:28 / /mnt rw - tmpfs tmpfs rw\n";
        let both = "9:memory:/docker/abc\n0::/docker/abc\n";
        let is = |groups: &str, mounts: &str, path: &str, read: usize| {
            assert_eq!(file(groups, mounts), (Some(path.to_owned()), read), "{groups}");
        };
        is(both, mounts, "/sys/fs/cgroup/memory/memory.oom_control", 3);
        is("0::/a/b\n", mounts, "/sys/fs/cgroup/a/b/memory.events", 2);
        is("0::/\n", mounts, "/sys/fs/cgroup/memory.events", 2);
        // A hierarchy of version 1 that is not mounted, and two mounts of version 2.
        let mounts = mounts.replace("cgroup cgroup rw,memory", "cgroup2 cgroup2 rw");
        is(both, &mounts, "/sys/fs/cgroup/docker/abc/memory.events", 4);
        assert_eq!(file("0::/\n", "25 1 0:5 / /sys/fs/cgroup rw - fuse.x x rw\n"), (None, 1));
    }

    #[test]
    fn the_count_is_read() {
        let count = |text: &str| text.lines().find_map(count);
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), Some(3));
        assert_eq!(count("low 0\noom 2\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(count("low 0\n"), None);
    }
}
