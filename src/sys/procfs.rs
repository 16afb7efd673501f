//! Reading /proc. What the texts mean is decided elsewhere (`processes`).

use std::ffi::{CStr, CString};
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};
use nix::sys::stat::Mode;

use super::{calls, memory, process};

/// A pipe in the place of a file would make open(2) wait for a writer.
const READ_ONLY: OFlag = OFlag::O_RDONLY.union(OFlag::O_CLOEXEC).union(OFlag::O_NONBLOCK);

/// More than the longest `stat`, whose length no user can influence.
const FILE_SIZE: usize = 4096;

/// Whether /proc shows this process's own pid namespace: one that was mounted outside shows other pids.
#[must_use]
pub fn shows_own_namespace() -> bool {
    // Without an allocation: a signal that is forwarded comes by here.
    let mut name = [0_u8; 16];
    // SAFETY: the path ends with a zero, and the buffer is as long as the call is told.
    let length = unsafe { libc::readlink(c"/proc/self".as_ptr(), name.as_mut_ptr().cast(), name.len()) };
    let shown = match usize::try_from(length) {
        Ok(length) => name.get(..length).and_then(parse_pid),
        // A system call filter may refuse that.
        Err(_) => {
            let mut text = buffer();
            read_from(c"/proc/self/stat", &mut text)
                .and_then(|text| parse_pid(text.split(|&byte| byte == b' ').next()?))
        }
    };
    shown == Some(process::id())
}

/// Calls `visit` with the pid and the `stat` line of every process, as long as it returns true.
///
/// Returns whether all of /proc was read.
pub fn each_process_while(visit: &mut dyn FnMut(i32, &[u8]) -> bool) -> bool {
    let Ok(mut proc) = open_directory(c"/proc") else { return false };
    let mut text = [0_u8; FILE_SIZE];
    for entry in proc.iter() {
        // The error would come again and again.
        let Ok(entry) = entry else { return false };
        let name = entry.file_name().to_bytes();
        let Some(pid) = parse_pid(name).filter(|&pid| !process::is_helper(pid)) else { continue };
        match read(pid, "stat", &mut text) {
            Ok(stat) if !visit(pid, stat) => return false,
            // The process is gone, or hidden from this user.
            Ok(_) | Err(Errno::ENOENT | Errno::ESRCH | Errno::EACCES | Errno::EPERM) => {}
            // No file can be opened, or no memory is left: other processes would be missed, too.
            Err(_) => return false,
        }
    }
    true
}

/// As [`each_process_while`], for every process.
pub fn each_process(mut visit: impl FnMut(i32, &[u8])) -> bool {
    each_process_while(&mut |pid, stat| {
        visit(pid, stat);
        true
    })
}

/// What this process has done with its time, apart from waiting for an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeUsed {
    /// It was on a processor.
    pub ran: Duration,
    /// It waited for a processor while others were on it.
    pub starved: Duration,
}

/// `None` if the kernel does not say (`CONFIG_SCHED_INFO`).
#[must_use]
pub fn time_used() -> Option<TimeUsed> {
    let mut text = buffer();
    let mut numbers = read_from(c"/proc/self/schedstat", &mut text)?.split(u8::is_ascii_whitespace);
    let mut next = || std::str::from_utf8(numbers.next()?).ok()?.parse().ok().map(Duration::from_nanos);
    Some(TimeUsed { ran: next()?, starved: next()? })
}

/// The `stat` line of one process, while it exists.
pub fn stat(pid: i32, text: &mut [u8; FILE_SIZE]) -> Option<&[u8]> {
    read(pid, "stat", text).ok()
}

/// A short file of one process, held open: to read it again takes one call. It never shows another process with the same pid.
#[derive(Debug)]
pub struct OpenFile(OwnedFd);

impl OpenFile {
    /// `None` if the process is gone, or no file can be opened.
    #[must_use]
    pub fn open(pid: i32, file: &str) -> Option<Self> {
        open(pid, file).ok().map(Self)
    }

    /// What it shows now, while the process exists and may be read.
    pub fn read<'a>(&self, text: &'a mut [u8; FILE_SIZE]) -> Option<&'a [u8]> {
        let length = nix::sys::uio::pread(&self.0, text, 0).ok()?;
        text.get(..length).filter(|text| !text.is_empty())
    }
}

