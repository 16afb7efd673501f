//! The report: one JSON object on one line. `docs/report.md` says what each field means, `docs/report.schema.json` is its schema.
//!
//! Every field is always there, and always in the same order; what is not known, or did not happen, is null.

use std::time::Duration;

use serde_core::ser::{Serialize, Serializer};

use super::record::{
    ProcessEnd, ProcessRecord, Receiver, Record, Sender, SentSignal, StepOutcome, StepRecord, StopRecord,
    Timed,
};
use super::{advice, format};
use crate::outcome::Ended;
use crate::plan::{KillReason, StepId, StopReason, Target, When};
use crate::signal::Signal;

/// Raised if a field changes or is removed; new fields do not raise it.
pub const SCHEMA: u8 = 2;

/// The report, with the newline at its end.
#[must_use]
pub fn json(record: &Record) -> String {
    // Serializing cannot fail: every key is a string, and the text is written to memory.
    serde_json::to_string(&report(record)).map(|json| json + "\n").unwrap_or_default()
}

/// A JSON value whose fields keep their order.
enum Json {
    Null,
    Bool(bool),
    Count(u64),
    /// Pids: the kernel has them signed.
    Number(i32),
    Text(String),
    Word(&'static str),
    List(Vec<Self>),
    Object(Vec<(&'static str, Self)>),
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_unit(),
            Self::Bool(value) => to.serialize_bool(*value),
            Self::Count(value) => to.serialize_u64(*value),
            Self::Number(value) => to.serialize_i32(*value),
            Self::Text(value) => to.serialize_str(value),
            Self::Word(value) => to.serialize_str(value),
            Self::List(values) => to.collect_seq(values),
            Self::Object(fields) => to.collect_map(fields.iter().map(|(name, value)| (name, value))),
        }
    }
}

fn report(record: &Record) -> Json {
    Json::Object(vec![
        ("schema", Json::Count(SCHEMA.into())),
        ("version", Json::Word(env!("CARGO_PKG_VERSION"))),
        ("complete", Json::Bool(record.is_complete())),
        ("command", Json::Text(format::escaped(&record.command))),
        ("grace_ms", optional(record.grace_period, milliseconds)),
        ("stop", optional(record.stop, stop)),
        ("signalled_ms", optional(record.signalled_at, milliseconds)),
        ("target", optional(record.target, target)),
        ("unheeded", optional(record.unheeded, timed_signal)),
        ("steps", list(&record.steps, step)),
        ("signals", list(&record.sent.last, sent)),
        ("earlier_signals", Json::Count(record.sent.before)),
        ("main", main(record)),
        ("out_of_memory", Json::Bool(record.out_of_memory)),
        ("processes", list(&record.processes, |one| process(record, one))),
        ("more_processes", Json::Count(record.more_processes)),
        ("orphans_reaped", Json::Count(record.orphans_reaped)),
        ("foreign_kills", Json::Count(record.foreign_kills)),
        ("killed", optional(record.killed, killed)),
        ("ended_ms", optional(record.ended_at, milliseconds)),
        ("stop_ms", optional(record.stop_took(), milliseconds)),
        ("exit_code", optional(record.exit_code, |code| Json::Count(code.into()))),
        ("advice", Json::List(advice(record).into_iter().map(Json::Text).collect())),
    ])
}

fn stop(stop: StopRecord) -> Json {
    let sender = |Sender { pid, uid }| {
        Json::Object(vec![("pid", Json::Number(pid)), ("uid", Json::Count(uid.into()))])
    };
    let (reason, sender) = match stop.reason {
        StopReason::Signal => ("signal", sender(stop.sender)),
        StopReason::Elapsed => ("time", Json::Null),
        StopReason::OwnExit => ("own_exit", Json::Null),
    };
    Json::Object(vec![
        ("at_ms", milliseconds(stop.at)),
        ("reason", Json::Word(reason)),
        ("signal", signal(stop.signal)),
        ("sender", sender),
    ])
}

fn target(target: Target) -> Json {
    Json::Word(match target {
        Target::Auto => "auto",
        Target::Group => "group",
        Target::Main => "main",
        Target::All => "all",
    })
}

fn step(step: &StepRecord) -> Json {
    let (kind, name) = format::kind_and_name(&step.name);
    let (outcome, failure) = match step.ended.map(|end| end.what) {
        Some(StepOutcome::Succeeded) => (Json::Word("succeeded"), None),
        Some(StepOutcome::Failed(ended)) => (Json::Word("failed"), Some(ended)),
        Some(StepOutcome::NotStarted) => (Json::Word("not_started"), None),
        Some(StepOutcome::TimedOut) => (Json::Word("timed_out"), None),
        Some(StepOutcome::Dropped) => (Json::Word("dropped"), None),
        None => (Json::Null, None),
    };
    let (code, signal) = code_and_signal(failure);
    Json::Object(vec![
        ("when", when(step.id)),
        ("index", index(step.id)),
        ("kind", Json::Text(format::escaped(kind))),
        ("name", optional(name, |name| Json::Text(format::escaped(name)))),
        ("began_ms", milliseconds(step.began)),
        ("ended_ms", optional(step.ended, |end| milliseconds(end.at))),
        ("duration_ms", optional(step.took(), milliseconds)),
        ("outcome", outcome),
        ("code", code),
        ("signal", signal),
    ])
}

fn sent(sent: &SentSignal) -> Json {
    let (to, pid, step) = match sent.to {
        Receiver::Group => ("group", Json::Null, Json::Null),
        Receiver::Main => ("main", Json::Null, Json::Null),
        Receiver::All => ("all", Json::Null, Json::Null),
        Receiver::Process(pid) => ("process", Json::Number(pid), Json::Null),
        Receiver::Step(id) => {
            let step = vec![("when", when(id)), ("index", index(id))];
            ("step", Json::Null, Json::Object(step))
        }
    };
    Json::Object(vec![
        ("at_ms", milliseconds(sent.at)),
        ("signal", signal(sent.signal)),
        ("to", Json::Word(to)),
        ("pid", pid),
        ("step", step),
    ])
}

fn main(record: &Record) -> Json {
    let ended = record.main_ended.map(|end| Timed { at: end.at, what: ProcessEnd::Reaped(end.what) });
    Json::Object(vec![("pid", optional(record.main_pid, Json::Number)), ("ended", optional(ended, end))])
}

fn process(record: &Record, process: &ProcessRecord) -> Json {
    let parent = Some(process.parent).filter(|&parent| parent != 0);
    Json::Object(vec![
        ("pid", Json::Number(process.pid)),
        ("parent", optional(parent, Json::Number)),
        ("group", Json::Number(process.group)),
        ("name", Json::Text(process.name.to_string())),
        ("main", Json::Bool(process.is_main)),
        ("first_seen_ms", milliseconds(process.first_seen)),
        ("last_seen_ms", optional(process.last_seen, milliseconds)),
        ("state", Json::Word(format::state(process.state))),
        ("disposition", optional(process.disposition, |one| Json::Word(format::disposition(one)))),
        ("signalled", optional(process.signalled, timed_signal)),
        ("refused", optional(process.refused, timed_signal)),
        ("ended", optional(record.end_of(process), end)),
        ("waited_ms", optional(record.waited(process), milliseconds)),
    ])
}

fn timed_signal(sent: Timed<Signal>) -> Json {
    Json::Object(vec![("at_ms", milliseconds(sent.at)), ("signal", signal(sent.what))])
}

fn end(end: Timed<ProcessEnd>) -> Json {
    let (how, ended) = match end.what {
        ProcessEnd::Reaped(ended @ Ended::Exited(_)) => ("exited", Some(ended)),
        ProcessEnd::Reaped(ended @ Ended::Killed(_)) => ("killed", Some(ended)),
        ProcessEnd::Gone => ("gone", None),
        ProcessEnd::LeftBehind => ("left_behind", None),
    };
    let (code, signal) = code_and_signal(ended);
    Json::Object(vec![
        ("at_ms", milliseconds(end.at)),
        ("how", Json::Word(how)),
        ("code", code),
        ("signal", signal),
    ])
}

fn killed(killed: Timed<KillReason>) -> Json {
    let (reason, ignored) = match killed.what {
        KillReason::Elapsed => ("timed_out", Json::Null),
        KillReason::Ignored(ignored) => ("ignored", signal(ignored)),
    };
    Json::Object(vec![
        ("at_ms", milliseconds(killed.at)),
        ("reason", Json::Word(reason)),
        ("signal", ignored),
    ])
}

fn code_and_signal(ended: Option<Ended>) -> (Json, Json) {
    match ended {
        Some(Ended::Exited(code)) => (Json::Count(code.into()), Json::Null),
        Some(Ended::Killed(by)) => (Json::Null, signal(by)),
        None => (Json::Null, Json::Null),
    }
}

fn signal(signal: Signal) -> Json {
    Json::Text(signal.to_string())
}

fn when(step: StepId) -> Json {
    Json::Word(match step.when {
        When::PreStop => "pre_stop",
        When::PostExit => "post_exit",
    })
}

fn index(step: StepId) -> Json {
    Json::Count(u64::try_from(step.at).unwrap_or(u64::MAX))
}

fn milliseconds(time: Duration) -> Json {
    Json::Count(format::milliseconds(time))
}

fn optional<T>(value: Option<T>, written: impl FnOnce(T) -> Json) -> Json {
    value.map_or(Json::Null, written)
}

fn list<'a, T: 'a>(values: impl IntoIterator<Item = &'a T>, written: impl Fn(&T) -> Json) -> Json {
    Json::List(values.into_iter().map(written).collect())
}
