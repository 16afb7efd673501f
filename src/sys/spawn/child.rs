//! The child's life between clone and exec.

use std::ffi::{c_int, c_long, c_void};
use std::io;
use std::ptr;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid};

use super::super::tty::Terminal;
use super::super::{calls, check, signals};
use super::prepared::{LISTEN_PID, Prepared, SHELL};
use super::{DirectoryAs, STAGES, SpawnStage, StdinSource, word};
use crate::signal::Signal;
use crate::user::User;

/// The child's life from clone to exec. It shares all memory with drainit, which does not run meanwhile.
pub(super) extern "C" fn run(argument: *mut c_void) -> c_int {
    // SAFETY: `start` passes its `Prepared`, and does nothing with it until this child has left.
    let prepared = unsafe { &mut *argument.cast::<Prepared>() };
    prepared.has_begun.store(true, Ordering::Relaxed);
    let stage = become_command(prepared).unwrap_or_else(|stage| stage);
    let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    prepared.failed_errno.store(errno, Ordering::Relaxed);
    let number = STAGES.iter().position(|&known| known == stage).unwrap_or(0);
    let number = i32::try_from(number).unwrap_or(0);
    prepared.failed_stage.store(number, Ordering::Relaxed);
    if let Some(word) = prepared.word {
        word::write(word, number, errno, prepared.failed_file);
    }
    127
}

/// Returns only if something failed. The order matters:
/// - the terminal while everything is blocked (TTOU would stop a background process that takes it);
/// - supplementary groups, then the group, then the user, because the user may not change groups any more;
/// - the parent death signal after them, because changing ids clears it (prctl(2));
/// - the mask last, so that no signal finds a half-made child.
fn become_command(prepared: &mut Prepared) -> Result<SpawnStage, SpawnStage> {
    // SAFETY: two numbers. It cannot fail for a new child that leads no session.
    unsafe { libc::setpgid(0, 0) };
    // SAFETY: no arguments.
    let own_pid = unsafe { libc::getpid() };
    if let Some(terminal) = prepared.terminal {
        // SAFETY: the pointer is to an int of ours. A failure costs the foreground, not the start.
        unsafe { libc::ioctl(terminal, libc::TIOCSPGRP, &raw const own_pid) };
    }
    if let Some(directory) = prepared.begins_in {
        // SAFETY: a number only. That it can be entered was tried before.
        check(c_long::from(unsafe { libc::fchdir(directory) })).map_err(|_| SpawnStage::Directory)?;
    }
    if prepared.stdin == StdinSource::Null {
        take_null_as_stdin();
        stay_in_background();
    }
    // The user need not be able to enter the directory that drainit was started in.
    if prepared.directory_as == DirectoryAs::Init {
        enter_directory(prepared)?;
    }
    if let Some(user) = prepared.user {
        take_ids(user)?;
    }
    if prepared.directory_as == DirectoryAs::User {
        enter_directory(prepared)?;
    }
    if let Some(signal) = prepared.parent_death_signal {
        // SAFETY: numbers only.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal.number(), 0, 0, 0) };
        // SAFETY: no arguments.
        if unsafe { libc::getppid() } != prepared.parent {
            return Err(SpawnStage::Parent);
        }
    }
    if let Some(room) = &mut prepared.listen_pid {
        write_number(own_pid.cast_unsigned(), room.iter_mut().skip(LISTEN_PID.len()));
    }
    signals::set_mask(prepared.mask);
    execute(prepared);
    Err(SpawnStage::Exec)
}

/// A process that never gets the terminal must not be stopped when it writes to it or reads from it (termios(3), TOSTOP).
fn stay_in_background() {
    if Terminal::open().is_some() {
        signals::ignore(Signal::TTIN);
        signals::ignore(Signal::TTOU);
    }
}

fn enter_directory(prepared: &Prepared) -> Result<(), SpawnStage> {
    if let Some(directory) = &prepared.directory {
        // SAFETY: a string that ends in NUL.
        check(c_long::from(unsafe { libc::chdir(directory.as_ptr()) })).map_err(|_| SpawnStage::Directory)?;
    }
    Ok(())
}

/// `/dev/null` as stdin; none if that is missing.
pub(super) fn take_null_as_stdin() {
    // SAFETY: a string that ends in NUL, and a number.
    let null =
        unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY | libc::O_NONBLOCK | libc::O_CLOEXEC) };
    if null == -1 {
        // SAFETY: nothing in this child reads its stdin.
        unsafe { libc::close(libc::STDIN_FILENO) };
    } else if null == libc::STDIN_FILENO {
        // stdin was closed, and `/dev/null` got its number; the exec must not close it.
        // SAFETY: numbers only.
        unsafe { libc::fcntl(null, libc::F_SETFD, 0) };
    } else {
        // SAFETY: both are numbers; the copy has no close-on-exec.
        unsafe { libc::dup2(null, libc::STDIN_FILENO) };
    }
}

