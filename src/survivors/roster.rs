//! Who was asked to leave, so that nobody is asked twice: a program that takes its signal once, and gives it its default action
//! back (Go's `signal.NotifyContext`), dies of the second one in the middle of its work. Pure.

use super::{Attitude, Name, Process};
use crate::plan::Target;

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
    /// What it was called: another name is another program, which has given nothing up.
    name: Name,
    /// What it did about the signal just before that was sent. Whoever ignores it only since has got it, and is cleaning up
    /// undisturbed.
    attitude: Option<Attitude>,
    /// That it obeyed, or blocked it, is true: it is no nested init, which is what a look leaves open.
    is_sure: bool,
    asked: Option<Moment>,
}

/// A moment as processes can be compared with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// In clock ticks since boot, as start times are.
    pub ticks: u64,
    /// The pid that was given away last: within one tick it tells who was there before.
    pub last_pid: Option<i32>,
}

/// Pids that lie further below the last one come after it: the numbers have begun again from the start.
const WRAPPED: i32 = 1 << 14;

impl Moment {
    /// Whether the process was started after it. Where that cannot be told it was: what an asked process starts is its way of
    /// ending, and to ask that as well would destroy work.
    fn is_before(self, process: &Process) -> bool {
        let is_new = |last: i32| process.pid > last || process.pid < last - WRAPPED;
        process.start > self.ticks || (process.start == self.ticks && self.last_pid.is_none_or(is_new))
    }
}

