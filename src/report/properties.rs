//! What must hold whatever a record says.

use proptest::prelude::*;

use super::scenes::name;
use super::timeline::{Canvas, draw};
use super::verdict::{Verdict, exit_code, text, verdict};
use super::*;

fn times() -> impl Strategy<Value = Duration> {
    prop_oneof![
        6 => (0..8_000_u64).prop_map(Duration::from_millis),
        1 => (0..10_000_u64).prop_map(Duration::from_secs),
        1 => Just(Duration::ZERO),
        1 => Just(Duration::MAX),
        1 => (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos)),
    ]
}

fn signals() -> impl Strategy<Value = Signal> {
    prop_oneof![
        3 => Just(Signal::TERM),
        1 => Just(Signal::KILL),
        1 => (1..=64).prop_filter_map("a signal", Signal::new),
    ]
}

fn ends() -> impl Strategy<Value = Ended> {
    prop_oneof![any::<u8>().prop_map(Ended::Exited), signals().prop_map(Ended::Killed)]
}

fn events<T: std::fmt::Debug + Clone>(what: impl Strategy<Value = T>) -> impl Strategy<Value = Event<T>> {
    (times(), what).prop_map(|(at, what)| Event { at, what })
}

fn maybe<T: std::fmt::Debug + Clone>(
    what: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<Event<T>>> {
    prop::option::weighted(0.8, events(what))
}

fn names() -> impl Strategy<Value = Name> {
    prop_oneof![Just(name(b"sh")), prop::collection::vec(any::<u8>(), 0..16).prop_map(|bytes| name(&bytes)),]
}

fn members() -> impl Strategy<Value = Member> {
    let fate = prop_oneof![
        3 => ends().prop_map(Fate::Reaped),
        2 => Just(Fate::Gone),
        1 => Just(Fate::LeftBehind),
    ];
    let attitude = prop::option::of(prop_oneof![
        Just(Attitude::Ignores),
        Just(Attitude::Blocks),
        Just(Attitude::Catches),
        Just(Attitude::Obeys),
    ]);
    let who = (any::<i32>(), names(), prop::bool::weighted(0.1), times(), any::<u8>());
    (who, attitude, maybe(signals()), maybe(fate)).prop_map(
        |((pid, name, is_main, seen_at, state), attitude, asked, ended)| Member {
            pid,
            start: 0,
            name,
            is_main,
            seen_at,
            state,
            attitude,
            asked,
            ended,
        },
    )
}

fn step_ids() -> impl Strategy<Value = StepId> {
    let when = prop_oneof![Just(When::PreStop), Just(When::PostExit)];
    (when, 0..3_usize).prop_map(|(when, at)| StepId { when, at })
}

fn steps() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        Just(StepOutcome::Succeeded),
        ends().prop_map(StepOutcome::Failed),
        Just(StepOutcome::NotStarted),
        Just(StepOutcome::TimedOut),
        Just(StepOutcome::Dropped),
    ];
    (step_ids(), any::<String>(), times(), maybe(outcome)).prop_map(|(id, name, began, ended)| Step {
        id,
        name,
        began,
        ended,
    })
}

fn sent() -> impl Strategy<Value = (Duration, Signal, Receiver)> {
    let to = prop_oneof![
        prop_oneof![Just(Target::Group), Just(Target::Main), Just(Target::All)].prop_map(Receiver::Target),
        any::<i32>().prop_map(Receiver::Process),
        step_ids().prop_map(Receiver::Step),
    ];
    (times(), signals(), to)
}

