//! Reading /proc. What the text means is decided elsewhere (`survivors`).

use std::ffi::CStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use nix::dir::Dir;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::process;
use crate::signal::SignalSet;

/// More than the longest `stat` and than what is needed of `status`.
const FILE_SIZE: usize = 4096;

/// Whether /proc shows this process's own pid namespace: a foreign one, mounted from outside, has other numbers.
#[must_use]
pub fn is_ours() -> bool {
    let own = process::id().to_string();
    std::fs::read_link("/proc/self").is_ok_and(|name| name.as_os_str() == own.as_str())
}

/// Calls `visit` with the pid and the `stat` line of every process that is there.
///
/// Returns whether /proc could be read.
pub fn each_process(mut visit: impl FnMut(i32, &[u8])) -> bool {
    let Ok(mut proc) = open_directory(c"/proc") else { return false };
    let mut text = [0_u8; FILE_SIZE];
    for entry in proc.iter() {
        // It would come again and again.
        let Ok(entry) = entry else { return false };
        let name = entry.file_name().to_bytes();
        let Some(pid) = parse_pid(name) else { continue };
        if let Some(stat) = read(pid, "stat", &mut text) {
            visit(pid, stat);
        }
    }
    true
}

/// The `stat` line of one process, as long as it is there.
pub fn stat(pid: i32, text: &mut [u8; FILE_SIZE]) -> Option<&[u8]> {
    read(pid, "stat", text)
}

/// The `status` file of one process, as long as it is there.
pub fn status(pid: i32, text: &mut [u8; FILE_SIZE]) -> Option<&[u8]> {
    read(pid, "status", text)
}

/// What a process waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// These signals, in `sigtimedwait` or one of its kin; none where it waits for something else.
    Signals(SignalSet),
    /// It is running, or about to.
    Running,
    /// We may not look, or there is nothing to look at.
    Hidden,
}

/// The signals that the process waits for.
///
/// The system call and its arguments stand in `/proc/PID/syscall` (proc(5)); the first one points to the set. Who may look is
/// who may trace: with the process's own file system ids that is also somebody who has not the capability (ptrace(2)).
#[must_use]
pub fn awaited_signals(pid: i32) -> Awaited {
    let mut text = buffer();
    let Some(call) = read(pid, "syscall", &mut text)
        .map(<[u8]>::to_vec)
        .or_else(|| as_owner_of(pid, || read(pid, "syscall", &mut buffer()).map(<[u8]>::to_vec)))
    else {
        return Awaited::Hidden;
    };
    if call.starts_with(b"running") {
        return Awaited::Running;
    }
    let Some(address) = awaited_set(&call) else { return Awaited::Signals(SignalSet::default()) };
    let set = || {
        let mut set = [0; size_of::<u64>()];
        File::open(format!("/proc/{pid}/mem")).ok()?.read_exact_at(&mut set, address).ok()?;
        Some(SignalSet::from_bits(u64::from_ne_bytes(set)))
    };
    set().or_else(|| as_owner_of(pid, set)).map_or(Awaited::Hidden, Awaited::Signals)
}

/// Does something with the file system ids of the process's owner.
fn as_owner_of<T>(pid: i32, look: impl FnOnce() -> Option<T>) -> Option<T> {
    let owner = nix::sys::stat::stat(format!("/proc/{pid}").as_str()).ok()?;
    let own = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    // SAFETY: a number only, and this program has one thread; a raw call, which tells no other ones.
    let set_gid = |gid: u32| unsafe { libc::syscall(libc::SYS_setfsgid, gid) };
    // SAFETY: as above.
    let set_uid = |uid: u32| unsafe { libc::syscall(libc::SYS_setfsuid, uid) };
    // The user may not change the group: that comes first, and is changed back last.
    set_gid(owner.st_gid);
    set_uid(owner.st_uid);
    let found = look();
    set_uid(own.0);
    set_gid(own.1);
    process::renew_parent_death_signal();
    found
}

/// The pid that this namespace has given away last (proc(5), `/proc/loadavg`).
#[must_use]
pub fn last_pid() -> Option<i32> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_ascii_whitespace().next_back()?.parse().ok()
}

/// Where the set is: `NUMBER 0xFIRST ...`.
fn awaited_set(syscall: &[u8]) -> Option<u64> {
    let mut words = std::str::from_utf8(syscall).ok()?.split_ascii_whitespace();
    let number: libc::c_long = words.next()?.parse().ok()?;
    let first = words.next()?.strip_prefix("0x")?;
    (number == libc::SYS_rt_sigtimedwait).then(|| u64::from_str_radix(first, 16).ok())?
}

/// The children of this process, dead ones included; `None` where the kernel does not tell (`CONFIG_PROC_CHILDREN`).
#[must_use]
pub fn own_children() -> Option<Vec<i32>> {
    let children = is_ours().then(|| std::fs::read_to_string("/proc/thread-self/children"))?.ok()?;
    Some(children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// A buffer for one file.
#[must_use]
pub fn buffer() -> [u8; FILE_SIZE] {
    [0; FILE_SIZE]
}

fn read<'a>(pid: i32, file: &str, text: &'a mut [u8; FILE_SIZE]) -> Option<&'a [u8]> {
    let mut path = [0_u8; 64];
    let mut rest = path.as_mut_slice();
    write!(rest, "/proc/{pid}/{file}").ok()?;
    let unused = rest.len();
    let path = path.get(..path.len() - unused)?;
    let file = nix::fcntl::open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    let length = nix::unistd::read(&file, text).ok()?;
    text.get(..length).filter(|text| !text.is_empty())
}

/// The open descriptors of this process; empty where /proc is missing.
pub(super) fn own_descriptors() -> Vec<i32> {
    let Ok(mut folder) = open_directory(c"/proc/self/fd") else { return Vec::new() };
    let own = folder.as_raw_fd();
    folder
        .iter()
        .map_while(Result::ok)
        .filter_map(|entry| parse_pid(entry.file_name().to_bytes()))
        .filter(|&descriptor| descriptor != own)
        .collect()
}

fn open_directory(path: &CStr) -> nix::Result<Dir> {
    Dir::open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

fn parse_pid(name: &[u8]) -> Option<i32> {
    std::str::from_utf8(name).ok()?.parse().ok()
}
