//! Records to try the renderers on: a few by hand, and random ones.

use proptest::prelude::*;

use super::*;
use crate::plan::When;

pub(super) fn process(pid: i32, name: &[u8], state: u8) -> Process {
    let stat =
        [format!("{pid} (").as_bytes(), name, b") S 1 1 1 0 0 0 0 0 0 0 0 0 0 0 20 0 1 0 500"].concat();
    Process { state, ..Process::parse(&stat).expect("a good line") }
}

pub(super) const fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn member(pid: i32, name: &[u8], attitude: Attitude, ended: Event<Fate>) -> Member {
    Member {
        pid,
        start: 500,
        name: process(pid, name, b'S').name,
        is_main: pid == 7,
        seen_at: at(61_000),
        state: b'S',
        attitude: Some(attitude),
        asked: Some(Event { at: at(61_000), what: Signal::TERM }),
        ended: Some(ended),
    }
}

fn exited(milliseconds: u64, code: u8) -> Event<Ended> {
    Event { at: at(milliseconds), what: Ended::Exited(code) }
}

/// A server was asked by the runtime, and left.
pub(super) fn happy() -> Record {
    let mut record = Record {
        command: "nginx".to_owned(),
        stop: Some(Stop {
            at: at(61_000),
            reason: Reason::Signal { sender: 0, uid: 0 },
            signal: Signal::TERM,
        }),
        asked_at: Some(at(61_000)),
        orphans_reaped: 3,
        main_ended: Some(exited(61_500, 0)),
        ended_at: at(61_500),
        ..Record::default()
    };
    record.note_sent(at(61_000), Signal::TERM, Receiver::Target(Target::Group));
    let end = Event { at: at(61_500), what: Fate::Reaped(Ended::Exited(0)) };
    record.members.push(member(7, b"nginx", Attitude::Catches, end));
    record
}

/// A shell ignored the signal and was killed; a worker left when it was asked, and a third one cannot be killed.
pub(super) fn unhappy() -> Record {
    let killed = Event { at: at(63_310), what: Fate::Reaped(Ended::Killed(Signal::KILL)) };
    let left = Event { at: at(61_020), what: Fate::Gone };
    let stuck = Event { at: at(65_300), what: Fate::LeftBehind };
    let main_ended = Some(Event { at: at(63_310), what: Ended::Killed(Signal::KILL) });
    let mut record = Record {
        command: "bash".to_owned(),
        members: vec![
            member(7, b"bash", Attitude::Ignores, killed),
            member(8, b"worker", Attitude::Obeys, left),
            Member { state: b'D', ..member(9, b"nfs", Attitude::Blocks, stuck) },
        ],
        killed: Some(Event { at: at(63_300), what: Killed::Ignored(Signal::TERM) }),
        main_ended,
        ended_at: at(65_300),
        exit_code: 137,
        ..happy()
    };
    let steps = [
        (
            When::PreStop,
            0,
            "command drain.sh",
            Some(Event { at: at(200), what: StepOutcome::Failed(Ended::Exited(1)) }),
        ),
        (When::PreStop, 1, "sleep", Some(Event { at: at(3_000), what: StepOutcome::Succeeded })),
        (When::PreStop, 2, "idle 8080", Some(Event { at: at(5_300), what: StepOutcome::TimedOut })),
        (When::PostExit, 0, "command gone", Some(Event { at: at(5_300), what: StepOutcome::NotStarted })),
        (When::PostExit, 1, "http localhost", None),
    ];
    for (when, place, name, ended) in steps {
        record.steps.push(Step {
            id: StepId { when, at: place },
            name: name.to_owned(),
            began: at(0),
            ended,
        });
    }
    record
}

fn times() -> impl Strategy<Value = Duration> {
    prop_oneof![
        8 => (0..200_000_u64).prop_map(Duration::from_millis),
        1 => any::<u64>().prop_map(Duration::from_millis),
        1 => Just(Duration::MAX),
    ]
}

