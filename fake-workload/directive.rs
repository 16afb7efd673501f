//! The language: arguments to directives. Pure.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use drainit::signal::{Signal, SignalSet};

use crate::catch::Reaction;

// What the program says to itself when it starts itself again; not part of the language.

/// Become the leader of a session.
pub(crate) const SESSION: &str = "@session";
/// Orphan what is started from here on.
pub(crate) const ABANDON: &str = "@abandon";
/// With `=PID`: wait until that process is not the parent any more.
pub(crate) const ADOPTED: &str = "@adopted";

/// How a process is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Child,
    Group,
    Session,
    Orphan,
    Daemon,
    /// A tree of them, each of which starts two.
    Bomb,
}

/// One thing to do; the program's documentation says what each is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Directive {
    Name(OsString),
    Ignore(SignalSet),
    Default(SignalSet),
    Block(SignalSet),
    Catch(SignalSet, Reaction),
    Take(SignalSet),
    /// The inner directives stay arguments, as they are passed on; they have been parsed once.
    Start {
        form: Form,
        count: u32,
        inner: Vec<OsString>,
    },
    Zombies(u32),
    Ready,
    Say(OsString),
    State,
    Fds,
    Env(OsString),
    Cwd,
    Ids,
    Argv(Vec<OsString>),
    Sleep(Duration),
    Wait,
    Await(PathBuf),
    Hold,
    Stop,
    Exit(u8),
    Die(Signal),
    LeadSession,
    Abandon,
    Adopted(i32),
}

/// A directive that cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    directive: OsString,
    why: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wrong directive {:?}: {}", self.directive, self.why)
    }
}

/// Reads all of them, and those in braces as well.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Vec<Directive>, Wrong> {
    let mut directives = Vec::new();
    let mut rest = arguments;
    while let Some((word, after)) = rest.split_first() {
        let directive;
        (directive, rest) = if let Some((form, count)) = opening(word) {
            let (inner, after) = split_at_closing(word, after)?;
            parse(inner)?;
            (Directive::Start { form, count, inner: inner.to_vec() }, after)
        } else if word == "argv" {
            (Directive::Argv(after.to_vec()), [].as_slice())
        } else {
            (simple(word).map_err(|why| Wrong { directive: word.clone(), why })?, after)
        };
        directives.push(directive);
    }
    Ok(directives)
}

/// `child{` and `child*3{`.
fn opening(word: &OsStr) -> Option<(Form, u32)> {
    let head = word.to_str()?.strip_suffix('{')?;
    let (form, count) = match head.split_once('*') {
        Some((form, count)) => (form, count.parse().ok()?),
        None => (head, 1),
    };
    let form = match form {
        "child" => Form::Child,
        "group" => Form::Group,
        "session" => Form::Session,
        "orphan" => Form::Orphan,
        "daemon" => Form::Daemon,
        "bomb" => Form::Bomb,
        _ => return None,
    };
    Some((form, count))
}

type InnerAndAfter<'a> = (&'a [OsString], &'a [OsString]);

/// What comes before the brace that closes `opened`, and what comes after it.
fn split_at_closing<'a>(opened: &OsStr, rest: &'a [OsString]) -> Result<InnerAndAfter<'a>, Wrong> {
    let mut depth = 1_usize;
    for (at, word) in rest.iter().enumerate() {
        if opening(word).is_some() {
            depth += 1;
        } else if word == "}" {
            depth -= 1;
        }
        if depth == 0 {
            return Ok((&rest[..at], &rest[at + 1..]));
        }
    }
    Err(Wrong { directive: opened.to_owned(), why: "no } closes it".into() })
}

fn simple(word: &OsStr) -> Result<Directive, String> {
    let bytes = word.as_bytes();
    let equals = bytes.iter().position(|byte| *byte == b'=');
    let (name, value) = match equals.map(|at| (&bytes[..at], &bytes[at + 1..])) {
        Some((name, value)) => (name, Some(OsStr::from_bytes(value))),
        None => (bytes, None),
    };
    let name = OsStr::from_bytes(name).to_str().unwrap_or_default();
    match value {
        Some(value) => with_value(name, value),
        None => without_value(name),
    }
}

