//! What this process can see of itself, as the text of one line.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use nix::dir::Dir;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

/// `state pid=.. …`, the numbers as /proc has them.
pub(crate) fn state() -> io::Result<String> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let status = fs::read_to_string("/proc/self/status")?;
    let unreadable = || io::Error::other("/proc/self/stat is not as in proc(5)");
    let (pid, rest) = stat.split_once(' ').ok_or_else(unreadable)?;
    let (_, rest) = rest.rsplit_once(") ").ok_or_else(unreadable)?;
    let mut fields = rest.split(' ').skip(1);
    let mut next = || fields.next().ok_or_else(unreadable);
    let (ppid, pgrp, sid, _tty, tpgid) = (next()?, next()?, next()?, next()?, next()?);
    let mask = |name: &str| {
        let mut lines = status.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        value.ok_or_else(|| io::Error::other(format!("no {name} in /proc/self/status")))
    };
    Ok(format!(
        "state pid={pid} ppid={ppid} pgrp={pgrp} sid={sid} tpgid={tpgid} SigBlk={} SigIgn={} SigCgt={}",
        mask("SigBlk")?,
        mask("SigIgn")?,
        mask("SigCgt")?
    ))
}

/// `fds 0 1 2`, without those in `own`.
pub(crate) fn descriptors(own: &[RawFd]) -> io::Result<String> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut folder = Dir::open("/proc/self/fd", flags, Mode::empty())?;
    let looking = folder.as_raw_fd();
    let mut open = Vec::new();
    for entry in folder.iter() {
        let descriptor = entry?.file_name().to_str().ok().and_then(|name| name.parse().ok());
        open.extend(descriptor.filter(|descriptor| *descriptor != looking && !own.contains(descriptor)));
    }
    open.sort_unstable();
    Ok(open.iter().fold("fds".to_owned(), |line, descriptor: &RawFd| format!("{line} {descriptor}")))
}

/// `env NAME=value` or `env NAME unset`.
pub(crate) fn environment(name: &OsStr) -> OsString {
    let mut line = OsString::from("env ");
    line.push(name);
    match std::env::var_os(name) {
        Some(value) => {
            line.push("=");
            line.push(value);
        }
        None => line.push(" unset"),
    }
    line
}

/// `cwd /path`.
pub(crate) fn directory() -> io::Result<OsString> {
    let mut line = OsString::from("cwd ");
    line.push(std::env::current_dir()?);
    Ok(line)
}

/// `ids uid=.. gid=.. groups=..,..`.
pub(crate) fn ids() -> io::Result<String> {
    let groups: Vec<String> = nix::unistd::getgroups()?.iter().map(ToString::to_string).collect();
    let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
    Ok(format!("ids uid={uid} gid={gid} groups={}", groups.join(",")))
}