impl Roster {
    /// Notes who is there just before the target is asked. Whoever was asked before stays so, but all are asked anew where the
    /// target is all. `attitude` tells what a process does about the signal; it may leave open whether who obeys or blocks it is a nested init.
    pub fn note(
        &mut self,
        processes: &[Process],
        target: Target,
        main: Option<i32>,
        now: Moment,
        attitude: impl Fn(&Process) -> Option<Attitude>,
    ) {
        match target {
            Target::Group => self.group = main,
            Target::Main => {}
            Target::All => self.group = None,
        }
        for process in processes {
            let is_asked = match target {
                Target::Group => main == Some(process.group),
                Target::Main => main == Some(process.pid),
                Target::All => false,
            };
            let known = self.find(process).filter(|_| target != Target::All);
            let before = known.filter(|entry| entry.asked.is_some()).copied();
            match before {
                Some(entry) if !is_asked => self.insert(process, entry.attitude, entry.asked),
                _ => self.insert(process, attitude(process), is_asked.then_some(now)),
            }
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
    ///
    /// Who had a handler when the stop began, and has none any more, has got the signal from somebody else (its supervisor, say),
    /// and would die of another one. `attitude` also gets what it did about the signal then.
    pub fn take_unasked(
        &mut self,
        processes: &[Process],
        now: Moment,
        attitude: impl Fn(&Process, Option<Attitude>) -> Option<Attitude>,
    ) -> Vec<Process> {
        let asked = self.asked_of(processes);
        let unasked = processes.iter().zip(asked).filter(|(_, asked)| !asked).map(|(process, _)| *process);
        let mut to_ask = Vec::new();
        for process in unasked.collect::<Vec<_>>() {
            let before = self.find(&process).filter(|entry| entry.name == process.name);
            let before = before.and_then(|entry| entry.attitude);
            let had_handler = before == Some(Attitude::Catches);
            let attitude = attitude(&process, before);
            let has_handler = !matches!(attitude, Some(Attitude::Obeys | Attitude::Ignores));
            self.insert(&process, attitude, Some(now));
            if has_handler || !had_handler {
                to_ask.push(process);
            }
        }
        to_ask
    }

    /// It is asked at this moment, and not before.
    pub fn is_being_asked(&mut self, process: &Process, now: Moment) {
        if let Some(entry) = self.find_mut(process) {
            entry.asked = Some(now);
        }
    }

    /// Finds those of these who only seemed to obey or block the signal: to a nested init without a handler the kernel does not deliver it. That does
    /// not change while they live, so it is looked up only when somebody wants to know, and once.
    pub fn find_nested_inits(
        &mut self,
        processes: &[Process],
        is_nested_init: impl Fn(&Process) -> Option<bool>,
    ) {
        for process in processes {
            let Some(entry) = self.find_mut(process) else { continue };
            if matches!(entry.attitude, Some(Attitude::Obeys | Attitude::Blocks)) && !entry.is_sure {
                match is_nested_init(process) {
                    Some(true) => entry.attitude = Some(Attitude::Ignores),
                    Some(false) => entry.is_sure = true,
                    None => {}
                }
            }
        }
    }

    /// For each of these, sorted by pid: whether it ignored the signal when that was sent, or was started since by somebody who did.
    #[must_use]
    pub fn ignored_of(&self, processes: &[Process]) -> Vec<bool> {
        resolve(processes, |process, parent| {
            let known = self.find(process);
            let ignored = |entry: &Entry| entry.asked.is_some() && entry.attitude == Some(Attitude::Ignores);
            known.map(ignored).or(if parent.is_none() { Some(false) } else { None })
        })
    }

    /// Whether it was there and did not ignore the signal when that was sent.
    #[must_use]
    pub fn did_not_ignore(&self, process: &Process) -> bool {
        self.find(process).is_some_and(|entry| entry.attitude.is_some_and(|then| then != Attitude::Ignores))
    }

    /// Whether it was asked, and what it did about the signal then.
    #[must_use]
    pub fn asked(&self, process: &Process) -> Option<Option<Attitude>> {
        self.find(process).filter(|entry| entry.asked.is_some()).map(|entry| entry.attitude)
    }

    /// For each of these, sorted by pid: whether it was asked.
    ///
    /// A process that nobody noted is one that was started since. What an asked process starts afterwards is its way of ending (a
    /// last backup, a clean-up) and is left to finish; what it had started before, unseen, got no signal and is asked.
    #[must_use]
    pub fn asked_of(&self, processes: &[Process]) -> Vec<bool> {
        resolve(processes, |process, parent| {
            if self.step_group == Some(process.group) {
                return Some(true);
            }
            if let Some(entry) = self.find(process) {
                return Some(entry.asked.is_some());
            }
            if self.group == Some(process.group) {
                return Some(true);
            }
            // Without a parent that is left nothing tells what it descends from.
            let Some(parent) = parent else { return Some(false) };
            let known = self.find(parent);
            known.map(|entry| entry.asked.is_some_and(|asked| asked.is_before(process)))
        })
    }

    fn find(&self, process: &Process) -> Option<&Entry> {
        let at = self.known.binary_search_by_key(&process.pid, |entry| entry.pid).ok()?;
        self.known.get(at).filter(|entry| entry.start == process.start)
    }

    fn find_mut(&mut self, process: &Process) -> Option<&mut Entry> {
        let at = self.known.binary_search_by_key(&process.pid, |entry| entry.pid).ok()?;
        self.known.get_mut(at).filter(|entry| entry.start == process.start)
    }

    fn insert(&mut self, process: &Process, attitude: Option<Attitude>, asked: Option<Moment>) {
        let Process { pid, start, name, .. } = *process;
        let entry = Entry { pid, start, name, attitude, is_sure: false, asked };
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

/// For each of these, sorted by pid: what `says` says of it, who gets its parent too; where that is nothing, what holds for its parent.
fn resolve(processes: &[Process], says: impl Fn(&Process, Option<&Process>) -> Option<bool>) -> Vec<bool> {
    let mut found: Vec<Option<bool>> = vec![None; processes.len()];
    let mut line = Vec::new();
    for start in 0..processes.len() {
        let mut at = start;
        line.clear();
        let verdict = loop {
            line.push(at);
            if let Some(known) = found.get(at).copied().flatten() {
                break known;
            }
            let Some(process) = processes.get(at) else { break false };
            // Parents are older than their children, so this comes to an end; times that were turned back do not.
            let parent = processes
                .binary_search_by_key(&process.parent, |parent| parent.pid)
                .ok()
                .and_then(|at| Some((at, processes.get(at)?)))
                .filter(|(_, parent)| parent.start <= process.start && parent.pid != process.pid);
            match (says(process, parent.map(|(_, parent)| parent)), parent) {
                (Some(verdict), _) => break verdict,
                (None, Some((parent, _))) if line.len() <= processes.len() => at = parent,
                (None, _) => break false,
            }
        };
        for &at in &line {
            if let Some(found) = found.get_mut(at) {
                found.get_or_insert(verdict);
            }
        }
    }
    found.into_iter().map(|found| found.unwrap_or(false)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survivors::made_up::{ASKED_AT, MAIN, at, process};

    /// Asks `target` while `before` are there; tells who of `after` is asked when main is gone.
    fn asked_later(target: Target, before: &[Process], after: &[Process]) -> Vec<i32> {
        let mut roster = Roster::default();
        roster.note(before, target, Some(MAIN), at(ASKED_AT), |_| None);
        let pids = roster
            .take_unasked(after, at(ASKED_AT + 50), |_, _| None)
            .iter()
            .map(|process| process.pid)
            .collect();
        assert!(roster.take_unasked(after, at(ASKED_AT + 60), |_, _| None).is_empty(), "nobody twice");
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
        roster.note(&all, Target::Main, Some(MAIN), at(ASKED_AT), |_| None);
        assert_eq!(roster.take_unasked(&all, at(ASKED_AT), |_, _| None).len(), 2);
        roster.note(&all, Target::Group, Some(MAIN), at(ASKED_AT + 100), |_| None);
        assert!(roster.take_unasked(&all, at(ASKED_AT + 100), |_, _| None).is_empty());
        roster.note(&all, Target::All, Some(MAIN), at(ASKED_AT + 200), |_| None);
        assert_eq!(roster.take_unasked(&all, at(ASKED_AT + 200), |_, _| None).len(), 3);
    }

    #[test]
    fn who_ignores_the_signal_since_it_has_got_it_is_told_from_who_always_did() {
        let (deaf, cleaning) = (process(MAIN, 1, MAIN, 400), process(8, 1, 8, 500));
        let (child, grandchild) = (process(20, MAIN, MAIN, 1_050), process(21, 20, 21, 1_060));
        let cleaner = process(22, 8, 8, 1_050);
        let now = [deaf, cleaning, child, grandchild, cleaner];
        let mut roster = Roster::default();
        roster.note(&[deaf, cleaning], Target::Group, Some(MAIN), at(ASKED_AT), |process| {
            (process.pid == MAIN).then_some(Attitude::Ignores)
        });
        assert_eq!(roster.ignored_of(&now).iter().filter(|ignored| **ignored).count(), 3, "one is not asked");
        assert!(!roster.take_unasked(&now, at(ASKED_AT + 1), |_, _| None).is_empty());
        assert_eq!(roster.ignored_of(&now), [true, false, true, true, false]);
    }

    #[test]
    fn a_step_that_was_ended_is_not_asked_as_well() {
        let step = process(8, 1, 8, 500);
        let mut roster = Roster::default();
        roster.count_as_asked(8);
        roster.note(&[step], Target::Group, Some(MAIN), at(ASKED_AT), |_| None);
        assert!(roster.take_unasked(&[step, process(10, 8, 8, 1_010)], at(ASKED_AT), |_, _| None).is_empty());
    }

    #[test]
    fn without_a_stop_before_everybody_is_asked() {
        let mut roster = Roster::default();
        let all = [process(8, 1, MAIN, 500), process(9, 8, 9, 600)];
        assert_eq!(roster.take_unasked(&all, at(ASKED_AT), |_, _| None).len(), 2);
        assert!(roster.take_unasked(&all, at(ASKED_AT), |_, _| None).is_empty());
    }

    #[test]
    fn within_one_tick_the_pids_tell_who_was_there_before_the_asking() {
        let supervisor = process(8, 1, 8, 500);
        let moment = Moment { ticks: ASKED_AT, last_pid: Some(20) };
        let mut roster = Roster::default();
        roster.note(&[supervisor], Target::All, Some(MAIN), moment, |_| None);
        assert_eq!(roster.take_unasked(&[supervisor], moment, |_, _| None).len(), 1);
        roster.is_being_asked(&supervisor, moment);
        let (before, after) = (process(20, 8, 8, ASKED_AT), process(21, 8, 8, ASKED_AT));
        assert_eq!(roster.asked_of(&[supervisor, before, after]), [true, false, true]);
        let late = Moment { ticks: ASKED_AT, last_pid: Some(30_000) };
        assert!(late.is_before(&process(300, 8, 8, ASKED_AT)), "the numbers have begun again");
    }

    #[test]
    fn who_has_given_its_handler_up_has_been_told_by_somebody_else() {
        let (main, told, deaf) =
            (process(MAIN, 1, MAIN, 400), process(8, MAIN, 8, 500), process(9, MAIN, 9, 500));
        let all = [main, told, deaf];
        let mut roster = Roster::default();
        roster.note(&all, Target::Group, Some(MAIN), at(ASKED_AT), |_| Some(Attitude::Catches));
        let now =
            |process: &Process, _| Some(if process.pid == 8 { Attitude::Obeys } else { Attitude::Catches });
        let asked = roster.take_unasked(&all, at(ASKED_AT + 5), now);
        assert_eq!(asked.iter().map(|process| process.pid).collect::<Vec<_>>(), [9]);
    }

    #[test]
    fn a_nested_init_only_seemed_to_hear_it() {
        let (main, nested, worker) =
            (process(MAIN, 1, MAIN, 400), process(8, 1, MAIN, 500), process(9, 1, MAIN, 500));
        let mut roster = Roster::default();
        roster.note(&[main, nested, worker], Target::Group, Some(MAIN), at(ASKED_AT), |process| {
            Some(match process.pid {
                MAIN => Attitude::Catches,
                8 => Attitude::Blocks,
                _ => Attitude::Obeys,
            })
        });
        roster.find_nested_inits(&[nested], |_| None);
        assert!(roster.did_not_ignore(&nested), "that cannot be told yet");
        roster.find_nested_inits(&[main, nested, worker], |process| {
            assert_ne!(process.pid, MAIN, "that has a handler");
            Some(process.pid == 8)
        });
        assert_eq!(roster.ignored_of(&[main, nested, worker]), [false, true, false]);
        assert!(!roster.did_not_ignore(&nested));
        roster.find_nested_inits(&[nested, worker], |_| panic!("both are known"));
    }

    #[test]
    fn a_long_line_of_descent_is_no_burden() {
        let line: Vec<Process> = (0..50_000).map(|at| process(10 + at, 9 + at, 10 + at, 500)).collect();
        let asked = Roster::default().asked_of(&line);
        assert_eq!(asked.len(), 50_000);
        assert!(asked.iter().all(|asked| !asked));
    }
}
