//! One process as `/proc/PID/stat` shows it.

use std::fmt;

use crate::signal::SignalSet;

/// What is known of a process. The pid and the start time together name it for ever; the pid alone does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub group: i32,
    /// When it was started, in clock ticks since boot.
    pub start: u64,
    /// The kernel's letter: R, S, D, T, t, Z, X.
    pub state: u8,
    pub threads: u32,
    /// The processor time that it has had, in clock ticks.
    pub cpu: u64,
    pub name: Name,
    /// `None` where the line does not tell.
    pub signals: Option<FirstSignals>,
}

/// What a process does about signals 1 to 31, which is as far as `stat` tells. Unlike `status` it does not tell the first process of a
/// nested pid namespace from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstSignals {
    blocked: u32,
    ignored: u32,
    caught: u32,
}

impl FirstSignals {
    #[must_use]
    pub fn blocked(self) -> SignalSet {
        SignalSet::from_bits(self.blocked.into())
    }

    #[must_use]
    pub fn ignored(self) -> SignalSet {
        SignalSet::from_bits(self.ignored.into())
    }

    #[must_use]
    pub fn caught(self) -> SignalSet {
        SignalSet::from_bits(self.caught.into())
    }
}

impl Process {
    /// Reads a `stat` line (proc(5)). The name stands in brackets and may itself hold brackets, blanks and newlines, so what
    /// follows is counted from the last closing one.
    #[must_use]
    pub fn parse(stat: &[u8]) -> Option<Self> {
        let open = stat.iter().position(|&byte| byte == b'(')?;
        let close = stat.iter().rposition(|&byte| byte == b')')?;
        let pid = number(stat.get(..open)?.trim_ascii())?;
        let name = Name::new(stat.get(open + 1..close)?);
        let mut fields =
            stat.get(close + 1..)?.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        // proc(5) counts from 1; the state is field 3 and the first one here.
        let state = *fields.next()?.first()?;
        let parent = number(fields.next()?)?;
        let group = number(fields.next()?)?;
        let user: u64 = number(fields.nth(14 - 6)?)?;
        let system: u64 = number(fields.next()?)?;
        let threads = number(fields.nth(20 - 16)?)?;
        let start = number(fields.nth(22 - 21)?)?;
        let cpu = user.saturating_add(system);
        let mut mask = |skipped| fields.nth(skipped).and_then(number);
        let signals = match (mask(32 - 23), mask(0), mask(0)) {
            (Some(blocked), Some(ignored), Some(caught)) => Some(FirstSignals { blocked, ignored, caught }),
            _ => None,
        };
        Some(Self { pid, parent, group, start, state, threads, cpu, name, signals })
    }

    /// Whether both are one process, at two times.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.pid == other.pid && self.start == other.start
    }

    /// Whether it can still do something. A leader that has ended is shown as a zombie while its threads live on.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X') || self.threads > 1
    }
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A process's own name: at most 15 bytes of anything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name([u8; 16]);

impl Name {
    fn new(bytes: &[u8]) -> Self {
        let mut name = [0; 16];
        for (to, from) in name.iter_mut().zip(bytes) {
            *to = *from;
        }
        Self(name)
    }
}

impl fmt::Display for Name {
    /// Readable on a terminal and in a log: what is not plain text is escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        self.0.get(..end).unwrap_or_default().escape_ascii().fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Signal;

    const LINE: &str =
        "S 1 4 4 34816 4 4194560 1 2 3 4 5 6 7 8 20 0 3 0 123456 1000 200 18446744073709551615";
    /// Fields 26 to 34; TERM is blocked, HUP ignored, INT caught.
    const SIGNALS: &str = "4194304 4198400 140723412345 0 0 0 16384 1 2";

    fn with_name(name: &[u8]) -> Option<Process> {
        Process::parse(&[b"42 (", name, b") ", LINE.as_bytes()].concat())
    }

    #[test]
    fn a_line_is_read() {
        let process = with_name(b"nginx").expect("a good line");
        assert_eq!((process.pid, process.parent, process.group, process.start), (42, 1, 4, 123_456));
        assert_eq!(process.cpu, 5 + 6);
        assert_eq!((process.state, process.threads, process.name.to_string().as_str()), (b'S', 3, "nginx"));
    }

    #[test]
    fn the_signals_are_read_where_the_line_has_them() {
        let set = |signal| SignalSet::default().with(signal);
        let long =
            Process::parse(format!("42 (x) {LINE} {SIGNALS} 0 0 0 17").as_bytes()).expect("a good line");
        let signals = long.signals.expect("they are there");
        assert_eq!(
            (signals.blocked(), signals.ignored(), signals.caught()),
            (set(Signal::TERM), set(Signal::HUP), set(Signal::INT))
        );
        assert_eq!(with_name(b"x").expect("a good line").signals, None);
        let cut =
            Process::parse(format!("42 (x) {LINE} 4194304 4198400 140723412345 0 0 0 16384 1").as_bytes());
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
            assert_eq!(Process::parse(line.as_bytes()), None, "{line:?}");
        }
    }

    #[test]
    fn a_zombie_leader_with_threads_is_alive() {
        let process = with_name(b"java").expect("a good line");
        assert!(process.is_alive());
        assert!(Process { state: b'Z', threads: 2, ..process }.is_alive());
        assert!(!Process { state: b'Z', threads: 1, ..process }.is_alive());
    }
}
