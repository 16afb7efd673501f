//! What a process does about a signal, as `/proc/PID/status` and `stat` tell, and whether waiting for those who are left can help. Pure.

use std::fmt;

use super::{FirstSignals, Process, Roster};
use crate::plan::Waiting;
use crate::signal::{Signal, SignalSet};
use crate::sys::procfs::Awaited;

/// The signal state of a process (proc(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stance {
    blocked: SignalSet,
    ignored: SignalSet,
    caught: SignalSet,
    /// It is the first process of a pid namespace below ours: the kernel drops what it neither catches nor blocks.
    is_nested_init: bool,
}

/// What a process does about one signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attitude {
    /// It does nothing to it.
    Ignores,
    /// It is kept for later.
    Blocks,
    /// It has a handler.
    Catches,
    /// It ends it, or stops it.
    Obeys,
}

impl fmt::Display for Attitude {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ignores => "ignores",
            Self::Blocks => "blocks",
            Self::Catches => "catches",
            Self::Obeys => "obeys",
        })
    }
}

/// Whether a signal reaches a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deafness {
    /// It does nothing to it.
    Deaf,
    /// It ends it, is caught, or is kept for it.
    Hears,
    /// It runs just now, and may wait for the signal next.
    Unclear,
}

impl Stance {
    /// Reads a `status` file; `None` where a line is missing.
    #[must_use]
    pub fn parse(status: &[u8]) -> Option<Self> {
        let value = |name: &[u8]| {
            let mut lines = status.split(|&byte| byte == b'\n');
            let value = lines.find_map(|line| line.strip_prefix(name))?;
            std::str::from_utf8(value).ok().map(str::trim)
        };
        let set = |name| Some(SignalSet::from_bits(u64::from_str_radix(value(name)?, 16).ok()?));
        // Its pids in our namespace and in those below, down to its own (since Linux 4.1).
        let mut pids = value(b"NSpid:").unwrap_or_default().split_ascii_whitespace();
        Some(Self {
            blocked: set(b"SigBlk:")?,
            ignored: set(b"SigIgn:")?,
            caught: set(b"SigCgt:")?,
            is_nested_init: pids.next().is_some() && pids.next_back() == Some("1"),
        })
    }

    /// What a `stat` line tells: a nested init looks like any other process there.
    #[must_use]
    pub(super) fn of_stat(signals: FirstSignals) -> Self {
        Self {
            blocked: signals.blocked(),
            ignored: signals.ignored(),
            caught: signals.caught(),
            is_nested_init: false,
        }
    }

    /// Whether it is the first process of a pid namespace below ours. It is so for as long as it lives.
    #[must_use]
    pub(super) fn is_nested_init(&self) -> bool {
        self.is_nested_init
    }

    /// Whether the signal does nothing. `awaited` tells what it waits for in sigtimedwait(2): that is queued like what is blocked, even
    /// where it is ignored, and `status` does not show it.
    #[must_use]
    pub(super) fn deafness(&self, signal: Signal, awaited: impl FnOnce() -> Awaited) -> Deafness {
        if !self.has_no_use_for(signal) || self.blocked.contains(signal) {
            return Deafness::Hears;
        }
        match awaited() {
            Awaited::Signals(set) if set.contains(signal) => Deafness::Hears,
            Awaited::Signals(_) => Deafness::Deaf,
            // It may have come out of the wait a moment ago.
            Awaited::Running => Deafness::Unclear,
            // An init that takes its signals is more likely than one that takes none; a plain process is as it says.
            Awaited::Hidden if self.is_nested_init => Deafness::Hears,
            Awaited::Hidden => Deafness::Deaf,
        }
    }

    /// What one look tells about the signal.
    #[must_use]
    pub fn attitude(&self, signal: Signal) -> Attitude {
        if self.has_no_use_for(signal) {
            Attitude::Ignores
        } else if self.blocked.contains(signal) {
            Attitude::Blocks
        } else if self.caught.contains(signal) {
            Attitude::Catches
        } else {
            Attitude::Obeys
        }
    }

    /// Whether the signal does nothing unless it is blocked or waited for, which may be for a moment: shells block signals while
    /// they fork.
    #[must_use]
    pub fn has_no_use_for(&self, signal: Signal) -> bool {
        let is_dropped =
            self.ignored.contains(signal) || signal.is_ignored_by_default() || self.is_nested_init;
        is_dropped && !self.caught.contains(signal)
    }
}

