//! Signals as numbers with names: parsing, printing, classes. Pure.
//!
//! Numbers are those of the Linux ABI that x86, ARM and RISC-V share (signal(7)). The real-time range is
//! the kernel's as runtimes and service managers count it: `RTMIN` is 34 and `RTMAX` 64, whatever the C
//! library keeps for itself (musl's own `SIGRTMIN` is 35), so that `RTMIN+3` is 37 everywhere.

#![forbid(unsafe_code)]

use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

/// A signal number, 1 to 64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(NonZeroU8);

/// Short names, of the signals from 1 on.
pub const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// Other names of the same numbers.
const ALIASES: [(&str, u8); 3] = [("IOT", 6), ("CLD", 17), ("POLL", 29)];

const RTMIN: u8 = 34;
const RTMAX: u8 = 64;

impl Signal {
    pub const HUP: Self = Self::known(1);
    pub const INT: Self = Self::known(2);
    pub const QUIT: Self = Self::known(3);
    pub const ILL: Self = Self::known(4);
    pub const TRAP: Self = Self::known(5);
    pub const ABRT: Self = Self::known(6);
    pub const BUS: Self = Self::known(7);
    pub const FPE: Self = Self::known(8);
    pub const KILL: Self = Self::known(9);
    pub const USR1: Self = Self::known(10);
    pub const SEGV: Self = Self::known(11);
    pub const USR2: Self = Self::known(12);
    pub const PIPE: Self = Self::known(13);
    pub const TERM: Self = Self::known(15);
    pub const CHLD: Self = Self::known(17);
    pub const CONT: Self = Self::known(18);
    pub const STOP: Self = Self::known(19);
    pub const TSTP: Self = Self::known(20);
    pub const TTIN: Self = Self::known(21);
    pub const TTOU: Self = Self::known(22);
    pub const URG: Self = Self::known(23);
    pub const WINCH: Self = Self::known(28);
    pub const PWR: Self = Self::known(30);
    pub const SYS: Self = Self::known(31);
    pub const RTMIN_3: Self = Self::known(RTMIN + 3);

    const fn known(number: u8) -> Self {
        match NonZeroU8::new(number) {
            Some(number) => Self(number),
            None => Self(NonZeroU8::MIN),
        }
    }

    /// The signal with this number, if the kernel has it.
    #[must_use]
    pub fn new(number: i32) -> Option<Self> {
        let number = u8::try_from(number).ok().filter(|&number| number <= RTMAX)?;
        NonZeroU8::new(number).map(Self)
    }

    /// The number, as system calls take it.
    #[must_use]
    pub fn number(self) -> i32 {
        i32::from(self.0.get())
    }

    /// Every signal there is.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=i32::from(RTMAX)).filter_map(Self::new)
    }

    /// Whether drainit can forward it: KILL and STOP cannot be received, and CHLD is about drainit's own children.
    #[must_use]
    pub fn can_be_forwarded(self) -> bool {
        !matches!(self, Self::KILL | Self::STOP | Self::CHLD)
    }

    /// Whether the kernel raises it for a fault of the process itself.
    #[must_use]
    pub fn is_fault(self) -> bool {
        matches!(self, Self::ILL | Self::TRAP | Self::ABRT | Self::BUS | Self::FPE | Self::SEGV | Self::SYS)
    }

    /// Whether it is one of the terminal's stop signals: a program may catch them, and they do not stop a process that no shell can
    /// continue.
    #[must_use]
    pub fn is_of_terminal(self) -> bool {
        matches!(self, Self::TSTP | Self::TTIN | Self::TTOU)
    }

    /// Whether a process without a handler ignores it (signal(7), "Ign").
    #[must_use]
    pub fn is_ignored_by_default(self) -> bool {
        matches!(self, Self::CHLD | Self::URG | Self::WINCH | Self::CONT)
    }

    /// Its bit in a 64-bit signal set, as the kernel and `/proc/PID/status` have it.
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << (self.0.get() - 1)
    }
}

