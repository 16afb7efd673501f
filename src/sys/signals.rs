//! Signals for this process: blocked from the first moment, taken one by one, never handled.
//! The loop takes them from a `SignalQueue`.
//!
//! Masks go to the kernel as 64 bits by raw calls: the C libraries' `sigfillset` leaves out the signals that they use
//! for threads (32 and 33 in glibc, 32 to 34 in musl), and those must be forwarded like any other.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use super::calls::RT_SIGTIMEDWAIT;
use super::{check, entry, process};
use crate::signal::{Signal, SignalSet};

/// The size of the kernel's signal set on every architecture with 64 signals.
const SET_SIZE: usize = size_of::<u64>();

/// A signal that was received by this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    pub signal: Signal,
    /// `si_code` of sigaction(2): above 0 if the kernel made the signal.
    pub code: i32,
    /// The sender's pid in this namespace; 0 is a sender outside, or the kernel.
    pub sender: i32,
    /// The sender's real user id.
    pub sender_uid: u32,
}

/// Blocks every signal that can be blocked, and returns the mask that the program was started with.
///
/// # Errors
/// The kernel refuses: signals would be lost.
pub fn block_all() -> io::Result<SignalSet> {
    let found = change_mask(libc::SIG_SETMASK, u64::MAX)?;
    Ok(SignalSet::from_bits(found & entry::mask_at_entry()))
}

/// Blocks these signals in addition to those that are blocked already.
pub fn block(set: SignalSet) {
    let _ = change_mask(libc::SIG_BLOCK, set.bits());
}

/// Takes these signals out of the mask.
pub fn unblock(set: SignalSet) {
    let _ = change_mask(libc::SIG_UNBLOCK, set.bits());
}

/// Sets the mask to exactly this. Safe between `clone` and `execve`.
pub(super) fn set_mask(set: SignalSet) {
    let _ = change_mask(libc::SIG_SETMASK, set.bits());
}

fn change_mask(how: i32, set: u64) -> io::Result<u64> {
    let mut found = 0_u64;
    // SAFETY: both pointers are to 8 bytes of ours that live through the call, and 8 is the size that is passed.
    check(unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, &raw const set, &raw mut found, SET_SIZE) })?;
    Ok(found)
}

/// Waits for one of `set`, for at most `timeout`; `None` is for ever.
///
/// Returns `None` when the time is over, and also when the wait was interrupted, as after a stop and a continue of this
/// process: the caller looks at the clock again either way.
pub fn wait(set: SignalSet, timeout: Option<Duration>) -> Option<Received> {
    let mut info = MaybeUninit::zeroed();
    let (number, info) = take(set, timeout, &mut info)?;
    Some(Received {
        signal: Signal::new(number)?,
        code: info.si_code,
        // SAFETY: for signals that were sent, these bytes are the sender's pid; for others they are plain bytes too.
        sender: unsafe { info.si_pid() },
        // SAFETY: as for the pid.
        sender_uid: unsafe { info.si_uid() },
    })
}

/// Whether the signal is waiting for this process.
#[must_use]
pub(super) fn is_pending(signal: Signal) -> bool {
    let mut pending = 0_u64;
    // SAFETY: the pointer is to 8 bytes of ours, and 8 is the size that is passed.
    let result = check(unsafe { libc::syscall(libc::SYS_rt_sigpending, &raw mut pending, SET_SIZE) });
    result.is_ok() && SignalSet::from_bits(pending).contains(signal)
}

/// Which processes a stop of drainit's own stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    OwnGroup,
    OwnProcess,
}

/// Stops this process with one of the terminal's signals, and returns once it has been continued. The kernel does not stop a process that
/// ignores the signal, nor one that no shell could continue (an orphaned process group, POSIX 2.4.3).
///
/// When it has been continued, CONT is pending, or the next stop signal.
pub fn suspend(signal: Signal, scope: Scope) {
    let target = if scope == Scope::OwnGroup { 0 } else { process::id() };
    // SAFETY: two numbers.
    unsafe { libc::kill(target, signal.number()) };
    let set = SignalSet::default().with(signal);
    // The stop happens here.
    unblock(set);
    block(set);
}

/// Whether this process ignores the signal, because its starter did.
#[must_use]
pub fn is_ignored(signal: Signal) -> bool {
    // SAFETY: nothing is changed.
    let action = unsafe { change_action(signal, None) };
    action == Some(libc::SIG_IGN)
}

/// Ends this process as the signal would by default, so that its parent sees that death. Returns if that is not possible: PID 1 cannot die
/// of its own signal, and some signals end no process.
///
/// The library leaves out real-time signals, and does not know that IO kills on Linux: those are raised here.
pub fn die_of(signal: Signal) {
    if process::is_pid_one() {
        return;
    }
    // The command's core file, if there is one, must not be replaced by this process's.
    // SAFETY: a number only.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    let _ = signal_hook::low_level::emulate_default_handler(signal.number());
    restore_default(signal);
    // SAFETY: two numbers.
    unsafe { libc::kill(process::id(), signal.number()) };
    unblock(SignalSet::default().with(signal));
}

