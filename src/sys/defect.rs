//! Where this program has a defect, it does not die of a signal: that would look like the command's own end.
//!
//! What is shipped is built without the code that words a panic (`-C panic=immediate-abort`). A panic there is an instruction that
//! no processor has, for which the kernel sends [`TRAP`]; by default that would be a death by signal, and for a shell the status 132,
//! which may be the command's. So this is the one signal that has a handler and is not blocked.
//!
//! One that somebody sent is no defect. The wait for signals takes it like any other: sigtimedwait(2) does not ask whether it is blocked. If
//! it comes in between, the handler sends it to this process again, as it came, and blocked: the next wait takes it. (Until then a defect
//! would be a death by signal after all. So it is while the command is being started, where the handler would be in the child's way.)

use std::ffi::c_void;
use std::sync::OnceLock;

use super::{process, signals};
use crate::signal::{Signal, SignalSet};

/// What the kernel sends for the instruction that the compiler ends a program with: `ud2`, or `brk` on arm64.
const TRAP: Signal = if cfg!(target_arch = "aarch64") { Signal::TRAP } else { Signal::ILL };

const TRAP_ALONE: SignalSet = SignalSet::from_bits(TRAP.bit());

/// Who says it. A child has the handler, too, until it becomes another program.
#[derive(Debug)]
struct Reporter {
    pid: i32,
    /// Gets the address of the instruction.
    say: fn(usize) -> !,
}

static REPORTER: OnceLock<Reporter> = OnceLock::new();

/// From now on a defect that the kernel tells of is said, once. Returns the signal by which it tells, which must not be blocked.
///
/// None where that was inherited as ignored: the command is to inherit it, too.
#[must_use]
pub fn report(say: fn(usize) -> !) -> SignalSet {
    if !signals::handle(TRAP, on_trap) {
        return SignalSet::default();
    }
    REPORTER.get_or_init(|| Reporter { pid: process::id(), say });
    TRAP_ALONE
}

/// What must not be interrupted by the handler: the signal waits until that is over.
pub(super) fn unhandled<T>(what: impl FnOnce() -> T) -> T {
    if REPORTER.get().is_none() {
        return what();
    }
    signals::block(TRAP_ALONE);
    let result = what();
    signals::unblock(TRAP_ALONE);
    result
}

/// Where the signal was sent this only makes system calls: whatever it has interrupted goes on.
extern "C" fn on_trap(_: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(reporter) = REPORTER.get() else { return };
    // SAFETY: the kernel has written it for this call.
    let info = unsafe { &*info };
    if info.si_code > 0 {
        // SAFETY: for a fault these bytes are the instruction's address.
        let address = unsafe { info.si_addr() };
        // Blocked, as it is in its handler, a second one would be a death by signal.
        signals::unblock(TRAP_ALONE);
        (reporter.say)(address.addr());
    }
    if reporter.pid == process::id() {
        let context = context.cast::<libc::ucontext_t>();
        // SAFETY: the kernel has written it for this call.
        let mask = unsafe { &raw mut (*context).uc_sigmask }.cast::<u64>();
        // SAFETY: the kernel's signal set is the first 8 bytes of the C library's. It becomes the mask when this returns.
        unsafe { *mask |= TRAP.bit() };
    } else {
        // A child that is about to become the command: it dies of the signal, as the command would.
        signals::restore_default(TRAP);
    }
    signals::send_again(TRAP, info);
}

/// What the handler has blocked is let through again, now that it was taken.
pub(super) fn taken(signal: Signal) {
    if signal == TRAP && REPORTER.get().is_some() {
        signals::unblock(TRAP_ALONE);
    }
}
