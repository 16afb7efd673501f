//! Runs a program under ptrace(2), counts the system calls of drainit in it, and makes one fail.

use std::collections::BTreeMap;
use std::path::Path;

use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// What is to fail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) number: u64,
    /// Which use of it, from 1.
    pub(crate) at: usize,
    pub(crate) error: i32,
    pub(crate) for_ever: bool,
}

/// How often each system call was made, by its number.
pub(crate) type Uses = BTreeMap<u64, usize>;

/// Calls that cannot fail so, or whose failure no program can answer: execve (the start itself), exit, rt_sigreturn, exit_group, arch_prctl,
/// brk, which returns an address and no error, and what returns a number of this process and never an error.
const NEVER: [u64; 14] = [59, 60, 15, 231, 158, 12, 39, 102, 104, 107, 108, 110, 111, 186];
/// A stop of the whole process (ptrace(2), `PTRACE_EVENT_STOP`).
const STOP: i32 = 128;
/// rt_sigprocmask: drainit's first call; what comes before it is the loader's.
const FIRST: u64 = 14;

/// Without these no file of /proc can be opened or read: read, openat.
pub(crate) const SIGHT: [u64; 2] = [0, 257];
/// In the place of a call's number: no memory is given any more from the `at`-th call of any kind on.
pub(crate) const MEMORY: u64 = u64::MAX;
/// mmap, brk, mremap.
const GIVES_MEMORY: [u64; 3] = [9, 12, 25];
/// ppoll, signalfd4, prlimit64, pidfd_open, close_range: calls that are newer than some filters.
pub(crate) const MAY_DO_NOTHING: [u64; 5] = [271, 289, 302, 434, 436];
/// Its first use makes orphans drainit's.
pub(crate) const PRCTL: u64 = 157;

fn executes(pid: Pid, program: &Path) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|name| name == program)
}

fn wait(pid: Option<Pid>) -> nix::Result<WaitStatus> {
    waitpid(pid.unwrap_or(Pid::from_raw(-1)), Some(WaitPidFlag::__WALL))
}

/// Follows a stopped process until this program has been executed in it or in a child, and lets all others go.
pub(crate) fn find(first: Pid, program: &Path) -> Option<Pid> {
    let follow = Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACESYSGOOD;
    ptrace::seize(first, follow).ok()?;
    nix::sys::signal::kill(first, Signal::SIGCONT).ok()?;
    let mut others = Vec::new();
    loop {
        let status = wait(None).ok()?;
        let pid = status.pid()?;
        match status {
            WaitStatus::PtraceEvent(_, _, event) if event == Event::PTRACE_EVENT_EXEC as i32 => {
                if executes(pid, program) {
                    ptrace::setoptions(pid, Options::PTRACE_O_TRACESYSGOOD).ok()?;
                    for other in others.into_iter().filter(|other| *other != pid) {
                        release(other);
                    }
                    return Some(pid);
                }
                others.push(pid);
                ptrace::cont(pid, None).ok()?;
            }
            WaitStatus::Stopped(_, signal) => {
                others.push(pid);
                let signal = Some(signal)
                    .filter(|it| !matches!(it, Signal::SIGSTOP | Signal::SIGTRAP | Signal::SIGCONT));
                ptrace::cont(pid, signal).ok()?;
            }
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return None,
            WaitStatus::PtraceEvent(..)
            | WaitStatus::PtraceSyscall(_)
            | WaitStatus::Continued(_)
            | WaitStatus::StillAlive => {
                others.push(pid);
                ptrace::cont(pid, None).ok()?;
            }
        }
    }
}

/// Ends the tracing of a process that runs: it has to stop for that.
fn release(pid: Pid) {
    if ptrace::interrupt(pid).is_ok() {
        let _ = wait(Some(pid));
        let _ = ptrace::detach(pid, None);
    }
}

/// Lets a stop be a stop, until a CONT comes.
#[expect(unsafe_code, reason = "nix does not have it")]
fn listen(pid: Pid) -> nix::Result<()> {
    const LISTEN: u32 = 0x4208;
    // SAFETY: this request takes numbers alone.
    nix::errno::Errno::result(unsafe { libc::ptrace(LISTEN, pid.as_raw(), 0, 0) }).map(drop)
}

