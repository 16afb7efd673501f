//! Whether this kernel shows signals in /proc at all. A kernel that only resembles Linux may leave the lines out of `status`, or have zeros
//! there and in `stat`. Then nothing is known of signals: taken literally, zeros would mean that every process has every signal at its
//! default.

use std::sync::OnceLock;

use super::{stat, status};
use crate::plan::processes::facts::Status;
use crate::plan::processes::{Process, SignalState};
use crate::sys::{process as own, procfs};

/// Whether a kernel that says this of drainit shows signals: drainit blocks its signals, so zeros in its own line cannot be true.
pub(super) fn shows_signals(own: Option<SignalState>) -> bool {
    own.is_some_and(|own| own.blocked.bits() | own.ignored.bits() | own.caught.bits() != 0)
}

/// The process, without its signals if its `stat` line has none.
pub(super) fn without_zeros(process: Process) -> Process {
    static BY_STAT: OnceLock<bool> = OnceLock::new();
    let own = || stat::parse(procfs::stat(own::id(), &mut procfs::buffer())?)?.signals;
    Process { signals: process.signals.filter(|_| *BY_STAT.get_or_init(|| shows_signals(own()))), ..process }
}

/// The same for `status`.
pub(super) fn status_without_zeros(status: Status) -> Status {
    static BY_STATUS: OnceLock<bool> = OnceLock::new();
    let own = || status::parse(&procfs::whole_file(own::id(), "status")?).signals;
    Status { signals: status.signals.filter(|_| *BY_STATUS.get_or_init(|| shows_signals(own()))), ..status }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::SignalSet;

    #[test]
    fn a_kernel_that_has_only_zeros_shows_nothing() {
        let blocked = SignalSet::from_bits(0x7ffb_feff);
        assert!(shows_signals(Some(SignalState { blocked, ..SignalState::default() })));
        assert!(shows_signals(Some(SignalState { ignored: blocked, ..SignalState::default() })));
        assert!(!shows_signals(Some(SignalState::default())));
        assert!(!shows_signals(None), "nor one without the fields");
    }
}