/// Whether it helps to wait for `everyone`, and who says so.
///
/// While main lives it is in vain where main ignores the signal and nobody who was asked is left of those who were there when it
/// was sent: a job of a shell that ignores the signal is at work, a `sleep` that its loop has started since is not. When main is gone it
/// is in vain where all ignore the signal.
///
/// `ignores` has no answer where that cannot be told yet; then nobody is given up.
///
/// Only who ignored it already when it was sent counts as ignoring it: a handler that wants to clean up undisturbed ignores it
/// too, once it has got it.
pub(super) fn judge(
    everyone: &[Process],
    main: Option<i32>,
    roster: &Roster,
    mut ignores: impl FnMut(&Process) -> Option<bool>,
) -> (Waiting, Option<Process>) {
    let ignored = roster.ignored_of(everyone);
    let ignored = |process: &Process| {
        let at = everyone.binary_search_by_key(&process.pid, |known| known.pid).ok();
        at.and_then(|at| ignored.get(at)).is_some_and(|ignored| *ignored)
    };
    let mut ignores = |process: &Process| if ignored(process) { ignores(process) } else { Some(false) };
    let Some(main) = main else {
        let mut all_ignore = !everyone.is_empty();
        for process in everyone {
            match ignores(process) {
                Some(false) => return (Waiting::Helps, Some(*process)),
                Some(true) => {}
                None => all_ignore = false,
            }
        }
        return (if all_ignore { Waiting::IsInVain } else { Waiting::Helps }, None);
    };
    match everyone.iter().find(|process| process.pid == main) {
        Some(process) if ignores(process) != Some(true) => return (Waiting::Helps, None),
        Some(_) => {}
        // It has just ended.
        None => return (Waiting::Helps, None),
    }
    let others = || everyone.iter().filter(|process| process.pid != main);
    if let Some(at_work) = others().find(|process| roster.was_there_and_asked(process)) {
        return (Waiting::Helps, Some(*at_work));
    }
    let asked = roster.asked_of(everyone);
    let unasked = everyone.iter().zip(asked).any(|(process, asked)| process.pid != main && !asked);
    (if unasked { Waiting::AskFirst } else { Waiting::IsInVain }, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Target;
    use crate::survivors::made_up::{ASKED_AT, MAIN, at, process};

    fn stance(blocked: &[Signal], ignored: &[Signal], caught: &[Signal], pids: &str) -> Stance {
        let bits =
            |signals: &[Signal]| signals.iter().fold(SignalSet::default(), |set, &s| set.with(s)).bits();
        let status = format!(
            "Name:\tx\nNSpid:\t{pids}\nShdPnd:\t0000000000000000\nSigBlk:\t{:016x}\nSigIgn:\t{:016x}\nSigCgt:\t{:016x}\n",
            bits(blocked),
            bits(ignored),
            bits(caught)
        );
        Stance::parse(status.as_bytes()).expect("a good file")
    }

    #[test]
    fn only_who_ignores_it_ignores_it() {
        let term = [Signal::TERM];
        let ignores = |stance: Stance, signal| {
            stance.deafness(signal, || Awaited::Signals(SignalSet::default())) == Deafness::Deaf
        };
        assert!(ignores(stance(&[], &term, &[], "7"), Signal::TERM));
        let awaits = |awaited| stance(&[], &term, &[], "7").deafness(Signal::TERM, || awaited);
        assert_eq!(awaits(Awaited::Signals(SignalSet::default().with(Signal::TERM))), Deafness::Hears);
        assert_eq!(awaits(Awaited::Signals(SignalSet::default().with(Signal::CHLD))), Deafness::Deaf);
        assert_eq!((awaits(Awaited::Running), awaits(Awaited::Hidden)), (Deafness::Unclear, Deafness::Deaf));
        assert!(!ignores(stance(&[], &term, &[], "7"), Signal::QUIT));
        assert!(!ignores(stance(&[], &[], &[], "7"), Signal::TERM), "it dies of it");
        assert!(!ignores(stance(&term, &term, &[], "7"), Signal::TERM), "blocked, it is queued");
        assert!(stance(&term, &term, &[], "7").has_no_use_for(Signal::TERM));
        assert!(!stance(&term, &[], &[], "7").has_no_use_for(Signal::TERM));
        assert!(!ignores(stance(&[], &[], &term, "7"), Signal::TERM));
        assert!(ignores(stance(&[], &[], &[], "7"), Signal::WINCH), "that is its default");
        assert!(!ignores(stance(&[], &[], &[Signal::WINCH], "7"), Signal::WINCH));
    }

    #[test]
    fn a_nested_init_ignores_what_it_does_not_handle() {
        let term = [Signal::TERM];
        let none = Awaited::Signals(SignalSet::default());
        let deafness = |stance: Stance, awaited| stance.deafness(Signal::TERM, || awaited);
        assert_eq!(deafness(stance(&[], &[], &[], "7 1"), none), Deafness::Deaf);
        let takes_it = Awaited::Signals(SignalSet::default().with(Signal::TERM));
        assert_eq!(deafness(stance(&[], &[], &[], "7 1"), takes_it), Deafness::Hears);
        assert_eq!(deafness(stance(&[], &[], &[], "7 1"), Awaited::Hidden), Deafness::Hears);
        assert_eq!(deafness(stance(&[], &[], &term, "7 1"), none), Deafness::Hears);
        assert_eq!(deafness(stance(&[], &[], &[], "7 2"), none), Deafness::Hears, "a child of one");
        assert_eq!(deafness(stance(&[], &[], &[], "1"), none), Deafness::Hears, "in our own namespace");
    }

    #[test]
    fn what_is_no_status_says_nothing() {
        for text in ["", "SigBlk:\t0\nSigIgn:\t0\n", "SigBlk:\tx\nSigIgn:\t0\nSigCgt:\t0\n"] {
            assert_eq!(Stance::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    fn main() -> Process {
        process(MAIN, 1, MAIN, 400)
    }

    /// The group was asked while `before` were there.
    fn roster(before: &[Process], ignoring: &[i32]) -> Roster {
        let mut roster = Roster::default();
        roster.note(before, Target::Group, Some(MAIN), at(ASKED_AT), |process| {
            ignoring.contains(&process.pid).then_some(Attitude::Ignores)
        });
        roster
    }

    fn verdict(before: &[Process], now: &[Process], main: Option<i32>, ignoring: &[i32]) -> Waiting {
        judge(now, main, &roster(before, ignoring), |process| Some(ignoring.contains(&process.pid))).0
    }

    #[test]
    fn who_ignores_it_only_since_it_came_is_cleaning_up() {
        let ignores_now = |_: &Process| Some(true);
        assert_eq!(judge(&[main()], Some(MAIN), &roster(&[main()], &[]), ignores_now).0, Waiting::Helps);
        let worker = process(8, 1, MAIN, 500);
        assert_eq!(judge(&[worker], None, &roster(&[main(), worker], &[]), ignores_now).0, Waiting::Helps);
    }

    #[test]
    fn a_main_that_takes_the_signal_is_waited_for() {
        assert_eq!(verdict(&[main()], &[main()], Some(MAIN), &[]), Waiting::Helps);
        assert_eq!(verdict(&[main()], &[], Some(MAIN), &[]), Waiting::Helps, "it has just ended");
    }

    #[test]
    fn a_job_under_an_ignoring_main_is_waited_for_even_where_it_ignores_too() {
        let job = process(8, MAIN, MAIN, 500);
        assert_eq!(verdict(&[main(), job], &[main(), job], Some(MAIN), &[MAIN, 8]), Waiting::Helps);
        assert_eq!(verdict(&[main(), job], &[main()], Some(MAIN), &[MAIN]), Waiting::IsInVain);
    }

    #[test]
    fn what_an_ignoring_main_starts_afterwards_does_not_count() {
        let in_the_group = process(20, MAIN, MAIN, 1_050);
        let in_its_own = process(21, MAIN, 21, 1_050);
        let now = [main(), in_the_group, in_its_own];
        assert_eq!(verdict(&[main()], &now, Some(MAIN), &[MAIN]), Waiting::IsInVain);
    }

    #[test]
    fn who_has_not_been_asked_is_asked_first() {
        let job = process(8, MAIN, 8, 500);
        let now = [main(), job];
        assert_eq!(verdict(&now, &now, Some(MAIN), &[MAIN]), Waiting::AskFirst);
        let mut roster = roster(&now, &[MAIN]);
        assert_eq!(roster.take_unasked(&now, at(ASKED_AT + 1), |_, _| None).len(), 1);
        assert_eq!(
            judge(&now, Some(MAIN), &roster, |process| Some(process.pid == MAIN)),
            (Waiting::Helps, Some(job))
        );
    }

    #[test]
    fn when_main_is_gone_all_who_are_left_must_ignore_it() {
        let (one, other) = (process(8, 1, MAIN, 500), process(9, 1, MAIN, 500));
        let verdict = |ignoring: &[i32]| verdict(&[main(), one, other], &[one, other], None, ignoring);
        assert_eq!(verdict(&[8, 9]), Waiting::IsInVain);
        assert_eq!(verdict(&[8]), Waiting::Helps);
        assert_eq!(
            judge(&[], None, &roster(&[], &[]), |_| Some(true)),
            (Waiting::Helps, None),
            "nobody is left"
        );
    }
}