/// Raw system calls: the C library's functions of these names would also signal other threads, of which there are none.
pub(super) fn take_ids(user: User) -> Result<(), SpawnStage> {
    let none = ptr::null::<libc::gid_t>();
    // SAFETY: no groups, so the null pointer is not read.
    let _ = check(unsafe { libc::syscall(calls::SETGROUPS, 0, none) });
    // A process that is not allowed to drop groups may have none to drop.
    if !has_only(user.gid) {
        Errno::EPERM.set();
        return Err(SpawnStage::Groups);
    }
    // SAFETY: numbers only.
    check(unsafe { libc::syscall(calls::SETRESGID, user.gid, user.gid, user.gid) })
        .map_err(|_| SpawnStage::GroupId)?;
    // SAFETY: numbers only.
    check(unsafe { libc::syscall(calls::SETRESUID, user.uid, user.uid, user.uid) })
        .map_err(|_| SpawnStage::UserId)?;
    check_ids(user)
}

/// A kernel, an emulator or a filter that ignores the number, or a part of it, must not turn a user into root.
fn check_ids(user: User) -> Result<(), SpawnStage> {
    let gids =
        nix::unistd::getresgid().map(|found| [found.real, found.effective, found.saved].map(Gid::as_raw));
    let uids =
        nix::unistd::getresuid().map(|found| [found.real, found.effective, found.saved].map(Uid::as_raw));
    let wrong = match (gids == Ok([user.gid; 3]), uids == Ok([user.uid; 3])) {
        (true, true) => return Ok(()),
        (false, _) => SpawnStage::GroupId,
        (true, false) => SpawnStage::UserId,
    };
    Errno::EINVAL.set();
    Err(wrong)
}

/// Whether this process has no supplementary group, or only this one.
fn has_only(gid: libc::gid_t) -> bool {
    let mut groups: [libc::gid_t; 64] = [0; 64];
    // SAFETY: the length and the pointer are of one array.
    let found = unsafe { libc::getgroups(64, groups.as_mut_ptr()) };
    usize::try_from(found).is_ok_and(|found| groups.iter().take(found).all(|group| *group == gid))
}

/// Writes decimal digits without allocating; the bytes after them are NUL already.
fn write_number<'a>(number: u32, to: impl Iterator<Item = &'a mut u8>) {
    let digits = number.checked_ilog10().unwrap_or(0);
    for (place, byte) in (0..=digits).rev().zip(to) {
        *byte = b'0' + u8::try_from(number / 10_u32.pow(place) % 10).unwrap_or(0);
    }
}

/// Tries the candidates as execvp(3) does; errno is left for the report.
fn execute(prepared: &mut Prepared) {
    let mut denied = false;
    let (argv, environment) = (prepared.argv.as_ptr(), prepared.environment());
    let (shell_argv, file) = (&mut prepared.shell_argv, &mut prepared.failed_file);
    let failed = prepared.candidates.find(|candidate| {
        // SAFETY: a path, and two vectors of such strings that end in null.
        unsafe { libc::execve(candidate.as_ptr(), argv, environment) };
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::ENOEXEC) => {
                file.read(candidate);
                if let Some(script) = shell_argv.get_mut(1).filter(|_| file.is_for_the_shell()) {
                    *script = candidate.as_ptr();
                    // SAFETY: as above.
                    unsafe { libc::execve(SHELL.as_ptr(), shell_argv.as_ptr(), environment) };
                }
                Some(())
            }
            Some(libc::EACCES) => {
                denied = true;
                None
            }
            Some(libc::ENOENT
                | libc::ENOTDIR
                | libc::ESTALE
                | libc::ENODEV
                | libc::ETIMEDOUT
                // An entry of PATH that is too long does not count: the C libraries' execvp does not even try it.
                | libc::ENAMETOOLONG) => None,
            _ => {
                file.read(candidate);
                Some(())
            }
        }
    });
    if failed.is_none() {
        if denied {
            Errno::EACCES.set();
        }
        prepared.candidates.find(|candidate| file.read(candidate).then_some(()));
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    #[test]
    fn numbers_are_written_whole() {
        for number in [0, 1, 9, 10, 99, 100, 4_194_304, u32::MAX] {
            let mut room = [0_u8; 12];
            write_number(number, room.iter_mut());
            let text = CStr::from_bytes_until_nul(&room).expect("a NUL is left");
            assert_eq!(text.to_bytes(), number.to_string().as_bytes());
        }
    }
}
