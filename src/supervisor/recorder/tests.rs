//! The rules of the recorder.

use super::*;
use crate::plan::processes::signalled::Moment;
use crate::plan::{Action, Event, Origin, Plan, StopPolicy, StopSignal, When};
use crate::say::heard::lines_of;
use crate::supervisor::simulation::{Life, Reaction, Sim, quiet};

const SECOND: Duration = Duration::from_secs(1);
const STEP: StepId = StepId { when: When::PreStop, at: 0 };

/// A recorder of main and of what is below it.
struct Room {
    sim: Sim,
    recorder: Recorder<Sim>,
    main: i32,
}

impl Room {
    fn new(life: Life) -> Self {
        let (sim, main) = quiet(life);
        let recorder = Recorder::new(sim.clone(), Output::kept(), "p".to_owned(), main, None);
        Self { sim, recorder, main }
    }

    /// Main and a child, which both ignore signals.
    fn of_two() -> Self {
        Self::new(Life { children: vec![Life::new(Reaction::Ignores)], ..Life::new(Reaction::Ignores) })
    }

    fn table(&self) -> Table {
        self.sim.table().expect("no look fails")
    }

    fn process(&self, pid: i32) -> Process {
        *self.table().find(pid).expect("it is there")
    }

    /// A stop has begun, and these processes were sent TERM.
    fn signalled(&mut self, pids: &[i32]) -> Signalled {
        self.recorder.begin_stop(StopReason::OwnExit, Signal::TERM, None);
        self.recorder.begin_signalling(self.sim.now(), Signal::TERM, Target::Auto);
        let table = self.table();
        let moment = Moment { ticks: 0, last_pid: None };
        let mut signalled = Signalled::begin(StopSignal::plain(Signal::TERM), moment, &table);
        for process in table.iter().filter(|process| pids.contains(&process.pid)) {
            signalled.note_sent(process, Signal::TERM, false);
        }
        signalled
    }

    fn noted(&self, pid: i32) -> report::ProcessRecord {
        let processes = &self.recorder.record().processes;
        *processes.iter().find(|known| known.pid == pid).expect("it was noted")
    }
}

#[test]
fn a_stop_is_recorded_with_what_began_it() {
    let from = Received { signal: Signal::TERM, code: 0, sender: 9, sender_uid: 1000 };
    let elapsed = ["INFO: --stop-after elapsed: the stop begins".to_owned()];
    let (sender, none) = (Sender { pid: 9, uid: 1000 }, Sender::default());
    for (reason, received, recorded, said) in [
        (StopReason::Signal, Some(from), sender, &[][..]),
        (StopReason::Signal, None, none, &[]),
        (StopReason::OwnExit, Some(from), none, &[]),
        (StopReason::Elapsed, Some(from), none, &elapsed),
    ] {
        let mut room = Room::of_two();
        let lines = lines_of(|| room.recorder.begin_stop(reason, Signal::INT, received));
        let stop = room.recorder.record().stop.expect("it has begun");
        assert_eq!((stop.reason, stop.signal, stop.sender), (reason, Signal::INT, recorded));
        assert_eq!(lines, said);
    }
}

#[test]
fn only_what_is_there_when_kill_is_sent_is_recorded_as_killed() {
    let mut room = Room::of_two();
    let (main, child) = (room.main, room.main + 1);
    room.recorder.present(&room.table());
    // Its own parent reaps it, so drainit is not told.
    room.sim.end(child);
    room.recorder.killing(&room.table(), KillReason::Elapsed);
    room.recorder.observe();
    room.recorder.main_ended(main, Ended::Killed(Signal::KILL));
    let record = room.recorder.record();
    assert!(record.was_killed(&room.noted(main)) && !record.was_killed(&room.noted(child)), "{record:#?}");
    assert_eq!(record.killed.map(|killed| killed.what), Some(KillReason::Elapsed));
    let first = record.killed;
    room.recorder.killing(&room.table(), KillReason::Ignored(Signal::TERM));
    assert_eq!(room.recorder.record().killed, first, "it is repeated, and the first one counts");
}