impl fmt::Display for Signal {
    /// The short name: `TERM`, `RTMIN+3`; the bare number for 32 and 33, which have none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0.get();
        match number {
            RTMIN => f.write_str("RTMIN"),
            RTMAX => f.write_str("RTMAX"),
            35..=49 => write!(f, "RTMIN+{}", number - RTMIN),
            50..=63 => write!(f, "RTMAX-{}", RTMAX - number),
            _ => match NAMES.get(usize::from(number - 1)) {
                Some(name) => f.write_str(name),
                None => write!(f, "{number}"),
            },
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A spelling that names no signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownSignal;

impl fmt::Display for UnknownSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such signal (a name such as TERM, SIGTERM or RTMIN+3, or a number from 1 to 64)")
    }
}

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// Takes `15`, `TERM`, `SIGTERM`, `sigterm`, `RTMIN+3`, `SIGRTMIN+3`, `RTMAX-2`, and the spelling of
    /// the Kubernetes API and the CRI, `SIGRTMINPLUS3` and `SIGRTMAXMINUS2`.
    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().ok().and_then(Self::new).ok_or(UnknownSignal);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let number = if let Some(offset) = name.strip_prefix("RTMIN") {
            real_time_offset(offset, &["+", "PLUS"]).and_then(|offset| RTMIN.checked_add(offset))
        } else if let Some(offset) = name.strip_prefix("RTMAX") {
            real_time_offset(offset, &["-", "MINUS"]).and_then(|offset| RTMAX.checked_sub(offset))
        } else if let Some(at) = NAMES.iter().position(|known| *known == name) {
            u8::try_from(at + 1).ok()
        } else {
            ALIASES.iter().find(|(alias, _)| *alias == name).map(|&(_, number)| number)
        };
        let is_offset = name.starts_with("RTM");
        number
            .filter(|number| !is_offset || (RTMIN..=RTMAX).contains(number))
            .and_then(|number| Self::new(i32::from(number)))
            .ok_or(UnknownSignal)
    }
}

/// `""` is 0, `"+3"` is 3; a second sign (`"+-3"`, `"++3"`) is refused.
fn real_time_offset(text: &str, signs: &[&str]) -> Option<u8> {
    if text.is_empty() {
        return Some(0);
    }
    let digits = signs.iter().find_map(|sign| text.strip_prefix(sign))?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// A set of signals.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SignalSet(u64);

impl SignalSet {
    /// The set that the kernel writes as this 64-bit mask.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64-bit mask, lowest bit for signal 1.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// This set and `signal`.
    #[must_use]
    pub const fn with(self, signal: Signal) -> Self {
        Self(self.0 | signal.bit())
    }

    /// This set without `signal`.
    #[must_use]
    pub fn without(self, signal: Signal) -> Self {
        Self(self.0 & !signal.bit())
    }

    /// Every member of either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any signal is in both.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The members for which the predicate is true.
    #[must_use]
    pub fn filter(self, keep: impl Fn(Signal) -> bool) -> Self {
        let kept = Signal::all().filter(|&signal| self.contains(signal) && keep(signal));
        kept.fold(Self::default(), Self::with)
    }

    /// Whether `signal` is a member.
    #[must_use]
    pub fn contains(self, signal: Signal) -> bool {
        self.0 & signal.bit() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_spelling_is_understood() {
        for (text, number) in [
            ("15", 15),
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigterm", 15),
            ("Term", 15),
            ("RTMIN+3", 37),
            ("SIGRTMIN+3", 37),
            ("RTMAX-2", 62),
            ("SIGRTMINPLUS3", 37),
            ("SIGRTMAXMINUS2", 62),
            ("RTMIN", 34),
            ("rtmax", 64),
            ("RTMIN+30", 64),
            ("RTMAX-30", 34),
            ("32", 32),
            ("33", 33),
            ("1", 1),
            ("64", 64),
            ("IOT", 6),
            ("SIGCLD", 17),
            ("POLL", 29),
            ("SIGSYS", 31),
        ] {
            assert_eq!(text.parse::<Signal>().map(Signal::number), Ok(number), "{text}");
        }
    }

    #[test]
    fn what_names_no_signal_is_refused() {
        for text in [
            "",
            "0",
            "65",
            "-1",
            "TERMX",
            "SIG",
            "SIGSIGTERM",
            "RTMIN+31",
            "RTMAX-31",
            "RTMIN-1",
            "RTMIN+",
            "RTMIN++1",
            "RTMIN+-1",
            "RTMAX+1",
            "RTMINPLUS",
            "256",
            "99999999999",
            " TERM",
            "TERM ",
            "+15",
            "TÉRM",
        ] {
            assert_eq!(text.parse::<Signal>(), Err(UnknownSignal), "{text:?}");
        }
    }

    #[test]
    fn a_printed_name_reads_back_as_the_same_signal() {
        assert_eq!(Signal::all().count(), 64);
        for signal in Signal::all() {
            assert_eq!(signal.to_string().parse(), Ok(signal));
            assert_eq!(
                format!("SIG{signal}").parse::<Signal>().ok(),
                Some(signal).filter(|s| !matches!(s.number(), 32 | 33))
            );
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set = SignalSet::default().with(Signal::HUP).with(Signal::KILL);
        assert_eq!(set.bits(), 0x101);
        assert!(set.contains(Signal::HUP) && !set.contains(Signal::TERM));
        assert!(Signal::all().all(|signal| SignalSet::from_bits(u64::MAX).contains(signal)));
    }
}
