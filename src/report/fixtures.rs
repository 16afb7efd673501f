//! Records made by hand, for tests.

use std::time::Duration;

use super::record::*;
use crate::outcome::Ended;
use crate::plan::processes::{Disposition, Process, ProcessName};
use crate::plan::{KillReason, StepId, StopReason, Target, When};
use crate::signal::Signal;

/// Main's pid, and its group.
pub(super) const MAIN: i32 = 7;

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn timed<T>(at: u64, what: T) -> Timed<T> {
    Timed { at: ms(at), what }
}

pub(super) fn process(pid: i32, name: &[u8], state: u8) -> Process {
    let stat =
        [format!("{pid} (").as_bytes(), name, b") S 1 7 1 0 0 0 0 0 0 0 0 0 0 0 20 0 1 0 500"].concat();
    Process { state, ..crate::processes::stat::parse(&stat).expect("a good line") }
}

pub(super) fn name(bytes: &[u8]) -> ProcessName {
    process(1, bytes, b'S').name
}

/// A process of main's group that was there when TERM was sent at 5.2 s, catches TERM, and exited with 0.
pub(super) fn one(pid: i32, called: &str, ended: u64) -> ProcessRecord {
    ProcessRecord {
        pid,
        start: 500,
        parent: 1,
        group: MAIN,
        name: name(called.as_bytes()),
        is_main: false,
        first_seen: ms(5_200),
        last_seen: None,
        state: b'S',
        disposition: Some(Disposition::Caught),
        signalled: Some(timed(5_200, Signal::TERM)),
        refused: None,
        ended: Some(timed(ended, ProcessEnd::Reaped(Ended::Exited(0)))),
    }
}

pub(super) fn step(when: When, called: &str, began: u64, ended: u64, outcome: StepOutcome) -> StepRecord {
    let id = StepId { when, at: 0 };
    let ended = Some(timed(ended, outcome));
    StepRecord { id, name: called.to_owned(), began: ms(began), ended, only_kept_alive: false }
}

fn stop() -> Option<StopRecord> {
    Some(StopRecord {
        at: ms(5_000),
        reason: StopReason::Elapsed,
        signal: Signal::TERM,
        sender: Sender::default(),
    })
}

/// A server with a worker, a drain and a post-exit step; all well.
pub(super) fn well() -> Record {
    let mut record = Record {
        command: "server".to_owned(),
        main_pid: Some(MAIN),
        stop: stop(),
        signalled_at: Some(ms(5_200)),
        steps: vec![
            step(When::PreStop, "sleep", 5_000, 5_200, StepOutcome::Succeeded),
            step(When::PostExit, "command upload", 6_900, 7_000, StepOutcome::Succeeded),
        ],
        processes: vec![
            ProcessRecord { is_main: true, first_seen: ms(0), ..one(MAIN, "server", 6_900) },
            ProcessRecord {
                first_seen: ms(3_000),
                disposition: Some(Disposition::Default),
                ended: Some(timed(5_220, ProcessEnd::Gone)),
                ..one(12, "worker", 0)
            },
            one(13, "worker", 6_000),
        ],
        main_ended: Some(timed(6_900, Ended::Exited(0))),
        ended_at: Some(ms(6_900)),
        exit_code: Some(0),
        ..Record::default()
    };
    record.note_sent(ms(5_200), Signal::TERM, Receiver::Group);
    record.note_sent(ms(5_200), Signal::CONT, Receiver::Group);
    record.note_sent(ms(6_100), Signal::HUP, Receiver::Main);
    record
}

/// A shell that ignores TERM; its child dies of it, and a daemon cannot be killed.
pub(super) fn ignoring_shell() -> Record {
    let killed = ProcessEnd::Reaped(Ended::Killed(Signal::KILL));
    Record {
        command: "/entrypoint.sh".to_owned(),
        main_pid: Some(MAIN),
        stop: stop().map(|stop| StopRecord { reason: StopReason::Signal, ..stop }),
        signalled_at: Some(ms(5_200)),
        steps: vec![step(
            When::PreStop,
            "command notify.sh",
            5_000,
            5_200,
            StepOutcome::Failed(Ended::Exited(1)),
        )],
        processes: vec![
            ProcessRecord {
                is_main: true,
                disposition: Some(Disposition::Ignored),
                ended: Some(timed(7_510, killed)),
                ..one(MAIN, "entrypoint.sh", 0)
            },
            ProcessRecord {
                disposition: Some(Disposition::Default),
                ended: Some(timed(5_210, ProcessEnd::Reaped(Ended::Killed(Signal::TERM)))),
                ..one(1_234_567, "quite-a-long-na", 0)
            },
            ProcessRecord {
                group: 9,
                ended: Some(timed(9_600, ProcessEnd::LeftBehind)),
                state: b'D',
                ..one(9, "\x1b[2J\n", 0)
            },
        ],
        main_ended: Some(timed(7_510, Ended::Killed(Signal::KILL))),
        killed: Some(timed(7_500, KillReason::Ignored(Signal::TERM))),
        ended_at: Some(ms(9_600)),
        exit_code: Some(137),
        ..Record::default()
    }
}

