//! Reading /proc. What the text means is decided elsewhere (`survivors`).

use std::io::Write;
use std::os::fd::AsRawFd;

use nix::dir::Dir;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::process;

/// More than the longest `stat` and than what is needed of `status`.
const FILE_SIZE: usize = 4096;

/// Whether /proc shows this process's own pid namespace: a foreign one, mounted from outside, has other numbers.
#[must_use]
pub fn is_ours() -> bool {
    let own = process::id().to_string();
    nix::fcntl::readlink("/proc/self").is_ok_and(|name| name == *own)
}

/// Calls `visit` with the pid and the `stat` line of every process that is there.
///
/// Returns whether /proc could be read.
pub fn each_process(mut visit: impl FnMut(i32, &[u8])) -> bool {
    let Ok(mut proc) = open_directory("/proc") else { return false };
    let mut text = [0_u8; FILE_SIZE];
    for entry in proc.iter().flatten() {
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

/// Whether the process waits in `sigtimedwait` or one of its kin (proc(5), `/proc/PID/syscall`).
#[must_use]
pub fn takes_signals(pid: i32) -> bool {
    let number = format!("{} ", libc::SYS_rt_sigtimedwait);
    read(pid, "syscall", &mut buffer()).is_some_and(|call| call.starts_with(number.as_bytes()))
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
    let Ok(mut folder) = open_directory("/proc/self/fd") else { return Vec::new() };
    let own = folder.as_raw_fd();
    folder
        .iter()
        .flatten()
        .filter_map(|entry| parse_pid(entry.file_name().to_bytes()))
        .filter(|&descriptor| descriptor != own)
        .collect()
}

fn open_directory(path: &str) -> nix::Result<Dir> {
    Dir::open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

fn parse_pid(name: &[u8]) -> Option<i32> {
    std::str::from_utf8(name).ok()?.parse().ok()
}
