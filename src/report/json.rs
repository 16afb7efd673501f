//! The report: one JSON object on one line. `docs/report.md` says what each field means, `docs/report.schema.json` is its schema.
//!
//! Every field is always there, and always in the same order; what is not known, or did not happen, is null.

use std::time::Duration;

use serde_core::ser::{Serialize, Serializer};

use super::{
    Event, Fate, Killed, Member, Reason, Receiver, Record, SentSignal, Step, StepOutcome, Stop, words,
};
use crate::outcome::Ended;
use crate::plan::StepId;
use crate::plan::Target;
use crate::signal::Signal;

/// It is raised when a field changes or goes; new fields do not raise it.
pub const SCHEMA: u8 = 1;

/// The report, with the newline at its end.
#[must_use]
pub fn json(record: &Record) -> String {
    // Nothing in it can fail to be written: the keys are text, and so is every name.
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
        ("command", Json::Text(words::plain(&record.command))),
        ("stop", optional(record.stop, stop)),
        ("asked_ms", optional(record.asked_at, milliseconds)),
        ("steps", list(&record.steps, step)),
        ("signals", list(&record.sent.last, sent)),
        ("earlier_signals", Json::Count(record.sent.before)),
        ("main", optional(record.main_ended, main)),
        ("processes", list(&record.members, |member| process(record, member))),
        ("more_processes", Json::Count(record.more_members)),
        ("orphans_reaped", Json::Count(record.orphans_reaped)),
        ("killed", optional(record.killed, killed)),
        ("ended_ms", milliseconds(record.ended_at)),
        ("stop_ms", optional(words::stop_took(record), milliseconds)),
        ("exit_code", Json::Count(record.exit_code.into())),
    ])
}

fn stop(stop: Stop) -> Json {
    let (reason, sender) = match stop.reason {
        Reason::Signal { sender, uid } => {
            let sender = vec![("pid", Json::Number(sender)), ("uid", Json::Count(uid.into()))];
            ("signal", Json::Object(sender))
        }
        Reason::Time => ("time", Json::Null),
        Reason::OwnExit => ("own_exit", Json::Null),
    };
    Json::Object(vec![
        ("at_ms", milliseconds(stop.at)),
        ("reason", Json::Word(reason)),
        ("signal", signal(stop.signal)),
        ("sender", sender),
    ])
}

fn step(step: &Step) -> Json {
    let (kind, name) = words::kind_and_name(&step.name);
    let (outcome, failure) = match step.ended.map(|end| end.what) {
        Some(StepOutcome::Succeeded) => (Json::Word("succeeded"), None),
        Some(StepOutcome::Failed(ended)) => (Json::Word("failed"), Some(ended)),
        Some(StepOutcome::NotStarted) => (Json::Word("not_started"), None),
        Some(StepOutcome::TimedOut) => (Json::Word("timed_out"), None),
        Some(StepOutcome::Dropped) => (Json::Word("dropped"), None),
        None => (Json::Null, None),
    };
    let (code, signal) = code_and_signal(failure);
    let duration = step.ended.map(|end| end.at.saturating_sub(step.began));
    Json::Object(vec![
        ("when", Json::Word(words::when(step.id.when))),
        ("place", place(step.id)),
        ("kind", Json::Text(words::plain(kind))),
        ("name", optional(name, |name| Json::Text(words::plain(name)))),
        ("began_ms", milliseconds(step.began)),
        ("ended_ms", optional(step.ended, |end| milliseconds(end.at))),
        ("duration_ms", optional(duration, milliseconds)),
        ("outcome", outcome),
        ("code", code),
        ("signal", signal),
    ])
}

fn sent(sent: &SentSignal) -> Json {
    let (to, pid, step) = match sent.to {
        Receiver::Target(Target::Group) => ("group", Json::Null, Json::Null),
        Receiver::Target(Target::Main) => ("main", Json::Null, Json::Null),
        Receiver::Target(Target::All) => ("all", Json::Null, Json::Null),
        Receiver::Process(pid) => ("process", Json::Number(pid), Json::Null),
        Receiver::Step(id) => {
            let step = vec![("when", Json::Word(words::when(id.when))), ("place", place(id))];
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

fn main(end: Event<Ended>) -> Json {
    fate(Event { at: end.at, what: Fate::Reaped(end.what) })
}

fn process(record: &Record, member: &Member) -> Json {
    Json::Object(vec![
        ("pid", Json::Number(member.pid)),
        ("name", Json::Text(member.name.to_string())),
        ("main", Json::Bool(member.is_main)),
        ("seen_ms", milliseconds(member.seen_at)),
        ("state", Json::Word(words::state(member.state))),
        ("attitude", optional(member.attitude, |attitude| Json::Text(attitude.to_string()))),
        ("asked", optional(member.asked, asked)),
        ("ended", optional(words::end_of(record, member), fate)),
        ("waited_ms", optional(words::waited(record, member), milliseconds)),
    ])
}

fn asked(asked: Event<Signal>) -> Json {
    Json::Object(vec![("at_ms", milliseconds(asked.at)), ("signal", signal(asked.what))])
}

fn fate(end: Event<Fate>) -> Json {
    let (how, ended) = match end.what {
        Fate::Reaped(ended @ Ended::Exited(_)) => ("exited", Some(ended)),
        Fate::Reaped(ended @ Ended::Killed(_)) => ("killed", Some(ended)),
        Fate::Gone => ("gone", None),
        Fate::LeftBehind => ("left_behind", None),
    };
    let (code, signal) = code_and_signal(ended);
    Json::Object(vec![
        ("at_ms", milliseconds(end.at)),
        ("how", Json::Word(how)),
        ("code", code),
        ("signal", signal),
    ])
}

fn killed(killed: Event<Killed>) -> Json {
    let (reason, ignored) = match killed.what {
        Killed::TimeIsUp => ("time_is_up", Json::Null),
        Killed::Ignored(ignored) => ("ignored", signal(ignored)),
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

fn place(step: StepId) -> Json {
    Json::Count(u64::try_from(step.at).unwrap_or(u64::MAX))
}

fn milliseconds(time: Duration) -> Json {
    Json::Count(words::milliseconds(time))
}

fn optional<T>(value: Option<T>, written: impl FnOnce(T) -> Json) -> Json {
    value.map_or(Json::Null, written)
}

fn list<'a, T: 'a>(values: impl IntoIterator<Item = &'a T>, written: impl Fn(&T) -> Json) -> Json {
    Json::List(values.into_iter().map(written).collect())
}
