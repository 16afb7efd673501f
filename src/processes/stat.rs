//! One process as `/proc/PID/stat` shows it. Pure.

use crate::plan::processes::{Process, ProcessName, SignalState};
use crate::signal::{Signal, SignalSet};

/// Reads a `stat` line (proc(5)). The name stands in parentheses and may itself contain parentheses, blanks and newlines, so the fields are
/// counted from the last closing one.
#[must_use]
pub fn parse(stat: &[u8]) -> Option<Process> {
    let open = stat.iter().position(|&byte| byte == b'(')?;
    let close = stat.iter().rposition(|&byte| byte == b')')?;
    let pid = number(stat.get(..open)?.trim_ascii())?;
    let name = ProcessName::new(stat.get(open + 1..close)?);
    let mut fields = stat.get(close + 1..)?.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    // proc(5) counts from 1; the state is field 3 and the first one here.
    let state = *fields.next()?.first()?;
    let parent = number(fields.next()?)?;
    let group = number(fields.next()?)?;
    let user: u64 = number(fields.nth(14 - 6)?)?;
    let system: u64 = number(fields.next()?)?;
    let threads = number(fields.nth(20 - 16)?)?;
    let start = number(fields.nth(22 - 21)?)?;
    let cpu = user.saturating_add(system);
    let mut mask = |skipped| fields.nth(skipped).and_then(number::<u64>).map(SignalSet::from_bits);
    let signals = match (mask(32 - 23), mask(0), mask(0)) {
        (Some(blocked), Some(ignored), Some(caught)) => Some(SignalState { blocked, ignored, caught }),
        _ => None,
    };
    // Field 52 is the wait status of a zombie, if this process is allowed to see it.
    let status: Option<i32> = fields.nth(52 - 35).and_then(number);
    let has_died_of_kill =
        state == b'Z' && status.is_some_and(|status| status & 0x7f == Signal::KILL.number());
    Some(Process { has_died_of_kill, pid, parent, group, start, state, threads, cpu, name, signals })
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "S 1 4 4 34816 4 4194560 1 2 3 4 5 6 7 8 20 0 3 0 123456 1000 200 18446744073709551615";
    /// Fields 26 to 34; TERM is blocked, HUP ignored, INT caught.
    const SIGNALS: &str = "4194304 4198400 140723412345 0 0 0 16384 1 2";

    fn with_name(name: &[u8]) -> Option<Process> {
        parse(&[b"42 (", name, b") ", LINE.as_bytes()].concat())
    }

    #[test]
    fn a_line_is_read() {
        let process = with_name(b"nginx").expect("a good line");
        assert_eq!((process.pid, process.parent, process.group, process.start), (42, 1, 4, 123_456));
        assert_eq!(process.cpu, 5 + 6);
        assert_eq!((process.state, process.threads, process.name.to_string().as_str()), (b'S', 3, "nginx"));
    }

    #[test]
    fn the_signals_are_read_if_the_line_has_them() {
        let set = |signal| SignalSet::default().with(signal);
        let long = parse(format!("42 (x) {LINE} {SIGNALS} 0 0 0 17").as_bytes()).expect("a good line");
        let signals = long.signals.expect("they are there");
        assert_eq!(
            (signals.blocked, signals.ignored, signals.caught),
            (set(Signal::TERM), set(Signal::HUP), set(Signal::INT))
        );
        assert_eq!(with_name(b"x").expect("a good line").signals, None);
        let cut = parse(format!("42 (x) {LINE} 4194304 4198400 140723412345 0 0 0 16384 1").as_bytes());
        assert_eq!(cut.expect("a good line").signals, None);
    }

    #[test]
    fn a_name_may_be_anything() {
        for (name, shown) in [
            (&b") Z 9 9 ("[..], ") Z 9 9 ("),
            (b"a b", "a b"),
            (b"", ""),
            (b"x\ny", "x\\ny"),
            (b"\x1b[31m", "\\x1b[31m"),
            (b"\xff\xfe", "\\xff\\xfe"),
            (b"(((", "((("),
            (b"\"", "\\\""),
        ] {
            let process = with_name(name).expect("a good line");
            assert_eq!(
                (process.parent, process.start, process.name.to_string().as_str()),
                (1, 123_456, shown)
            );
        }
    }

    #[test]
    fn what_is_no_line_is_nothing() {
        for line in ["", "42", "42 (x", "42 (x)", "42 (x) S 1", "x (y) S 1 2 3", ")(", "42 )x( S 1 2 3"] {
            assert_eq!(parse(line.as_bytes()), None, "{line:?}");
        }
    }
}
