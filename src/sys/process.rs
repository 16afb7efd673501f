//! This process itself.

use std::ffi::{CStr, c_char};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::check;
use crate::signal::Signal;

/// The pid, in this process's namespace.
#[must_use]
pub fn id() -> i32 {
    std::process::id().cast_signed()
}

/// The parent's pid, in this process's namespace; 0 if the parent is outside.
#[must_use]
pub fn parent() -> i32 {
    nix::unistd::getppid().as_raw()
}

/// Whether this process is the init of its pid namespace.
#[must_use]
pub fn is_pid_one() -> bool {
    std::process::id() == 1
}

/// Makes this process the parent of its orphaned descendants from now on (prctl(2), since Linux 3.4).
///
/// # Errors
/// EINVAL on older kernels.
pub fn become_subreaper() -> io::Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1)
}

/// This process gets `signal` when its parent ends (prctl(2)).
///
/// # Errors
/// EINVAL only.
pub fn set_parent_death_signal(signal: Signal) -> io::Result<()> {
    PARENT_DEATH_SIGNAL.store(signal.number(), Ordering::Relaxed);
    prctl(libc::PR_SET_PDEATHSIG, libc::c_ulong::from(signal.number().cast_unsigned()))
}

/// The signal set by [`set_parent_death_signal`]; 0 if none was.
static PARENT_DEATH_SIGNAL: AtomicI32 = AtomicI32::new(0);

/// Sets the parent death signal again: the kernel forgets it when ids change, the file system ones too (prctl(2)).
pub(super) fn renew_parent_death_signal() {
    if let Some(signal) = Signal::new(PARENT_DEATH_SIGNAL.load(Ordering::Relaxed)) {
        let _ = set_parent_death_signal(signal);
    }
}

/// The session of a process, if the process exists.
#[must_use]
pub fn session_of(pid: i32) -> Option<i32> {
    nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid))).ok().map(nix::unistd::Pid::as_raw)
}

/// The session that this process was started in, if it has left it; else 0.
static FIRST_SESSION: AtomicI32 = AtomicI32::new(0);

/// Notes that this process has left this session.
pub(super) fn note_session(left: Option<i32>) {
    FIRST_SESSION.store(left.unwrap_or(0), Ordering::Relaxed);
}

/// The session that this process was started in, and in which it starts its children.
#[must_use]
pub fn first_session() -> Option<i32> {
    match FIRST_SESSION.load(Ordering::Relaxed) {
        0 => session_of(id()),
        left => Some(left),
    }
}

/// The process group of a process, if the process exists.
#[must_use]
pub fn group_of(pid: i32) -> Option<i32> {
    nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(pid))).ok().map(nix::unistd::Pid::as_raw)
}

/// Whether this process may signal processes of that user (kill(2)). If that is not known, it may.
#[must_use]
pub fn may_signal_user(uid: u32) -> bool {
    /// capability.h: 64 capabilities, as two words of each kind.
    const VERSION_3: u32 = 0x2008_0522;
    const CAP_KILL: u32 = 5;

    if [nix::unistd::getuid(), nix::unistd::geteuid()].iter().any(|own| own.as_raw() == uid) {
        return true;
    }
    let header = [VERSION_3, 0];
    // Effective, permitted, inheritable; the lower half first.
    let mut sets = [u32::MAX; 6];
    // SAFETY: the header and the sets are as large as capget(2) has them in this version, and 0 is this process.
    let _ = unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) };
    sets[0] & (1 << CAP_KILL) != 0
}

/// The pid of the helper; 0 if there is none.
static HELPER: AtomicI32 = AtomicI32::new(0);

/// The forked helper that writes files for this process, and that is no process of the run. There is one at a time.
pub(super) fn helper() -> Option<i32> {
    Some(HELPER.load(Ordering::Relaxed)).filter(|&pid| pid != 0)
}

/// Whether this pid is the helper's.
pub(super) fn is_helper(pid: i32) -> bool {
    helper() == Some(pid)
}

