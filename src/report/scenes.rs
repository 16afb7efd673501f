//! Records made by hand, for tests.

use std::time::Duration;

use super::*;

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn event<T>(at: u64, what: T) -> Event<T> {
    Event { at: ms(at), what }
}

pub(super) fn name(bytes: &[u8]) -> Name {
    let stat = [b"1 (", bytes, b") S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0"].concat();
    Process::parse(&stat).expect("a good line").name
}

/// A process that was there when TERM was sent at 5.2 s, which it catches, and which exited with 0.
pub(super) fn member(pid: i32, called: &str, ended: u64) -> Member {
    Member {
        pid,
        start: 5,
        name: name(called.as_bytes()),
        is_main: false,
        seen_at: ms(5_200),
        state: b'S',
        attitude: Some(Attitude::Catches),
        asked: Some(event(5_200, Signal::TERM)),
        ended: Some(event(ended, Fate::Reaped(Ended::Exited(0)))),
    }
}

pub(super) fn step(when: When, called: &str, began: u64, ended: u64, outcome: StepOutcome) -> Step {
    let id = StepId { when, at: 0 };
    Step { id, name: called.to_owned(), began: ms(began), ended: Some(event(ended, outcome)) }
}

fn stop() -> Option<Stop> {
    Some(Stop { at: ms(5_000), reason: Reason::Time, signal: Signal::TERM })
}

/// A server with a worker, a drain and a farewell; all well.
pub(super) fn well() -> Record {
    let mut record = Record {
        command: "server".to_owned(),
        stop: stop(),
        asked_at: Some(ms(5_200)),
        steps: vec![
            step(When::PreStop, "sleep", 5_000, 5_200, StepOutcome::Succeeded),
            step(When::PostExit, "command upload", 6_900, 7_000, StepOutcome::Succeeded),
        ],
        members: vec![
            Member { is_main: true, seen_at: ms(0), ..member(7, "server", 6_900) },
            Member {
                seen_at: ms(3_000),
                attitude: Some(Attitude::Obeys),
                ended: Some(event(5_220, Fate::Gone)),
                ..member(12, "worker", 0)
            },
            member(13, "worker", 6_000),
        ],
        main_ended: Some(event(6_900, Ended::Exited(0))),
        ended_at: ms(6_900),
        ..Record::default()
    };
    record.note_sent(ms(5_200), Signal::TERM, Receiver::Target(Target::Group));
    record.note_sent(ms(5_200), Signal::CONT, Receiver::Target(Target::Group));
    record.note_sent(ms(6_100), Signal::HUP, Receiver::Target(Target::Main));
    record
}

/// A shell that ignores TERM; its child dies of it.
pub(super) fn ignoring_shell() -> Record {
    let killed = Fate::Reaped(Ended::Killed(Signal::KILL));
    Record {
        command: "/entrypoint.sh".to_owned(),
        stop: Some(Stop { reason: Reason::Signal { sender: 0, uid: 0 }, ..stop().expect("a stop") }),
        asked_at: Some(ms(5_200)),
        steps: vec![step(
            When::PreStop,
            "http 127.0.0.1:80",
            5_000,
            5_200,
            StepOutcome::Failed(Ended::Exited(1)),
        )],
        members: vec![
            Member {
                is_main: true,
                attitude: Some(Attitude::Ignores),
                ended: Some(event(7_510, killed)),
                ..member(7, "entrypoint.sh", 0)
            },
            Member {
                attitude: Some(Attitude::Obeys),
                ended: Some(event(5_210, Fate::Reaped(Ended::Killed(Signal::TERM)))),
                ..member(1_234_567, "quite-a-long-na", 0)
            },
            Member { ended: Some(event(9_600, Fate::LeftBehind)), state: b'D', ..member(9, "\x1b[2J\n", 0) },
        ],
        main_ended: Some(event(7_510, Ended::Killed(Signal::KILL))),
        killed: Some(event(7_500, Killed::Ignored(Signal::TERM))),
        ended_at: ms(9_600),
        ..Record::default()
    }
}

/// A shell that dies of TERM at once, and whose server is asked only then.
pub(super) fn shell_in_front() -> Record {
    Record {
        command: "sh".to_owned(),
        stop: stop(),
        asked_at: Some(ms(5_200)),
        members: vec![
            Member {
                is_main: true,
                attitude: Some(Attitude::Obeys),
                ended: Some(event(5_203, Fate::Reaped(Ended::Killed(Signal::TERM)))),
                ..member(7, "sh", 0)
            },
            Member { asked: Some(event(5_204, Signal::TERM)), ..member(12, "server", 7_400) },
        ],
        main_ended: Some(event(5_203, Ended::Killed(Signal::TERM))),
        ended_at: ms(7_400),
        ..Record::default()
    }
}

/// Nobody stopped it.
pub(super) fn left_alone() -> Record {
    Record {
        command: "true".to_owned(),
        main_ended: Some(event(3, Ended::Exited(0))),
        ended_at: ms(3),
        ..Record::default()
    }
}