fn events<T: std::fmt::Debug + Clone>(
    what: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<Event<T>>> {
    prop::option::of((times(), what).prop_map(|(at, what)| Event { at, what }))
}

fn signals() -> impl Strategy<Value = Signal> {
    (1..=64).prop_filter_map("a signal", Signal::new)
}

fn ends() -> impl Strategy<Value = Ended> {
    prop_oneof![
        any::<u8>().prop_map(Ended::Exited),
        Just(Ended::Killed(Signal::KILL)),
        signals().prop_map(Ended::Killed)
    ]
}

fn ids() -> impl Strategy<Value = StepId> {
    (prop_oneof![Just(When::PreStop), Just(When::PostExit)], any::<usize>())
        .prop_map(|(when, at)| StepId { when, at })
}

/// Text with everything in it that hurts a terminal, a log or a JSON reader.
fn texts(longest: usize) -> impl Strategy<Value = String> {
    let character = prop_oneof![
        Just('a'),
        Just(' '),
        Just('"'),
        Just('\\'),
        Just('\n'),
        Just('\u{1b}'),
        Just('\u{9b}'),
        Just('\u{2028}'),
        Just('😀'),
        any::<char>()
    ];
    prop::collection::vec(character, 0..longest).prop_map(String::from_iter)
}

fn stops() -> impl Strategy<Value = Stop> {
    let reason = prop_oneof![
        (any::<i32>(), any::<u32>()).prop_map(|(sender, uid)| Reason::Signal { sender, uid }),
        Just(Reason::Time),
        Just(Reason::OwnExit)
    ];
    (times(), reason, signals()).prop_map(|(at, reason, signal)| Stop { at, reason, signal })
}

fn steps() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        Just(StepOutcome::Succeeded),
        ends().prop_map(StepOutcome::Failed),
        Just(StepOutcome::NotStarted),
        Just(StepOutcome::TimedOut),
        Just(StepOutcome::Dropped),
    ];
    let name =
        prop_oneof![Just("sleep".to_owned()), texts(300), texts(20).prop_map(|t| format!("command {t}"))];
    (ids(), name, times(), events(outcome)).prop_map(|(id, name, began, ended)| Step {
        id,
        name,
        began,
        ended,
    })
}

fn sent() -> impl Strategy<Value = SentSignal> {
    let to = prop_oneof![
        Just(Receiver::Target(Target::Group)),
        Just(Receiver::Target(Target::Main)),
        Just(Receiver::Target(Target::All)),
        any::<i32>().prop_map(Receiver::Process),
        ids().prop_map(Receiver::Step),
    ];
    (times(), signals(), to).prop_map(|(at, signal, to)| SentSignal { at, signal, to })
}

fn members() -> impl Strategy<Value = Member> {
    let attitude = prop_oneof![
        Just(Attitude::Ignores),
        Just(Attitude::Blocks),
        Just(Attitude::Catches),
        Just(Attitude::Obeys)
    ];
    let fate = prop_oneof![ends().prop_map(Fate::Reaped), Just(Fate::Gone), Just(Fate::LeftBehind)];
    let who = (1..=i32::MAX, prop::collection::vec(any::<u8>(), 0..20), any::<u8>(), any::<bool>());
    (who, times(), prop::option::of(attitude), events(signals()), events(fate)).prop_map(
        |((pid, name, state, is_main), seen_at, attitude, asked, ended)| {
            let process = process(pid, &name, state);
            Member {
                pid,
                start: process.start,
                name: process.name,
                is_main,
                seen_at,
                state,
                attitude,
                asked,
                ended,
            }
        },
    )
}

/// Whatever the types allow, sense or not.
pub(super) fn records() -> impl Strategy<Value = Record> {
    let counts = (any::<u64>(), any::<u64>(), any::<u64>());
    let killed = prop_oneof![Just(Killed::TimeIsUp), signals().prop_map(Killed::Ignored)];
    let lists = (
        prop::collection::vec(steps(), 0..6),
        prop::collection::vec(sent(), 0..=SIGNALS / 8),
        prop_oneof![
            39 => prop::collection::vec(members(), 0..8),
            1 => prop::collection::vec(members(), 0..=MEMBERS),
        ],
    );
    let begin = (texts(60), prop::option::of(stops()), prop::option::of(times()));
    let end = (events(ends()), events(killed), times(), any::<u8>());
    (begin, lists, counts, end).prop_map(
        |(
            (command, stop, asked_at),
            (steps, last, members),
            (before, more_members, orphans_reaped),
            (main_ended, killed, ended_at, exit_code),
        )| Record {
            command,
            stop,
            asked_at,
            steps,
            sent: Sent { last: last.into(), before },
            members,
            more_members,
            orphans_reaped,
            main_ended,
            killed,
            ended_at,
            exit_code,
            ..Record::default()
        },
    )
}