/// Takes this signal, which this process has just caused itself, as if it had not been sent. If another process sent it at the same moment,
/// that one is put back.
pub(super) fn take_back(signal: Signal) {
    let set = SignalSet::default().with(signal);
    let mut info = MaybeUninit::zeroed();
    let Some((_, info)) = take(set, Some(Duration::ZERO), &mut info) else { return };
    // SAFETY: as in `wait`.
    let sender = unsafe { info.si_pid() };
    if sender != process::id() {
        send_again(signal, info);
    }
}

/// Sends this process a signal that it has taken, with its original sender. Makes only system calls.
fn send_again(signal: Signal, info: &libc::siginfo_t) {
    let own = process::id();
    // SAFETY: the info is one that the kernel made, and outlives the call; a process may send itself any (rt_sigqueueinfo(2)).
    unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, own, signal.number(), ptr::from_ref(info)) };
}

/// `info` is zeroed memory of the caller: to copy it would cost as much as all else here.
fn take(
    set: SignalSet,
    timeout: Option<Duration>,
    info: &mut MaybeUninit<libc::siginfo_t>,
) -> Option<(i32, &libc::siginfo_t)> {
    let bits = set.bits();
    let info_pointer = info.as_mut_ptr();
    let number = RT_SIGTIMEDWAIT.until(timeout, |number, timeout| {
        // SAFETY: the set is 8 bytes as said, the info is the kernel's siginfo_t, the timeout is null or what the call of that number
        // takes, and outlives it.
        unsafe { libc::syscall(number, &raw const bits, info_pointer, timeout, SET_SIZE) }
    });
    let number = number.ok()?;
    // SAFETY: zeroed is a valid siginfo_t, and the kernel has filled it in.
    let info = unsafe { info.assume_init_ref() };
    Some((i32::try_from(number).ok()?, info))
}

/// Whether [`wait`] is allowed.
///
/// # Errors
/// Those of the call, from the kernel or a system call filter.
pub(super) fn check_wait() -> io::Result<()> {
    let nothing = 0_u64;
    let no_info = ptr::null_mut::<libc::siginfo_t>();
    let waited = RT_SIGTIMEDWAIT.until(Some(Duration::ZERO), |number, timeout| {
        // SAFETY: the set is 8 bytes as said, no info is wanted, and the timeout is what the call of that number takes.
        unsafe { libc::syscall(number, &raw const nothing, no_info, timeout, SET_SIZE) }
    });
    match waited {
        // The time is over without a signal, or this process was stopped meanwhile.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => Ok(()),
        Err(error) => Err(error),
        // A filter lets it do nothing.
        Ok(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Makes this process, and what it starts, ignore the signal.
pub fn ignore(signal: Signal) {
    set_disposition(signal, libc::SIG_IGN);
}

/// Restores the signal's default action. Makes only a system call.
pub fn restore_default(signal: Signal) {
    set_disposition(signal, libc::SIG_DFL);
}

/// The kernel's sigaction: not the C library's, which refuses the signals that it keeps for itself.
#[repr(C)]
struct KernelSigaction {
    handler: libc::sighandler_t,
    flags: libc::c_ulong,
    /// arm64 has it for 32-bit programs; processors that Linux supports since later have none.
    #[cfg(not(any(target_arch = "riscv64", target_arch = "loongarch64")))]
    restorer: usize,
    /// As words: one 64-bit number would start 4 bytes later if such numbers are aligned to 8.
    mask: [libc::c_ulong; SET_SIZE / size_of::<libc::c_ulong>()],
}

/// arch/*/include/uapi/asm/signal.h.
#[cfg(target_arch = "arm")]
const _: () = assert!(std::mem::offset_of!(KernelSigaction, mask) == 12);

impl KernelSigaction {
    const fn of(handler: libc::sighandler_t) -> Self {
        Self {
            handler,
            flags: 0,
            #[cfg(not(any(target_arch = "riscv64", target_arch = "loongarch64")))]
            restorer: 0,
            mask: [0; SET_SIZE / size_of::<libc::c_ulong>()],
        }
    }
}

fn set_disposition(signal: Signal, handler: libc::sighandler_t) {
    // SAFETY: SIG_IGN and SIG_DFL run no code of ours.
    unsafe { change_action(signal, Some(&KernelSigaction::of(handler))) };
}

/// Sets the signal's action, if one is given, and returns the previous handler.
///
/// # Safety
/// A handler must be one for its flags.
unsafe fn change_action(signal: Signal, action: Option<&KernelSigaction>) -> Option<libc::sighandler_t> {
    let action = action.map_or(ptr::null(), ptr::from_ref);
    let mut found = KernelSigaction::of(libc::SIG_DFL);
    // SAFETY: the caller's promise; both structs have the kernel's layout and outlive the call.
    let changed = check(unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signal.number(), action, &raw mut found, SET_SIZE)
    });
    changed.is_ok().then_some(found.handler)
}

/// Gives SIGCHLD its default action: if it is ignored (inherited from drainit's starter), the kernel reaps our children itself and their
/// exit statuses are lost (wait(2), NOTES).
pub fn reset_child_signal() {
    restore_default(Signal::CHLD);
}