fn records() -> impl Strategy<Value = Record> {
    let reason = prop_oneof![
        3 => Just(Reason::Time),
        2 => (any::<i32>(), any::<u32>()).prop_map(|(sender, uid)| Reason::Signal { sender, uid }),
        1 => Just(Reason::OwnExit),
    ];
    let stop = (times(), reason, signals()).prop_map(|(at, reason, signal)| Stop { at, reason, signal });
    let killed = prop_oneof![Just(Killed::TimeIsUp), signals().prop_map(Killed::Ignored)];
    let run = (
        any::<String>(),
        prop::option::weighted(0.9, stop),
        prop::option::weighted(0.9, times()),
        prop::option::weighted(0.3, events(killed)),
        maybe(ends()),
        times(),
        prop_oneof![4 => Just(0), 1 => any::<u64>()],
    );
    let lists = (
        prop::collection::vec(steps(), 0..4),
        prop_oneof![4 => prop::collection::vec(members(), 0..6), 1 => prop::collection::vec(members(), 39..60)],
        prop::collection::vec(sent(), 0..80),
    );
    (run, lists).prop_map(|(run, (steps, members, sent))| {
        let (command, stop, asked_at, killed, main_ended, ended_at, more_members) = run;
        let mut record = Record {
            command,
            stop,
            asked_at,
            steps,
            members,
            more_members,
            main_ended,
            killed,
            ended_at,
            ..Record::default()
        };
        for (at, signal, to) in sent {
            record.note_sent(at, signal, to);
        }
        record
    })
}

/// Without the colours, of which every line is clean at its end.
pub(super) fn plain(drawn: &str) -> String {
    let mut parts = drawn.split('\x1b');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, text) = part.split_once('m').expect("a colour");
        let digits = code.strip_prefix('[').expect("a bracket");
        assert!(digits.chars().all(|digit| digit.is_ascii_digit() || digit == ';'), "{code:?}");
        plain.push_str(text);
    }
    plain
}

fn is_harmless(text: &str) -> bool {
    text.chars().all(|character| matches!(character, ' '..='~' | '\n'))
}

proptest! {
    #[test]
    fn a_drawing_keeps_to_its_canvas_and_harms_no_terminal(
        record in records(), width in prop_oneof![4 => 40..200_usize, 1 => 0..40_usize], colour: bool,
    ) {
        let drawn = draw(&record, Canvas { width, colour });
        let plainly = plain(&drawn);
        let widest = width.min(160);
        prop_assert!(plainly.lines().all(|line| line.len() <= widest), "{plainly}");
        prop_assert!(is_harmless(&plainly), "{plainly:?}");
        prop_assert!(plainly.ends_with('\n'));
        prop_assert!(plainly.lines().count() <= 1 + 2 + 3 + 4 + 40 + 1 + 1);
        prop_assert!(colour || plainly == drawn);
        for line in drawn.lines().filter(|line| line.contains('\x1b')) {
            let last = line.rsplit('\x1b').next().unwrap_or_default();
            prop_assert!(last.starts_with("[0m"), "{line:?}");
        }
    }

    #[test]
    fn colours_change_nothing_but_the_colours(record in records(), width in 0..80_usize) {
        let [with, without] = [true, false].map(|colour| draw(&record, Canvas { width, colour }));
        prop_assert_eq!(plain(&with), without);
    }

    #[test]
    fn a_verdict_is_harmless_and_fails_whatever_was_not_well(record in records()) {
        let verdict = verdict(&record);
        let text = text(&record, &verdict);
        prop_assert!(is_harmless(&text) && text.ends_with('\n'), "{text:?}");
        let starts = ["passed: ", "failed: ", "advice: "];
        prop_assert!(text.lines().all(|line| starts.iter().any(|start| line.starts_with(start))), "{text}");
        let passed = matches!(verdict, Verdict::Passed(_));
        prop_assert_eq!(exit_code(&verdict), if passed { 0 } else { 124 });
        let was_asked = record.stop.is_some_and(|stop| stop.reason != Reason::OwnExit);
        prop_assert!(!passed || (was_asked && record.is_happy()), "{text}");
        if let Verdict::Failed(reasons) = &verdict {
            prop_assert!(!reasons.is_empty());
        }
    }
}