/// The helper, until it has been reaped.
#[derive(Debug)]
pub(super) struct Helper(i32);

impl Helper {
    pub(super) fn note(pid: i32) -> Self {
        HELPER.store(pid, Ordering::Relaxed);
        Self(pid)
    }

    pub(super) fn pid(&self) -> i32 {
        self.0
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        HELPER.store(0, Ordering::Relaxed);
    }
}

fn prctl(option: i32, value: libc::c_ulong) -> io::Result<()> {
    // SAFETY: these options take a number and touch no memory.
    check(libc::c_long::from(unsafe { libc::prctl(option, value, 0, 0, 0) })).map(drop)
}

unsafe extern "C" {
    /// environ(7).
    static environ: *const *const c_char;
}

/// This process's environment in the form that execve(2) takes.
pub(super) fn environment_pointer() -> *const *const c_char {
    // SAFETY: single-threaded, so nothing changes the environment meanwhile, and nothing in this program ever does.
    unsafe { environ }
}

/// The entries of this process's environment, including those that are not of the form `NAME=value`.
pub fn environment() -> impl Iterator<Item = &'static CStr> {
    let mut at = environment_pointer();
    std::iter::from_fn(move || {
        if at.is_null() {
            return None;
        }
        // SAFETY: not past the end, which is the null that ends the list.
        let entry = unsafe { *at };
        if entry.is_null() {
            return None;
        }
        // SAFETY: the entry was not the last one.
        at = unsafe { at.add(1) };
        // SAFETY: an entry of the environment is a string that ends in NUL.
        Some(unsafe { CStr::from_ptr(entry) })
    })
}

/// The value of a variable, unchanged.
#[must_use]
pub fn variable(name: &str) -> Option<&'static [u8]> {
    environment().find_map(|entry| entry.to_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// Gives this process the highest ordinary priority (nice -20) in its control group, if it may (CAP_SYS_NICE). Its children do not inherit
/// that. If it already has another priority than the default, it keeps that.
pub fn hurry() {
    const ORDINARY: u32 = 0;
    const FIRST: i32 = -20;
    const RESET_ON_FORK: u64 = 1;

    /// As in sched_setattr(2), in its first version.
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        rest: [u32; 7],
    }

    let size = size_of::<Attributes>();
    let mut own = Attributes { size: 0, policy: u32::MAX, flags: 0, nice: 0, rest: [0; 7] };
    // SAFETY: 0 is this process, and the kernel writes no more than the size that it is told.
    let _ = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut own, size, 0) };
    if (own.policy, own.flags, own.nice) != (ORDINARY, 0, 0) {
        return;
    }
    (own.flags, own.nice) = (RESET_ON_FORK, FIRST);
    // SAFETY: as before; the kernel reads as much as the size in it says.
    let _ = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const own, 0) };
}

/// Leaves the directory that this process was started in, because it may have to be unmounted.
pub fn leave_directory() {
    let _ = nix::unistd::chdir(c"/");
}

/// The directory that this process was started in, and has left.
#[derive(Debug)]
pub struct Left(OwnedFd);

impl Left {
    /// Leaves it in such a way that a child can still begin there. `None` if there is no way back; then it was not left.
    #[must_use]
    pub fn leave() -> Option<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let left = Self(nix::fcntl::open(c".", flags, Mode::empty()).ok()?);
        // A directory that this user is in, but may not enter, has no way back.
        nix::unistd::fchdir(&left).ok()?;
        leave_directory();
        Some(left)
    }

    /// Goes back: the command was not started, and the error message has paths relative to this directory.
    pub fn go_back(&self) {
        let _ = nix::unistd::fchdir(self);
    }
}

