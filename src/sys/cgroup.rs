//! How often the kernel has killed a process of drainit's own control group because memory ran out.
//!
//! Read only from a cgroup file system, which is the kernel's own memory. Anything else that is mounted there could wait for another
//! program.

use super::procfs;

/// The count; `None` if it cannot be read, as in a container that does not see its cgroup.
#[must_use]
pub fn oom_kills() -> Option<u64> {
    let groups = procfs::text("/proc/self/cgroup")?;
    let mounts = procfs::text("/proc/self/mountinfo")?;
    let file = file(&groups, &mounts)?;
    count(&procfs::text(&file)?)
}

/// `oom_kill N`, in `memory.events` (version 2) and in `memory.oom_control` (version 1).
fn count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// The file's path, from this process's line in /proc/self/cgroup (cgroups(7)) and the mount of that hierarchy (proc_pid_mountinfo(5)).
fn file(groups: &str, mounts: &str) -> Option<String> {
    let version_1 = groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|one| one == "memory").then_some(path)
    });
    let found = version_1.and_then(|path| folder(mounts, path, "cgroup", "memory"));
    if let Some(folder) = found {
        return Some(folder + "/memory.oom_control");
    }
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    folder(mounts, path, "cgroup2", "").map(|folder| folder + "/memory.events")
}

/// Where this path of a hierarchy is mounted.
fn folder(mounts: &str, path: &str, kind: &str, option: &str) -> Option<String> {
    mounts.lines().find_map(|line| {
        let (mount, system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        let mut system = system.split(' ');
        let (found, options) = (system.next()?, system.nth(1)?);
        let is_it = found == kind && (option.is_empty() || options.split(',').any(|one| one == option));
        let below = path.strip_prefix(root.trim_end_matches('/'))?;
        is_it.then(|| format!("{point}/{}", below.trim_start_matches('/')).trim_end_matches('/').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_found_in_either_version() {
        let mounts = "25 1 0:5 / /proc rw - proc proc rw\n\
                      30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
                      31 25 0:27 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let both = "9:memory:/docker/abc\n0::/docker/abc\n";
        assert_eq!(file(both, mounts).as_deref(), Some("/sys/fs/cgroup/memory/memory.oom_control"));
        assert_eq!(file("0::/a/b\n", mounts).as_deref(), Some("/sys/fs/cgroup/a/b/memory.events"));
        assert_eq!(file("0::/\n", mounts).as_deref(), Some("/sys/fs/cgroup/memory.events"));
        assert_eq!(file("0::/\n", "25 1 0:5 / /sys/fs/cgroup rw - fuse.x x rw\n"), None);
    }

    #[test]
    fn the_count_is_read() {
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), Some(3));
        assert_eq!(count("low 0\noom 2\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(count("low 0\n"), None);
    }
}