/// The system call that a process is in, while it exists and may be read (proc(5), `/proc/PID/syscall`).
pub fn system_call(pid: i32, text: &mut [u8; FILE_SIZE]) -> Option<&[u8]> {
    read(pid, "syscall", text).ok()
}

/// The numbers of system calls, as `/proc/PID/syscall` shows them.
pub const RT_SIGTIMEDWAIT: libc::c_long = libc::SYS_rt_sigtimedwait;
/// Only on 32-bit processors; on others no call has this number.
pub const RT_SIGTIMEDWAIT_TIME64: libc::c_long = 421;
pub const WAIT4: libc::c_long = libc::SYS_wait4;
pub const WAITID: libc::c_long = libc::SYS_waitid;
pub const RT_SIGSUSPEND: libc::c_long = libc::SYS_rt_sigsuspend;
pub const READ: libc::c_long = libc::SYS_read;

/// Whether a file with these flags (open(2)) was opened only for reading.
#[must_use]
pub fn is_read_only(flags: u32) -> bool {
    flags & libc::O_ACCMODE.cast_unsigned() == libc::O_RDONLY.cast_unsigned()
}

/// A flag that `fdinfo` shows although it belongs to the descriptor.
pub const CLOSED_ON_EXEC: u32 = libc::O_CLOEXEC.cast_unsigned();

/// More than any file of /proc has: `status` lists up to 65,536 groups.
const LONGEST: usize = 16 << 20;

/// The least room to read into. More is allocated only when none is left: the last read has to find the end of the file.
const ROOM: usize = FILE_SIZE - 64;

/// The whole file of a process: a user can make some of them longer than any fixed buffer. `None` if it is gone, may not be read, or there
/// is no memory.
#[must_use]
pub fn whole_file(pid: i32, name: &str) -> Option<Vec<u8>> {
    open(pid, name).and_then(|file| to_its_end(&file)).ok()
}

/// Calls `visit` with each line of a text file of the kernel, as long as it returns true. A line that is longer than a page is left out, and so is all
/// that cannot be read.
///
/// The file is read in pieces, because the kernel makes no more of its text than it is asked for. (The standard library would repeat a read as
/// often as the kernel returns EINTR.)
pub(super) fn each_line_while(path: &CStr, mut visit: impl FnMut(&str) -> bool) {
    let Ok(file) = nix::fcntl::openat(AT_FDCWD, path, READ_ONLY, Mode::empty()) else { return };
    let (mut text, mut length, mut is_cut) = (buffer(), 0, false);
    loop {
        let end = text.len().min(length + PIECE);
        let read = text.get_mut(length..end).map_or(Ok(0), |room| nix::unistd::read(&file, room));
        let Ok(read @ 1..) = read else { return };
        length += read;
        let mut rest = text.get(..length).unwrap_or_default();
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            let is_whole = !std::mem::take(&mut is_cut);
            if is_whole && std::str::from_utf8(line).is_ok_and(|line| !visit(line)) {
                return;
            }
        }
        let begun = length - rest.len();
        // Of a line without an end in the whole buffer, the end is passed over too.
        is_cut |= rest.len() == text.len();
        length = if is_cut { 0 } else { rest.len() };
        text.copy_within(begun..begun + length, 0);
    }
}

/// How much of it is read at once.
const PIECE: usize = 1024;

fn to_its_end(file: &OwnedFd) -> nix::Result<Vec<u8>> {
    let mut text: Vec<u8> = Vec::new();
    loop {
        let length = text.len();
        if text.capacity() == length {
            if !memory::is_there(2 * length + ROOM) {
                return Err(Errno::ENOMEM);
            }
            text.reserve(ROOM);
        }
        text.resize(text.capacity(), 0);
        let read = nix::unistd::read(file, text.get_mut(length..).unwrap_or_default())?;
        text.truncate(length + read);
        if read == 0 {
            return if text.is_empty() { Err(Errno::ESRCH) } else { Ok(text) };
        }
        if LONGEST < text.len() {
            return Err(Errno::EFBIG);
        }
    }
}

