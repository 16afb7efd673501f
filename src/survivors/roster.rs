//! Who was asked to leave, so that nobody is asked twice: a program that takes its signal once, and gives it its default action
//! back (Go's `signal.NotifyContext`), dies of the second one in the middle of its work. Pure.

use super::Process;
use crate::settings::Target;

/// Who was there when the stop began, and who got the signal.
#[derive(Debug, Default)]
pub struct Roster {
    /// Sorted by pid.
    known: Vec<Entry>,
    /// The group that was asked as a whole: whoever is in it got the signal, or was started by somebody who did.
    group: Option<i32>,
    /// The group of a step that has got the signal already.
    step_group: Option<i32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    pid: i32,
    start: u64,
    asked: Option<Asked>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    /// In ticks since boot, as start times are.
    at: u64,
    /// It ignored the signal then. Whoever ignores it only since has got it, and is cleaning up undisturbed.
    ignored: bool,
}

impl Roster {
    /// Notes who is there just before the target is asked, at `now` in ticks. Whoever was asked before stays so, but all are asked
    /// anew where the target is all.
    /// `ignores` tells who ignores the signal.
    pub fn note(
        &mut self,
        processes: &[Process],
        target: Target,
        main: i32,
        now: u64,
        ignores: impl Fn(&Process) -> bool,
    ) {
        match target {
            Target::Group => self.group = Some(main),
            Target::Main => {}
            Target::All => self.group = None,
        }
        for process in processes {
            let is_asked = match target {
                Target::Group => process.group == main,
                Target::Main => process.pid == main,
                Target::All => false,
            };
            let before = self.find(process).and_then(|entry| entry.asked).filter(|_| target != Target::All);
            let asked = is_asked.then(|| Asked { at: now, ignored: ignores(process) });
            self.insert(process, asked.or(before));
        }
    }

    /// A step's group has got the signal that ends it; the stop does not send it another one.
    pub fn count_as_asked(&mut self, step_group: i32) {
        self.step_group = Some(step_group);
    }

    /// Whether it was there when the signal was sent, and got it then or since.
    #[must_use]
    pub fn was_there_and_asked(&self, process: &Process) -> bool {
        self.find(process).is_some_and(|entry| entry.asked.is_some())
    }

    /// Those of `processes` who have not been asked, and from now on have; the caller asks them.
    pub fn take_unasked(
        &mut self,
        processes: &[Process],
        now: u64,
        ignores: impl Fn(&Process) -> bool,
    ) -> Vec<Process> {
        let unasked: Vec<Process> =
            processes.iter().filter(|process| !self.is_asked(process, processes)).copied().collect();
        for process in &unasked {
            self.insert(process, Some(Asked { at: now, ignored: ignores(process) }));
        }
        unasked
    }

    /// Whether it ignored the signal when it was sent, or was started since by somebody who did.
    #[must_use]
    pub fn ignored(&self, process: &Process, processes: &[Process]) -> bool {
        if let Some(entry) = self.find(process) {
            return entry.asked.is_some_and(|asked| asked.ignored);
        }
        let parent = processes.binary_search_by_key(&process.parent, |parent| parent.pid).ok();
        parent.and_then(|at| processes.get(at)).is_some_and(|parent| {
            parent.start <= process.start && parent.pid != process.pid && self.ignored(parent, processes)
        })
    }

    /// A process that nobody noted is one that was started since. What an asked process starts afterwards is its way of ending (a
    /// last backup, a clean-up) and is left to finish; what it had started before, unseen, got no signal and is asked. Start
    /// times count ticks of 10 ms: within one tick the clean-up has the benefit of the doubt, because asking it destroys work.
    #[must_use]
    pub fn is_asked(&self, process: &Process, processes: &[Process]) -> bool {
        if self.step_group == Some(process.group) {
            return true;
        }
        if let Some(entry) = self.find(process) {
            return entry.asked.is_some();
        }
        if self.group == Some(process.group) {
            return true;
        }
        let parent = processes.binary_search_by_key(&process.parent, |parent| parent.pid).ok();
        match parent.and_then(|at| processes.get(at)) {
            // Its parent is gone, or is drainit: nothing tells what it descends from.
            None => false,
            Some(parent) => match self.find(parent) {
                Some(entry) => entry.asked.is_some_and(|asked| process.start >= asked.at),
                // Parents are older than their children, so this comes to an end; times that were turned back do not.
                None => {
                    parent.start <= process.start
                        && parent.pid != process.pid
                        && self.is_asked(parent, processes)
                }
            },
        }
    }

    fn find(&self, process: &Process) -> Option<&Entry> {
        let at = self.known.binary_search_by_key(&process.pid, |entry| entry.pid).ok()?;
        self.known.get(at).filter(|entry| entry.start == process.start)
    }