/// Runs drainit, which is stopped, to its end; returns how it ended and what it called.
pub(crate) fn run(pid: Pid, fault: Option<Fault>) -> (Option<WaitStatus>, Uses) {
    let mut uses = Uses::new();
    // The event of an exec comes before the end of that call.
    let mut is_inside = true;
    let mut has_begun = false;
    let mut failing = None;
    let mut deliver = None;
    let mut is_stopped = false;
    loop {
        let goes_on =
            if std::mem::take(&mut is_stopped) { listen(pid) } else { ptrace::syscall(pid, deliver.take()) };
        if goes_on.is_err() {
            return (None, uses);
        }
        match wait(Some(pid)) {
            Ok(WaitStatus::PtraceSyscall(_)) => {
                is_inside = !is_inside;
                let Ok(mut registers) = ptrace::getregs(pid) else { continue };
                if is_inside {
                    let number = registers.orig_rax;
                    has_begun |= number == FIRST;
                    if !has_begun {
                        continue;
                    }
                    let used = uses.entry(number).or_default();
                    *used += 1;
                    let used = *used;
                    let all = uses.entry(MEMORY).or_default();
                    *all += 1;
                    failing = fault.filter(|fault| match fault.number {
                        MEMORY => fault.at <= *all && GIVES_MEMORY.contains(&number),
                        _ => {
                            fault.number == number
                                && (used == fault.at || (fault.for_ever && fault.at < used))
                        }
                    });
                    if failing.is_some() {
                        registers.orig_rax = u64::MAX;
                        let _ = ptrace::setregs(pid, registers);
                    }
                } else if let Some(fault) = failing.take() {
                    registers.rax = i64::from(-fault.error).cast_unsigned();
                    let _ = ptrace::setregs(pid, registers);
                }
            }
            Ok(WaitStatus::Stopped(_, signal)) => deliver = Some(signal),
            Ok(WaitStatus::PtraceEvent(_, signal, STOP)) if signal != Signal::SIGTRAP => {
                is_stopped = true;
            }
            Ok(status @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..))) => {
                NEVER.iter().for_each(|number| _ = uses.remove(number));
                return (Some(status), uses);
            }
            Ok(_) => {}
            Err(_) => return (None, uses),
        }
    }
}

/// The names of the calls that an init makes; others are numbers.
pub(crate) fn name(number: u64) -> String {
    const NAMES: [(u64, &str); 50] = [
        (0, "read"),
        (1, "write"),
        (2, "open"),
        (3, "close"),
        (5, "fstat"),
        (7, "poll"),
        (8, "lseek"),
        (9, "mmap"),
        (10, "mprotect"),
        (11, "munmap"),
        (12, "brk"),
        (13, "rt_sigaction"),
        (14, "rt_sigprocmask"),
        (16, "ioctl"),
        (17, "pread64"),
        (20, "writev"),
        (28, "madvise"),
        (39, "getpid"),
        (56, "clone"),
        (61, "wait4"),
        (62, "kill"),
        (72, "fcntl"),
        (79, "getcwd"),
        (80, "chdir"),
        (81, "fchdir"),
        (89, "readlink"),
        (102, "getuid"),
        (107, "geteuid"),
        (108, "getegid"),
        (109, "setpgid"),
        (110, "getppid"),
        (111, "getpgrp"),
        (121, "getpgid"),
        (124, "getsid"),
        (127, "rt_sigpending"),
        (128, "rt_sigtimedwait"),
        (131, "sigaltstack"),
        (157, "prctl"),
        (158, "arch_prctl"),
        (217, "getdents64"),
        (218, "set_tid_address"),
        (228, "clock_gettime"),
        (257, "openat"),
        (271, "ppoll"),
        (247, "waitid"),
        (289, "signalfd4"),
        (293, "pipe2"),
        (424, "pidfd_send_signal"),
        (434, "pidfd_open"),
        (436, "close_range"),
    ];
    if number == MEMORY {
        return "memory".to_owned();
    }
    let known = NAMES.iter().find(|(known, _)| *known == number).map(|(_, name)| (*name).to_owned());
    known.unwrap_or_else(|| format!("call {number}"))
}
