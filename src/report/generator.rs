//! Random records: anything that the types allow, whether it makes sense or not.

use std::fmt::Debug;
use std::time::Duration;

use proptest::prelude::*;

use super::fixtures::{name, process};
use super::record::*;
use crate::outcome::Ended;
use crate::plan::processes::{Disposition, ProcessName};
use crate::plan::{KillReason, StepId, StopReason, Target, When};
use crate::signal::Signal;

fn times() -> impl Strategy<Value = Duration> {
    prop_oneof![
        8 => (0..8_000_u64).prop_map(Duration::from_millis),
        2 => (0..10_000_u64).prop_map(Duration::from_secs),
        1 => Just(Duration::ZERO),
        1 => Just(Duration::MAX),
        1 => (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos)),
    ]
}

fn timed<T: Debug + Clone>(what: impl Strategy<Value = T>) -> impl Strategy<Value = Timed<T>> {
    (times(), what).prop_map(|(at, what)| Timed { at, what })
}

fn maybe<T: Debug + Clone>(what: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.8, what)
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

/// Text with all characters that can hurt a terminal, a log or a JSON reader.
fn texts() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => prop::char::range(' ', '~'),
        2 => prop::sample::select(vec!['"', '\\', '\n', '\u{1b}', '\u{9b}', '\u{2028}', '😀']),
        1 => any::<char>(),
    ];
    let text = |longest| prop::collection::vec(character.clone(), 0..longest).prop_map(String::from_iter);
    prop_oneof![9 => text(30), 1 => text(300)]
}

fn names() -> impl Strategy<Value = ProcessName> {
    prop_oneof![Just(name(b"sh")), prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| name(&bytes))]
}

fn dispositions() -> impl Strategy<Value = Disposition> {
    prop::sample::select(vec![
        Disposition::Ignored,
        Disposition::Blocked,
        Disposition::Caught,
        Disposition::Default,
    ])
}

fn processes() -> impl Strategy<Value = ProcessRecord> {
    let end = prop_oneof![
        3 => ends().prop_map(ProcessEnd::Reaped),
        2 => Just(ProcessEnd::Gone),
        1 => Just(ProcessEnd::LeftBehind),
    ];
    let identity = (any::<i32>(), any::<i32>(), any::<i32>(), names(), prop::bool::weighted(0.1));
    let seen = (times(), maybe(times()), any::<u8>());
    let signals =
        (maybe(dispositions()), maybe(timed(signals())), prop::option::weighted(0.1, timed(signals())));
    (identity, seen, signals, maybe(timed(end))).prop_map(|(identity, seen, signals, ended)| {
        let (pid, parent, group, name, is_main) = identity;
        let (first_seen, last_seen, state) = seen;
        let (disposition, signalled, refused) = signals;
        let start = process(1, b"x", state).start;
        ProcessRecord {
            pid,
            start,
            parent,
            group,
            name,
            is_main,
            first_seen,
            last_seen,
            state,
            disposition,
            signalled,
            refused,
            ended,
        }
    })
}

fn step_ids() -> impl Strategy<Value = StepId> {
    let when = prop::sample::select(vec![When::PreStop, When::PostExit]);
    (when, prop_oneof![0..3_usize, any::<usize>()]).prop_map(|(when, at)| StepId { when, at })
}

fn steps() -> impl Strategy<Value = StepRecord> {
    let outcome = prop_oneof![
        Just(StepOutcome::Succeeded),
        ends().prop_map(StepOutcome::Failed),
        Just(StepOutcome::NotStarted),
        Just(StepOutcome::TimedOut),
        Just(StepOutcome::Dropped),
    ];
    let name =
        prop_oneof![Just("sleep".to_owned()), texts(), texts().prop_map(|text| format!("command {text}"))];
    (step_ids(), name, times(), maybe(timed(outcome)), any::<bool>()).prop_map(
        |(id, name, began, ended, only_kept_alive)| StepRecord { id, name, began, ended, only_kept_alive },
    )
}

fn sent() -> impl Strategy<Value = SentSignal> {
    let to = prop_oneof![
        prop::sample::select(vec![Receiver::Group, Receiver::Main, Receiver::All]),
        any::<i32>().prop_map(Receiver::Process),
        step_ids().prop_map(Receiver::Step),
    ];
    (times(), signals(), to).prop_map(|(at, signal, to)| SentSignal { at, signal, to })
}

fn stops() -> impl Strategy<Value = StopRecord> {
    let reason = prop_oneof![
        3 => Just(StopReason::Elapsed),
        2 => Just(StopReason::Signal),
        1 => Just(StopReason::OwnExit),
    ];
    let sender = (any::<i32>(), any::<u32>()).prop_map(|(pid, uid)| Sender { pid, uid });
    (times(), reason, signals(), sender).prop_map(|(at, reason, signal, sender)| StopRecord {
        at,
        reason,
        signal,
        sender,
    })
}

/// How a run begins, what happens in it, and how it ends.
pub(super) fn records() -> impl Strategy<Value = Record> {
    let kill_reason = prop_oneof![Just(KillReason::Elapsed), signals().prop_map(KillReason::Ignored)];
    let begin = (texts(), maybe(any::<i32>()), maybe(times()), maybe(stops()), maybe(times()));
    let lists = (
        prop::collection::vec(steps(), 0..4),
        prop_oneof![
            16 => prop::collection::vec(processes(), 0..6),
            3 => prop::collection::vec(processes(), 39..60),
            1 => prop::collection::vec(processes(), 0..=MAX_PROCESSES),
        ],
        prop::collection::vec(sent(), 0..=MAX_SIGNALS),
    );
    let count = || prop_oneof![4 => Just(0), 1 => any::<u64>()];
    let counts = (count(), count(), count());
    let end = (
        prop::option::weighted(0.1, timed(step_ids())),
        prop::option::weighted(0.2, timed(signals())),
        maybe(timed(ends())),
        prop::option::weighted(0.3, timed(kill_reason)),
        maybe(times()),
        maybe(any::<u8>()),
    );
    let target = prop::sample::select(vec![Target::Auto, Target::Group, Target::Main, Target::All]);
    let rest = (maybe(target), prop::option::weighted(0.1, timed(signals())));
    (begin, lists, counts, end, rest).prop_map(|(begin, lists, counts, end, rest)| {
        let (target, unheeded) = rest;
        let (command, main_pid, grace_period, stop, signalled_at) = begin;
        let (steps, processes, last) = lists;
        let (before, more_processes, orphans_reaped) = counts;
        let (step_killed, escalated, main_ended, killed, ended_at, exit_code) = end;
        Record {
            command,
            main_pid,
            grace_period,
            stop,
            signalled_at,
            target,
            unheeded,
            steps,
            sent: Sent { last, before },
            processes,
            more_processes,
            step_killed,
            escalated,
            orphans_reaped,
            main_ended,
            killed,
            ended_at,
            exit_code,
            ..Record::default()
        }
    })
}