/// A shell that dies of TERM at once, and whose server is signalled only then.
pub(super) fn shell_in_front() -> Record {
    Record {
        command: "sh".to_owned(),
        main_pid: Some(MAIN),
        stop: stop(),
        signalled_at: Some(ms(5_200)),
        processes: vec![
            ProcessRecord {
                is_main: true,
                disposition: Some(Disposition::Default),
                ended: Some(timed(5_203, ProcessEnd::Reaped(Ended::Killed(Signal::TERM)))),
                ..one(MAIN, "sh", 0)
            },
            ProcessRecord { signalled: Some(timed(5_204, Signal::TERM)), ..one(12, "server", 7_400) },
        ],
        main_ended: Some(timed(5_203, Ended::Killed(Signal::TERM))),
        ended_at: Some(ms(7_400)),
        exit_code: Some(143),
        ..Record::default()
    }
}

/// A command that exits by itself.
pub(super) fn left_alone() -> Record {
    Record {
        command: "true".to_owned(),
        main_pid: Some(MAIN),
        main_ended: Some(timed(3, Ended::Exited(0))),
        ended_at: Some(ms(3)),
        exit_code: Some(0),
        ..Record::default()
    }
}

/// A server that the runtime signals after a minute, and that exits half a second later.
pub(super) fn happy() -> Record {
    let mut record = Record {
        command: "nginx".to_owned(),
        main_pid: Some(MAIN),
        grace_period: Some(ms(10_000)),
        stop: Some(StopRecord {
            at: ms(61_000),
            reason: StopReason::Signal,
            signal: Signal::TERM,
            sender: Sender::default(),
        }),
        signalled_at: Some(ms(61_000)),
        target: Some(Target::Group),
        processes: vec![ProcessRecord { is_main: true, ..signalled_late(MAIN, "nginx", 61_500) }],
        orphans_reaped: 3,
        main_ended: Some(timed(61_500, Ended::Exited(0))),
        ended_at: Some(ms(61_500)),
        exit_code: Some(0),
        ..Record::default()
    };
    record.note_sent(ms(61_000), Signal::TERM, Receiver::Group);
    record
}

fn signalled_late(pid: i32, called: &str, ended: u64) -> ProcessRecord {
    ProcessRecord {
        first_seen: ms(61_000),
        last_seen: Some(ms(61_000)),
        signalled: Some(timed(61_000, Signal::TERM)),
        ..one(pid, called, ended)
    }
}

/// A shell ignores the signal and is killed, a worker ends at once, a third process cannot be killed; and steps go wrong.
pub(super) fn unhappy() -> Record {
    let shell = ProcessRecord {
        is_main: true,
        disposition: Some(Disposition::Ignored),
        ended: Some(timed(63_310, ProcessEnd::Reaped(Ended::Killed(Signal::KILL)))),
        ..signalled_late(MAIN, "bash", 0)
    };
    let worker = ProcessRecord {
        disposition: Some(Disposition::Default),
        ended: Some(timed(61_020, ProcessEnd::Gone)),
        ..signalled_late(8, "worker", 0)
    };
    let stuck = ProcessRecord {
        state: b'D',
        disposition: Some(Disposition::Blocked),
        ended: Some(timed(65_300, ProcessEnd::LeftBehind)),
        ..signalled_late(9, "nfs", 0)
    };
    let steps = [
        (When::PreStop, 0, "command drain.sh", Some(timed(200, StepOutcome::Failed(Ended::Exited(1))))),
        (When::PreStop, 1, "sleep", Some(timed(3_000, StepOutcome::Succeeded))),
        (When::PreStop, 2, "idle 8080", Some(timed(5_300, StepOutcome::TimedOut))),
        (When::PostExit, 0, "command gone", Some(timed(5_300, StepOutcome::NotStarted))),
        (When::PostExit, 1, "http localhost", None),
    ];
    let steps = steps.map(|(when, at, name, ended)| StepRecord {
        id: StepId { when, at },
        name: name.to_owned(),
        began: ms(0),
        ended,
        only_kept_alive: false,
    });
    Record {
        command: "bash".to_owned(),
        steps: steps.to_vec(),
        processes: vec![shell, worker, stuck],
        killed: Some(timed(63_300, KillReason::Ignored(Signal::TERM))),
        main_ended: Some(timed(63_310, Ended::Killed(Signal::KILL))),
        ended_at: Some(ms(65_300)),
        exit_code: Some(137),
        ..happy()
    }
}