fn without_value(name: &str) -> Result<Directive, String> {
    match name {
        "ready" => Ok(Directive::Ready),
        "state" => Ok(Directive::State),
        "fds" => Ok(Directive::Fds),
        "cwd" => Ok(Directive::Cwd),
        "ids" => Ok(Directive::Ids),
        "wait" => Ok(Directive::Wait),
        "hold" => Ok(Directive::Hold),
        "stop" => Ok(Directive::Stop),
        SESSION => Ok(Directive::LeadSession),
        ABANDON => Ok(Directive::Abandon),
        "}" => Err("it closes nothing".into()),
        _ => Err("there is none of this name that takes no value".into()),
    }
}

fn with_value(name: &str, value: &OsStr) -> Result<Directive, String> {
    let text = || value.to_str().ok_or_else(|| "the value is not UTF-8".to_owned());
    match name {
        "name" => Ok(Directive::Name(value.to_owned())),
        "say" => Ok(Directive::Say(value.to_owned())),
        "env" => Ok(Directive::Env(value.to_owned())),
        "await" => Ok(Directive::Await(value.into())),
        "ignore" => signals_or_all(text()?).map(Directive::Ignore),
        "default" => signals_or_all(text()?).map(Directive::Default),
        "block" => signals_or_all(text()?).map(Directive::Block),
        "take" => signals_or_all(text()?).map(Directive::Take),
        "catch" => catch(text()?),
        "once" => once(text()?),
        "zombies" => number(text()?).map(Directive::Zombies),
        "sleep" => duration(text()?).map(Directive::Sleep),
        "exit" => number(text()?).map(Directive::Exit),
        "die" => signal(text()?).map(Directive::Die),
        ADOPTED => number(text()?).map(Directive::Adopted),
        _ => Err("there is none of this name that takes a value".into()),
    }
}

/// `SIGS[:DELAY[:CODE]]`.
fn catch(text: &str) -> Result<Directive, String> {
    let (names, reaction) = match text.split_once(':') {
        Some((names, finish)) => {
            let (delay, code) = delay_and_code(finish)?;
            (names, Reaction::Finish { delay, code })
        }
        None => (text, Reaction::GoOn),
    };
    Ok(Directive::Catch(catchable(names)?, reaction))
}

/// `SIGS:DELAY[:CODE]`.
fn once(text: &str) -> Result<Directive, String> {
    let (names, finish) = text.split_once(':').ok_or("it takes a delay: once=SIG:DELAY")?;
    let (delay, code) = delay_and_code(finish)?;
    Ok(Directive::Catch(catchable(names)?, Reaction::FinishOnce { delay, code }))
}

fn delay_and_code(text: &str) -> Result<(Duration, u8), String> {
    match text.split_once(':') {
        Some((delay, code)) => Ok((duration(delay)?, number(code)?)),
        None => Ok((duration(text)?, 0)),
    }
}

fn catchable(names: &str) -> Result<SignalSet, String> {
    let set = signals(names)?;
    let refused = |signal: &Signal| {
        matches!(signal.number(), 32 | 33) || signal_hook::consts::FORBIDDEN.contains(&signal.number())
    };
    match members(set).find(refused) {
        Some(signal) => Err(format!("{signal} cannot be caught here")),
        None => Ok(set),
    }
}

fn signals_or_all(names: &str) -> Result<SignalSet, String> {
    if names == "all" {
        let settable = Signal::all().filter(|signal| !matches!(*signal, Signal::KILL | Signal::STOP));
        return Ok(settable.fold(SignalSet::default(), SignalSet::with));
    }
    signals(names)
}

fn signals(names: &str) -> Result<SignalSet, String> {
    names.split(',').try_fold(SignalSet::default(), |set, name| match signal(name)? {
        Signal::KILL | Signal::STOP => Err(format!("no process can change what {name} does")),
        signal => Ok(set.with(signal)),
    })
}

/// The signals of a set, by number.
pub(crate) fn members(set: SignalSet) -> impl Iterator<Item = Signal> {
    Signal::all().filter(move |signal| set.contains(*signal))
}

fn signal(name: &str) -> Result<Signal, String> {
    name.parse().map_err(|why| format!("{name:?}: {why}"))
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|why| format!("{text:?}: {why}"))
}

fn number<T: std::str::FromStr<Err = std::num::ParseIntError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|why| format!("{text:?}: {why}"))
}

#[cfg(test)]
mod tests;