#[test]
fn a_refused_signal_was_not_sent_and_the_first_of_several_counts() {
    let mut room = Room::of_two();
    let (main, child) = (room.process(room.main), room.process(room.main + 1));
    for signal in [Signal::TERM, Signal::INT] {
        room.recorder.signalled(&child, Some(Disposition::Ignored), signal, true);
        room.recorder.signalled(&main, Some(Disposition::Caught), signal, false);
    }
    room.recorder.signalled(&main, Some(Disposition::Default), Signal::QUIT, false);
    let (main, child) = (room.noted(main.pid), room.noted(child.pid));
    let what = |timed: Option<Timed<Signal>>| timed.map(|timed| timed.what);
    assert_eq!((what(child.refused), child.signalled, child.disposition), (Some(Signal::TERM), None, None));
    assert_eq!((what(main.signalled), main.refused), (Some(Signal::TERM), None));
    assert_eq!(main.disposition, Some(Disposition::Caught), "as it was just before the first");
}

#[test]
fn a_signal_to_main_is_recorded_as_main_s_also_if_it_was_found_like_any_other() {
    let mut room = Room::of_two();
    for pid in [room.main, room.main + 1] {
        let process = room.process(pid);
        room.recorder.sent_to(&process, Signal::TERM);
    }
    let sent: Vec<Receiver> = room.recorder.record().sent.last.iter().map(|sent| sent.to).collect();
    assert_eq!(sent, [Receiver::Main, Receiver::Process(room.main + 1)]);
}

#[test]
fn progress_is_logged_5_10_20_and_40_seconds_after_the_signal_and_then_the_end_too() {
    let policy = StopPolicy { ignored_after: None, ..StopPolicy::default() };
    let mut plan = Plan::new(&policy);
    let mut room = Room::of_two();
    let signalled = room.signalled(&[room.main]);
    let _ = plan.handle(Duration::ZERO, Event::Signal(Signal::TERM, Origin::Process));
    let lines = lines_of(|| {
        while let Some(now) = plan.deadline().filter(|now| *now < SECOND * 50) {
            room.sim.pause(now.saturating_sub(room.sim.now()));
            for action in plan.handle(now, Event::Tick) {
                if let Action::SayWaiting { since } = action {
                    room.recorder.say_waiting(since, &signalled);
                }
            }
        }
        room.sim.pause((SECOND * 50).saturating_sub(room.sim.now()));
        room.recorder.none_left();
        room.recorder.none_left();
    });
    let (main, child) = (room.main, room.main + 1);
    let mut expected: Vec<String> = ["5.0s", "10.0s", "20.0s", "40.0s"]
        .iter()
        .map(|time| {
            format!(
                "WARN: {time} after TERM, waiting for p1.0 ({main}): sleeping, ignores TERM; p2.0 ({child}): sleeping, was not sent TERM"
            )
        })
        .collect();
    let end = lines.last().cloned().unwrap_or_default();
    expected.push(end.clone());
    assert_eq!(lines, expected);
    let end = end.strip_prefix("WARN: the stop is over after ").expect("said once");
    assert!(
        ["49.9s", "50.0s"].iter().any(|time| end == format!("{time}: every process ended by itself")),
        "{end}"
    );
}

#[test]
fn the_end_is_logged_only_after_a_warning_and_says_if_kill_was_needed() {
    for (warns, kills, part) in [
        (false, false, None),
        (false, true, None),
        (true, false, Some(": every process ended by itself")),
        (true, true, Some(": some processes were killed")),
    ] {
        let mut room = Room::of_two();
        let signalled = room.signalled(&[room.main]);
        if warns {
            room.recorder.say_waiting(SECOND * 5, &signalled);
        }
        if kills {
            room.recorder.killing(&room.table(), KillReason::Elapsed);
        }
        let lines = lines_of(|| room.recorder.none_left());
        let [line] = lines.as_slice() else {
            assert!(lines.is_empty() && part.is_none(), "{warns} {kills}: {lines:?}");
            continue;
        };
        assert!(part.is_some_and(|part| line.ends_with(part)), "{warns} {kills}: {line}");
    }
}