/// As [`whole_file`], for a file that only the process's owner, or a user that may trace it, can read (ptrace(2)).
#[must_use]
pub fn whole_file_as_owner(pid: i32, name: &str) -> Option<Vec<u8>> {
    or_as_owner_of(pid, || open(pid, name).and_then(|file| to_its_end(&file)))
}

/// The target of a process's link, as the kernel names it. The file behind it is not touched.
#[must_use]
pub fn link(pid: i32, name: &str) -> Option<Vec<u8>> {
    let path = format!("/proc/{pid}/{name}");
    or_as_owner_of(pid, || nix::fcntl::readlink(path.as_str()).map(OsStringExt::into_vec))
}

/// Reads, and if that is refused, reads once more with the file system ids of the process's owner.
fn or_as_owner_of<T>(pid: i32, look: impl Fn() -> nix::Result<T>) -> Option<T> {
    match look() {
        Err(Errno::EACCES | Errno::EPERM) => as_owner_of(pid, || look().ok()),
        found => found.ok(),
    }
}

/// Calls a function with the file system ids of the process's owner.
fn as_owner_of<T>(pid: i32, look: impl FnOnce() -> Option<T>) -> Option<T> {
    let owner = nix::sys::stat::stat(format!("/proc/{pid}").as_str()).ok()?;
    let own = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    // SAFETY: a number only. This program has one thread, and a raw call affects no other.
    let set_gid = |gid: u32| unsafe { libc::syscall(calls::SETFSGID, gid) };
    // SAFETY: as above.
    let set_uid = |uid: u32| unsafe { libc::syscall(calls::SETFSUID, uid) };
    // The user may not change the group, so the group is changed first, and changed back last.
    set_gid(owner.st_gid);
    set_uid(owner.st_uid);
    let found = look();
    set_uid(own.0);
    set_gid(own.1);
    process::renew_parent_death_signal();
    found
}

/// The pid that this namespace has assigned last; `None` if the kernel does not show it (`CONFIG_CHECKPOINT_RESTORE`). Not from
/// `/proc/loadavg`, which may be a file of lxcfs in a container: another program would have to answer.
#[must_use]
pub fn last_pid() -> Option<i32> {
    let mut text = [0; 32];
    std::str::from_utf8(read_from(c"/proc/sys/kernel/ns_last_pid", &mut text)?).ok()?.trim().parse().ok()
}

/// The ids of a process's threads; `None` if it is gone.
#[must_use]
pub fn threads(pid: i32) -> Option<Vec<i32>> {
    let path = CString::new(format!("/proc/{pid}/task")).ok()?;
    let mut task = open_directory(&path).ok()?;
    let numbers = task.iter().map_while(Result::ok);
    Some(numbers.filter_map(|entry| parse_pid(entry.file_name().to_bytes())).collect())
}

/// The children of this process, dead ones included; `None` if the kernel does not list them (`CONFIG_PROC_CHILDREN`).
#[must_use]
pub fn own_children() -> Option<Vec<i32>> {
    collected(|visit| each_own_child(visit))
}

/// Calls `visit` with each child of this process, dead ones included but not the helper. Allocates nothing.
///
/// Returns whether the kernel lists them.
pub fn each_own_child(mut visit: impl FnMut(i32)) -> bool {
    shows_own_namespace()
        && each_child_in(c"/proc/thread-self/children", |child| {
            if !process::is_helper(child) {
                visit(child);
            }
        })
}

