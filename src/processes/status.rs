//! What `/proc/PID/status` shows. Pure.

use crate::plan::processes::SignalState;
use crate::plan::processes::facts::Status;
use crate::signal::SignalSet;

/// Reads a `status` file (proc(5)).
#[must_use]
pub fn parse(status: &[u8]) -> Status {
    let value = |name: &[u8]| value(status, name);
    let set = |name: &[u8]| Some(SignalSet::from_bits(u64::from_str_radix(value(name)?, 16).ok()?));
    let signals = || {
        Some(SignalState { blocked: set(b"SigBlk:")?, ignored: set(b"SigIgn:")?, caught: set(b"SigCgt:")? })
    };
    // Its pids, from our namespace down to its own (since Linux 4.1).
    let mut pids = value(b"NSpid:").unwrap_or_default().split_ascii_whitespace();
    Status {
        signals: signals(),
        is_nested_init: pids.next().is_some() && pids.next_back() == Some("1"),
        pending: [&b"SigPnd:"[..], b"ShdPnd:"]
            .into_iter()
            .filter_map(set)
            .fold(SignalSet::default(), SignalSet::union),
        switches: value(b"voluntary_ctxt_switches:").and_then(|count| count.parse().ok()),
    }
}

/// The value in the line of a `status` file that has this name.
#[must_use]
pub fn value<'a>(status: &'a [u8], name: &[u8]) -> Option<&'a str> {
    let mut lines = status.split(|&byte| byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(name))?;
    std::str::from_utf8(value).ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Signal;

    const FILE: &str = "Name:\tx\nNSpid:\t7 1\nShdPnd:\t0000000000000000\nSigBlk:\t0000000000004000\n\
                        SigIgn:\t0000000000000001\nSigCgt:\t0000000200000002\nvoluntary_ctxt_switches:\t12\n";

    #[test]
    fn a_file_is_read() {
        let status = parse(FILE.as_bytes());
        let signals = status.signals.expect("they are there");
        assert!(signals.blocked.contains(Signal::TERM) && signals.ignored.contains(Signal::HUP));
        assert!(
            signals.caught.contains(Signal::INT) && signals.caught.contains(Signal::new(34).expect("RTMIN"))
        );
        assert_eq!((status.is_nested_init, status.switches), (true, Some(12)));
    }

    #[test]
    fn only_the_first_process_of_a_namespace_below_is_a_nested_init() {
        for (pids, is_nested) in [("7 1", true), ("7 2", false), ("1", false), ("7 3 1", true), ("", false)] {
            let text = FILE.replace("7 1", pids);
            assert_eq!(parse(text.as_bytes()).is_nested_init, is_nested, "{pids:?}");
        }
    }

    #[test]
    fn a_line_that_is_missing_is_not_known() {
        for text in ["", "SigBlk:\t0\nSigIgn:\t0\n", "SigBlk:\tx\nSigIgn:\t0\nSigCgt:\t0\n"] {
            assert_eq!(parse(text.as_bytes()), Status::default(), "{text:?}");
        }
    }
}