#[test]
fn a_later_stage_is_waited_for_since_the_first_signal_and_described_by_its_own() {
    let mut room = Room::of_two();
    let _ = room.signalled(&[]);
    room.recorder.begin_signalling(room.sim.now(), Signal::INT, Target::All);
    let moment = Moment { ticks: 0, last_pid: None };
    let second = Signalled::begin(StopSignal::plain(Signal::INT), moment, &Table::default());
    let lines = lines_of(|| room.recorder.say_waiting(SECOND * 5, &second));
    assert!(lines.iter().all(|line| line.starts_with("WARN: 5.0s after TERM, ")), "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("was not sent INT")) && lines.len() == 1, "{lines:?}");
    assert_eq!(room.recorder.record().target, Some(Target::Auto), "the first signal's");
}

#[test]
fn a_process_that_refused_the_signal_is_waited_for_as_such() {
    let mut room = Room::of_two();
    let mut signalled = room.signalled(&[]);
    let table = room.table();
    table.iter().for_each(|process| signalled.note_sent(process, Signal::TERM, true));
    let left = room.recorder.waited_for(&table, Signal::TERM, &signalled);
    assert_eq!(left.matches("drainit is not permitted to signal it").count(), 2, "{left}");
}

#[test]
fn what_a_shell_waits_for_is_known_from_before_the_signal() {
    let child = Life::new(Reaction::Dies);
    let mut room = Room::new(Life { children: vec![child.clone(), child], ..Life::new(Reaction::Stays) });
    let (shell, first, last) = (room.main, room.main + 1, room.main + 2);
    let signalled = room.signalled(&[shell]);
    let said = |room: &Room| room.recorder.waited_for(&room.table(), Signal::TERM, &signalled);
    assert!(!said(&room).contains("waits for"), "it is no shell, as far as is known");
    room.recorder.in_doubt(shell);
    let part =
        format!("its trap is running or it waits for p3.0 ({last}): if it waits, start p3.0 with exec");
    assert!(said(&room).contains(&part), "its youngest child: {}", said(&room));
    room.recorder.in_foreground(shell, first);
    let part = format!("waits for its foreground command p2.0 ({first})");
    assert!(said(&room).contains(&part), "{}", said(&room));
}

#[test]
fn a_signal_that_was_ignored_is_recorded_as_the_cause_of_the_next_and_one_whose_time_was_up_is_not() {
    for (cause, part, is_recorded) in [
        (Cause::Ignored(Signal::TERM), "TERM is ignored, so waiting cannot help: going on to INT", true),
        (Cause::Elapsed, "the time for TERM is up: going on to INT", false),
    ] {
        let mut room = Room::of_two();
        let lines = lines_of(|| room.recorder.escalates(Signal::TERM, Signal::INT, cause, "p (7)"));
        assert_eq!(lines, [format!("WARN: {part}; still there: p (7)")]);
        let escalated = room.recorder.record().escalated.map(|escalated| escalated.what);
        assert_eq!(escalated, is_recorded.then_some(Signal::INT));
    }
}

#[test]
fn a_step_s_process_is_neither_noted_nor_waited_for() {
    let step = Life { leads_group: true, ..Life::new(Reaction::Ignores) };
    let mut room = Room::new(Life { children: vec![step], ..Life::new(Reaction::Dies) });
    let pid = room.main + 1;
    room.recorder.step_started(pid);
    room.recorder.present(&room.table());
    let pids: Vec<i32> = room.recorder.record().processes.iter().map(|known| known.pid).collect();
    assert_eq!(pids, [room.main]);
    assert_eq!(lines_of(|| room.recorder.say_left()), [format!("INFO: still there: p1.0 ({})", room.main)]);
    assert!(room.recorder.is_step(pid) && room.recorder.is_of_step(&room.process(pid)));
    // The pid may be another process's from now on. The group's number may not while it has members.
    room.recorder.step_reaped();
    assert!(!room.recorder.is_step(pid) && room.recorder.is_of_step(&room.process(pid)));
}

#[test]
fn a_sleep_is_over_when_the_next_step_or_the_stop_s_signal_comes() {
    let next: [&dyn Fn(&mut Room); 3] = [
        &|room| room.recorder.begin_step(StepId { at: 1, ..STEP }, &Step::Idle(80)),
        &|room| room.recorder.begin_signalling(room.sim.now(), Signal::TERM, Target::Auto),
        &|room| room.recorder.complete(ExitReason::NoneLeft, 0),
    ];
    for next in next {
        let mut room = Room::of_two();
        room.recorder.begin_step(STEP, &Step::Sleep(SECOND));
        next(&mut room);
        let ended = room.recorder.record().steps.first().and_then(|step| step.ended);
        assert_eq!(ended.map(|ended| ended.what), Some(StepOutcome::Succeeded));
    }
}

#[test]
fn the_record_is_to_be_written_ahead_when_a_stop_goes_on_and_not_for_less() {
    let mut room = Room::of_two();
    let signalled = room.signalled(&[]);
    room.recorder.write_ahead();
    let (table, main) = (room.table(), room.process(room.main));
    room.recorder.present(&table);
    room.recorder.seen(&table);
    room.recorder.observe();
    room.recorder.sent_to(&main, Signal::TERM);
    room.recorder.reaped(1000, Ended::Exited(0));
    assert!(!room.recorder.is_dirty, "each of them may happen a thousand times a second");
    type News<'a> = &'a dyn Fn(&mut Recorder<Sim>);
    let news: [News<'_>; 4] = [
        &|recorder| recorder.begin_stop(StopReason::OwnExit, Signal::TERM, None),
        &|recorder| recorder.begin_signalling(SECOND, Signal::TERM, Target::Auto),
        &|recorder| recorder.say_waiting(SECOND * 5, &signalled),
        &|recorder| recorder.killing(&table, KillReason::Elapsed),
    ];
    for (number, news) in news.iter().enumerate() {
        news(&mut room.recorder);
        assert!(room.recorder.is_dirty, "{number}");
        room.recorder.write_ahead();
        assert!(!room.recorder.is_dirty, "{number}: once");
    }
}

#[test]
fn what_not_even_kill_could_end_is_left_behind_in_the_record() {
    for (reason, is_left) in [(ExitReason::SomeCannotBeKilled, true), (ExitReason::NoneLeft, false)] {
        let mut room = Room::of_two();
        room.recorder.present(&room.table());
        room.sim.end(room.main + 1);
        room.recorder.complete(reason, 137);
        assert_eq!(room.noted(room.main).is_left_behind(), is_left);
        assert!(!room.noted(room.main + 1).is_left_behind(), "it has ended");
        assert_eq!(room.recorder.record().exit_code, Some(137));
    }
}

#[test]
fn the_last_line_names_the_exit_code_and_the_command_s_own_if_it_was_remapped() {
    for (code, line) in [(143, "INFO: exiting with 143"), (0, "INFO: exiting with 0, remapped from 143")] {
        let (sim, main) = quiet(Life::new(Reaction::Dies));
        let mut recorder = Recorder::new(sim, Output::default(), "p".to_owned(), main, None);
        recorder.main_ended(main, Ended::Killed(Signal::TERM));
        let lines = lines_of(|| assert_eq!(recorder.close(ExitReason::NoneLeft, code), code));
        assert_eq!(lines, [line]);
    }
}