impl AsFd for Left {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Grows the stack now, as far as this program needs it. If growth is refused later (RLIMIT_STACK, RLIMIT_AS), that is a death by SEGV. Costs
/// a page if the limit is small, and nothing otherwise, because the kernel gives a stack 128 KiB to begin with. Returns false if the limits
/// do not allow it.
#[must_use]
pub fn reserve_stack() -> bool {
    /// More than the start and a stop need.
    const NEEDED: usize = if cfg!(debug_assertions) { 192 * 1024 } else { 32 * 1024 };
    /// From this limit on, the kernel's 128 KiB fit even if the arguments take a quarter of it, the most that they may.
    const ENOUGH: u64 = 1 << 20;

    let here = MaybeUninit::<u8>::uninit();
    let deep = (here.as_ptr().addr() - NEEDED) & !0xf;
    let mut limit = [u64::MAX; 2];
    if !is_refused(stack_limit(ptr::null(), limit.as_mut_ptr())) && ENOUGH <= limit[0] {
        return true;
    }
    // The kernel writes to the stack: if the stack cannot grow that far, that is an error, and no fault.
    let can_reach = || !is_refused(stack_limit(ptr::null(), ptr::without_provenance_mut(deep)));
    can_reach() || {
        // What has grown stays, so that the command can have the limit that was set for it.
        let all = [limit[1]; 2];
        let raised = stack_limit(all.as_ptr(), ptr::null_mut()).is_ok() && can_reach();
        let _ = stack_limit(limit.as_ptr(), ptr::null_mut());
        raised
    }
}

/// Whether the call has failed because of the address. Any other error, such as a filter's, does not count.
fn is_refused(result: io::Result<libc::c_long>) -> bool {
    result.is_err_and(|error| error.raw_os_error() == Some(libc::EFAULT))
}

/// Sets the limit of the stack, and reads it: the soft limit and the hard one. Null leaves that out.
fn stack_limit(new: *const u64, old: *mut u64) -> io::Result<libc::c_long> {
    // SAFETY: `new` is null or points to two numbers of ours, which is what the kernel reads. `old` is null, and nothing is written, or points
    // to two numbers of ours, or to the stack far below every frame, where nothing is stored.
    check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_STACK, new, old) })
}

/// Gives back the memory of the stack below this frame: the start was deeper than the loop is when it waits.
// Inlined, it could have another function's frame below its own.
#[inline(never)]
pub fn return_stack() {
    /// The room below this frame that the loop needs to forward a signal or to reap: it may not get memory for that again.
    const KEPT: usize = if cfg!(debug_assertions) { 4 * 4096 } else { 2 * 4096 };
    /// More than the start needs. The kernel skips the part that is not there.
    const DEPTH: usize = 128 * 1024;
    /// If pages are larger, the kernel refuses an address that is not the start of one (EINVAL), and nothing is given back.
    const PAGE: usize = 4096;

    let here = MaybeUninit::<u8>::uninit();
    let end = (here.as_ptr().addr() - KEPT) & !(PAGE - 1);
    // SAFETY: stacks grow down, so nothing of this process is there, and nothing that is mapped for another purpose is so close to one
    // (stack_guard_gap, 1 MiB).
    unsafe { libc::madvise(ptr::without_provenance_mut(end - DEPTH), DEPTH, libc::MADV_DONTNEED) };
}

/// Ends this process at once, from wherever it is: for a panic, which must not look like the command's own end.
pub fn exit_now(code: u8) -> ! {
    // SAFETY: _exit runs no code of this program.
    unsafe { libc::_exit(i32::from(code)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_hurries_does_not_make_its_children_hurry() {
        // The priority is a thread's.
        let may_hurry = std::thread::spawn(|| {
            // SAFETY: numbers only.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -1) == 0 }
        });
        let may_hurry = may_hurry.join().expect("it does not panic");
        let thread = std::thread::spawn(|| {
            // SAFETY: numbers only.
            let priority = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
            let before = priority();
            hurry();
            let hurried = priority();
            let child = std::process::Command::new("nice").output().expect("coreutils are there");
            (before, hurried, String::from_utf8_lossy(&child.stdout).trim().to_owned())
        });
        let (before, hurried, child) = thread.join().expect("it does not panic");
        assert_eq!(hurried, if may_hurry && before == 0 { -20 } else { before });
        assert_eq!(child, before.to_string());
    }
}