    fn insert(&mut self, process: &Process, asked: Option<Asked>) {
        let entry = Entry { pid: process.pid, start: process.start, asked };
        match self.known.binary_search_by_key(&process.pid, |known| known.pid) {
            Ok(at) => {
                if let Some(known) = self.known.get_mut(at) {
                    *known = entry;
                }
            }
            Err(at) => self.known.insert(at, entry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: i32 = 7;
    const ASKED_AT: u64 = 1_000;

    fn process(pid: i32, parent: i32, group: i32, start: u64) -> Process {
        let stat = format!("{pid} (x) S {parent} {group} 1 0 0 0 0 0 0 0 0 0 0 0 20 0 1 0 {start}");
        Process::parse(stat.as_bytes()).expect("a good line")
    }

    /// Asks `target` while `before` are there; tells who of `after` is asked when main is gone.
    fn asked_later(target: Target, before: &[Process], after: &[Process]) -> Vec<i32> {
        let mut roster = Roster::default();
        roster.note(before, target, MAIN, ASKED_AT, |_| false);
        let pids =
            roster.take_unasked(after, ASKED_AT + 50, |_| false).iter().map(|process| process.pid).collect();
        assert!(roster.take_unasked(after, ASKED_AT + 60, |_| false).is_empty(), "nobody twice");
        pids
    }

    #[test]
    fn members_of_the_asked_group_are_not_asked_again_and_others_are() {
        let worker = process(8, MAIN, MAIN, 500);
        let daemon = process(9, 1, 9, 500);
        let before = [process(MAIN, 1, MAIN, 400), worker, daemon];
        assert_eq!(asked_later(Target::Group, &before, &[worker, daemon]), [9]);
        assert_eq!(asked_later(Target::Main, &before, &[worker, daemon]), [8, 9]);
    }

    #[test]
    fn what_an_asked_process_starts_afterwards_is_left_to_finish() {
        let worker = process(8, 1, MAIN, 500);
        let before = [process(MAIN, 1, MAIN, 400), worker];
        let backup_in_the_group = process(20, 1, MAIN, 1_020);
        let backup_elsewhere = process(21, 8, 21, 1_020);
        let its_helper = process(22, 21, 21, 1_030);
        assert_eq!(
            asked_later(Target::Group, &before, &[worker, backup_in_the_group, backup_elsewhere, its_helper]),
            [0_i32; 0]
        );
    }

    #[test]
    fn what_was_started_unseen_just_before_the_asking_is_asked() {
        let worker = process(8, 1, MAIN, 500);
        let before = [process(MAIN, 1, MAIN, 400), worker];
        let just_before = process(21, 8, 21, ASKED_AT - 1);
        assert_eq!(asked_later(Target::Group, &before, &[worker, just_before]), [21]);
    }

    #[test]
    fn an_orphan_of_unknown_descent_is_asked() {
        let before = [process(MAIN, 1, MAIN, 400)];
        assert_eq!(asked_later(Target::Group, &before, &[process(30, 1, 30, 1_020)]), [30]);
    }

    #[test]
    fn a_number_that_was_given_away_is_somebody_else() {
        let before = [process(MAIN, 1, MAIN, 400), process(8, 1, MAIN, 500)];
        assert_eq!(asked_later(Target::Group, &before, &[process(8, 1, 8, 1_040)]), [8]);
    }

    #[test]
    fn a_later_stage_asks_its_target_again_and_nobody_else() {
        let (main, worker, daemon) =
            (process(MAIN, 1, MAIN, 400), process(8, MAIN, MAIN, 500), process(9, 1, 9, 500));
        let all = [main, worker, daemon];
        let mut roster = Roster::default();
        roster.note(&all, Target::Main, MAIN, ASKED_AT, |_| false);
        assert_eq!(roster.take_unasked(&all, ASKED_AT, |_| false).len(), 2);
        roster.note(&all, Target::Group, MAIN, ASKED_AT + 100, |_| false);
        assert!(roster.take_unasked(&all, ASKED_AT + 100, |_| false).is_empty());
        roster.note(&all, Target::All, MAIN, ASKED_AT + 200, |_| false);
        assert_eq!(roster.take_unasked(&all, ASKED_AT + 200, |_| false).len(), 3);
    }

    #[test]
    fn who_ignores_the_signal_since_it_has_got_it_is_told_from_who_always_did() {
        let (deaf, cleaning) = (process(MAIN, 1, MAIN, 400), process(8, 1, 8, 500));
        let (child, grandchild) = (process(20, MAIN, MAIN, 1_050), process(21, 20, 21, 1_060));
        let cleaner = process(22, 8, 8, 1_050);
        let now = [deaf, cleaning, child, grandchild, cleaner];
        let mut roster = Roster::default();
        roster.note(&[deaf, cleaning], Target::Group, MAIN, ASKED_AT, |process| process.pid == MAIN);
        assert!(!roster.ignored(&cleaning, &now), "not asked");
        assert!(!roster.take_unasked(&now, ASKED_AT + 1, |_| false).is_empty());
        let ignored = now.iter().filter(|process| roster.ignored(process, &now));
        assert_eq!(ignored.map(|process| process.pid).collect::<Vec<_>>(), [MAIN, 20, 21]);
    }

    #[test]
    fn a_step_that_was_ended_is_not_asked_as_well() {
        let step = process(8, 1, 8, 500);
        let mut roster = Roster::default();
        roster.count_as_asked(8);
        roster.note(&[step], Target::Group, MAIN, ASKED_AT, |_| false);
        assert!(roster.take_unasked(&[step, process(10, 8, 8, 1_010)], ASKED_AT, |_| false).is_empty());
    }

    #[test]
    fn without_a_stop_before_everybody_is_asked() {
        let mut roster = Roster::default();
        let all = [process(8, 1, MAIN, 500), process(9, 8, 9, 600)];
        assert_eq!(roster.take_unasked(&all, ASKED_AT, |_| false).len(), 2);
        assert!(roster.take_unasked(&all, ASKED_AT, |_| false).is_empty());
    }
}