/// The children of a process that has one thread, dead ones included; `None` if it is gone, or the kernel does not list them.
#[must_use]
pub fn children(pid: i32) -> Option<Vec<i32>> {
    let path = CString::new(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    collected(|visit| each_child_in(&path, visit))
}

/// The pids that are visited, if all were, and there is memory for them.
fn collected(each: impl FnOnce(&mut dyn FnMut(i32)) -> bool) -> Option<Vec<i32>> {
    let (mut pids, mut has_room) = (Vec::new(), true);
    let is_whole = each(&mut |pid| {
        has_room &= pids.len() < pids.capacity() || memory::is_there(2 * size_of_val(pids.as_slice()) + ROOM);
        if has_room {
            pids.push(pid);
        }
    });
    (is_whole && has_room).then_some(pids)
}

fn each_child_in(list: &CStr, mut visit: impl FnMut(i32)) -> bool {
    let Ok(file) = nix::fcntl::openat(AT_FDCWD, list, READ_ONLY, Mode::empty()) else { return false };
    let (mut text, mut begun) = ([0; PIECE], 0);
    loop {
        match nix::unistd::read(&file, &mut text) {
            Ok(length @ 1..) => each_pid(text.get(..length).unwrap_or_default(), &mut begun, &mut visit),
            // The process is gone, and has none.
            Ok(0) | Err(Errno::ESRCH) => return true,
            Err(_) => return false,
        }
    }
}

/// Calls `visit` with each pid in a piece of a list that has a space behind each. `begun` is the one that the piece before ends in, or 0.
pub fn each_pid(piece: &[u8], begun: &mut i32, visit: &mut impl FnMut(i32)) {
    for byte in piece {
        if byte.is_ascii_digit() {
            *begun = begun.wrapping_mul(10).wrapping_add(i32::from(byte - b'0'));
            continue;
        }
        let pid = std::mem::take(begun);
        if 0 < pid {
            visit(pid);
        }
    }
}

/// A buffer for one file.
#[must_use]
pub fn buffer() -> [u8; FILE_SIZE] {
    [0; FILE_SIZE]
}

fn read<'a>(pid: i32, file: &str, text: &'a mut [u8; FILE_SIZE]) -> nix::Result<&'a [u8]> {
    let file = open(pid, file)?;
    let length = nix::unistd::read(&file, text)?;
    text.get(..length).filter(|text| !text.is_empty()).ok_or(Errno::ESRCH)
}

fn read_from<'a>(path: &CStr, text: &'a mut [u8]) -> Option<&'a [u8]> {
    let file = nix::fcntl::openat(AT_FDCWD, path, READ_ONLY, Mode::empty()).ok()?;
    let length = nix::unistd::read(&file, text).ok()?;
    text.get(..length)
}

fn open(pid: i32, file: &str) -> nix::Result<OwnedFd> {
    let mut path = [0_u8; 64];
    let mut rest = path.as_mut_slice();
    write!(rest, "/proc/{pid}/{file}").map_err(|_| Errno::ENAMETOOLONG)?;
    let unused = rest.len();
    let path = path.get(..path.len() - unused).unwrap_or_default();
    // By `openat`: musl's `open` makes another call to set close-on-exec again.
    nix::fcntl::openat(AT_FDCWD, path, READ_ONLY, Mode::empty())
}

/// The open descriptors of this process; empty if /proc is missing.
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lines(text: &[u8], wanted: usize) -> Vec<String> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text).expect("our own file");
        let path = CString::new(file.path().to_str().expect("text")).expect("no zero");
        let mut lines = Vec::new();
        each_line_while(&path, |line| {
            lines.push(line.to_owned());
            lines.len() < wanted
        });
        lines
    }

    #[test]
    fn every_line_comes_once_and_one_that_is_too_long_does_not() {
        let long = |length: usize| "x".repeat(length);
        let good = [long(1500), String::new(), long(FILE_SIZE - 1), "end".to_owned()];
        let [first, empty, full, last] = good.clone();
        let text = [first, empty, full, long(9000), long(FILE_SIZE), last];
        let found = lines((text.join("\n") + "\n").as_bytes(), usize::MAX);
        assert_eq!(found, good);
        assert_eq!(lines(b"a\n\xff\nb\nc\n", 2), ["a", "b"]);
        assert!(lines(b"", 1).is_empty());
        each_line_while(c"/missing", |_| panic!("there is no line"));
    }
    #[test]
    fn pids_are_read_across_the_pieces_of_a_list() {
        let (mut begun, mut pids) = (0, Vec::new());
        for piece in [&b"7 81"[..], b"2 ", b"", b" 4194304", b" 9"] {
            each_pid(piece, &mut begun, &mut |pid| pids.push(pid));
        }
        assert_eq!(pids, [7, 812, 4_194_304], "the kernel ends each with a space");
    }

    #[test]
    fn a_child_is_listed_and_one_that_is_gone_has_none() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().expect("coreutils are there");
        let pid = child.id().cast_signed();
        // This thread has started it.
        assert!(own_children().expect("the kernel lists them").contains(&pid));
        assert_eq!(children(pid), Some(Vec::new()));
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        assert_eq!(children(pid), None);
    }
}
