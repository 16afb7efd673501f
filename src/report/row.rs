//! One bar of the time line: who, from when to when, what was sent, how it ended. Pure.

use std::time::Duration;

use super::page::{Line, Style, clean, cut, who};
use super::scale::{Scale, words};
use super::words::end_of;
use super::{Event, Fate, Member, Receiver, Record, SentSignal, Step, StepOutcome};
use crate::outcome::Ended;
use crate::plan::Target;
use crate::signal::Signal;

/// The same signal to the same process within this time is one that was noted twice.
const ONE_SIGNAL: Duration = Duration::from_millis(20);

pub(super) struct Row {
    name: String,
    /// What stays where the name is cut.
    pid: String,
    began: Duration,
    /// `None` where it was still there.
    pub(super) ended: Option<Duration>,
    /// When it was first told something.
    asked: Option<Duration>,
    killed: Option<Duration>,
    /// In the order in which they were sent.
    signals: Vec<(Duration, Signal)>,
    pub(super) outcome: String,
    pub(super) is_main: bool,
    is_bad: bool,
}

impl Row {
    /// A step is at work from its first moment.
    pub(super) fn of_step(record: &Record, step: &Step) -> Self {
        let ended = step.ended.map(|end| end.at);
        let took = words(ended.unwrap_or(step.began).saturating_sub(step.began));
        let (outcome, is_bad) = match step.ended.map(|end| end.what) {
            Some(StepOutcome::Succeeded) => (format!("done in {took}"), false),
            Some(StepOutcome::Failed(how)) => (format!("{} in {took}", in_short(how)), true),
            Some(StepOutcome::NotStarted) => ("not started".to_owned(), true),
            Some(StepOutcome::TimedOut) => (format!("timed out after {took}"), true),
            Some(StepOutcome::Dropped) => (format!("dropped after {took}"), false),
            None => ("end not seen".to_owned(), true),
        };
        let mut signals = Vec::new();
        for sent in &record.sent.last {
            let was_there = step.began <= sent.at && ended.is_none_or(|end| sent.at <= end);
            if sent.to == Receiver::Step(step.id) && was_there {
                signals.push((sent.at, sent.signal));
            }
        }
        Self {
            name: clean(&step.name),
            pid: String::new(),
            began: step.began,
            ended,
            asked: Some(step.began),
            killed: None,
            signals,
            outcome,
            is_main: false,
            is_bad,
        }
    }

    pub(super) fn of_member(record: &Record, member: &Member, origin: Duration) -> Self {
        let fate = end_of(record, member);
        let ended = fate.filter(|end| end.what != Fate::LeftBehind).map(|end| end.at);
        let was_there = |at: Duration| member.seen_at <= at && ended.is_none_or(|end| at <= end);
        let killed = record.killed.map(|killed| killed.at).filter(|&at| was_there(at));
        let (outcome, is_bad) = match fate {
            Some(end) => ending(end, killed, origin),
            None => ("end not seen".to_owned(), false),
        };
        Self {
            name: member.name.to_string(),
            pid: format!(" ({})", member.pid),
            began: member.seen_at,
            ended,
            asked: member.asked.map(|asked| asked.at),
            killed,
            signals: signals_to(record, member, was_there),
            outcome,
            is_main: member.is_main,
            is_bad,
        }
    }

    /// Main, where it had ended before anybody was noted.
    pub(super) fn of_main(record: &Record, end: Event<Ended>, origin: Duration) -> Self {
        let (outcome, is_bad) = ending(Event { at: end.at, what: Fate::Reaped(end.what) }, None, origin);
        Self {
            name: command(record),
            pid: String::new(),
            began: Duration::ZERO,
            ended: Some(end.at),
            asked: record.asked_at,
            killed: None,
            signals: Vec::new(),
            outcome,
            is_main: true,
            is_bad,
        }
    }

    pub(super) fn label_width(&self) -> usize {
        1 + self.name.len() + self.pid.len()
    }

    /// The line, with so many columns for the label, and a bar that ends where the run did if it has no end.
    pub(super) fn line(&self, label: usize, scale: Scale, run_ended: Duration) -> Line {
        let room = label.saturating_sub(1);
        let name = cut(&self.name, room.saturating_sub(self.pid.len()));
        let mut line = Line::of(" ", Style::Plain);
        line.push(&cut(&format!("{name}{}", self.pid), room), Style::Plain);
        line.pad(label + 1);
        line.append(&self.bar(scale, run_ended));
        line.push(" ", Style::Plain);
        line.push(&self.outcome, if self.is_bad { Style::Bad } else { Style::Plain });
        line
    }

    fn bar(&self, scale: Scale, run_ended: Duration) -> Line {
        let from = scale.column(self.began);
        let to = scale.column(self.ended.unwrap_or(run_ended)).max(from);
        let asked = self.asked.map_or(to + 1, |at| scale.column(at));
        let killed = self.killed.map_or(to + 1, |at| scale.column(at));
        let mut bar = Line::blank(scale.cells());
        for column in from..=to {
            let end = if self.ended.is_some() { '|' } else { '>' };
            let (body, style) = match () {
                () if column >= killed => ('#', Style::Killed),
                () if column < asked => ('-', Style::Early),
                () if self.is_bad => ('=', Style::Doubtful),
                () => ('=', Style::Fine),
            };
            let is_end = column == to;
            let style = if is_end && to > from { Style::Faint } else { style };
            bar.put(column, &(if is_end { end } else { body }).to_string(), style);
        }
        self.put_signals(&mut bar, scale, to);
        bar
    }

    /// A signal's name where there is room up to the next one and the end, else its first letter.
    fn put_signals(&self, bar: &mut Line, scale: Scale, end: usize) {
        let mut signals: Vec<(usize, Signal)> = Vec::new();
        let mut all = self.signals.clone();
        if let Some(killed) = self.killed {
            insert(&mut all, killed, Signal::KILL);
        }
        for (at, signal) in all {
            let column = scale.column(at);
            match signals.last_mut() {
                Some(last) if last.0 == column && signal == Signal::KILL => *last = (column, signal),
                Some(last) if last.0 == column => {}
                _ => signals.push((column, signal)),
            }
        }
        for (at, &(column, signal)) in signals.iter().enumerate() {
            let next = signals.get(at + 1).map_or(end, |next| next.0);
            let name = signal.to_string();
            let room = next.min(end).saturating_sub(column).max(1);
            let shown = if name.len() <= room { name.as_str() } else { name.get(..1).unwrap_or_default() };
            let style = if signal == Signal::KILL { Style::Kill } else { Style::Signal };
            bar.put(column, shown, style);
        }
    }
}

/// What the signals that were sent tell of this process: a group's members are not known, but main is one of them.
fn signals_to(
    record: &Record,
    member: &Member,
    was_there: impl Fn(Duration) -> bool,
) -> Vec<(Duration, Signal)> {
    let reaches = |to| match to {
        Receiver::Target(Target::All) => true,
        Receiver::Target(Target::Main | Target::Group) => member.is_main,
        Receiver::Process(pid) => pid == member.pid,
        Receiver::Step(_) => false,
    };
    let is_asking = |at: Duration, signal| {
        member.asked.is_some_and(|asked| asked.what == signal && asked.at.abs_diff(at) < ONE_SIGNAL)
    };
    // CONT only follows others, and KILL is repeated.
    let tells = |signal| signal != Signal::CONT && signal != Signal::KILL;
    let mut signals = Vec::new();
    for &SentSignal { at, signal, to } in &record.sent.last {
        if tells(signal) && reaches(to) && !is_asking(at, signal) && was_there(at) {
            signals.push((at, signal));
        }
    }
    if let Some(asked) = member.asked.filter(|asked| was_there(asked.at)) {
        insert(&mut signals, asked.at, asked.what);
    }
    signals
}

/// Where it belongs among those that are there, which are in the order in which they were sent.
fn insert(signals: &mut Vec<(Duration, Signal)>, at: Duration, signal: Signal) {
    let place = signals.partition_point(|&(other, _)| other <= at);
    signals.insert(place, (at, signal));
}

/// What the command is called in a text.
pub(super) fn command(record: &Record) -> String {
    if record.command.is_empty() { "the command".to_owned() } else { clean(&record.command) }
}

/// What main is called in a text.
pub(super) fn main_name(record: &Record) -> String {
    let main = record.members.iter().find(|member| member.is_main);
    main.map_or_else(|| command(record), |main| who(main.name, main.pid))
}

fn ending(end: Event<Fate>, killed: Option<Duration>, origin: Duration) -> (String, bool) {
    let at = words(end.at.saturating_sub(origin));
    match end.what {
        Fate::Reaped(Ended::Killed(Signal::KILL)) if killed.is_some() => (format!("killed at {at}"), true),
        Fate::Reaped(how) => (format!("{} at {at}", in_short(how)), how == Ended::Killed(Signal::KILL)),
        Fate::Gone => (format!("gone at {at}"), killed.is_some()),
        Fate::LeftBehind => ("left behind".to_owned(), true),
    }
}

fn in_short(how: Ended) -> String {
    match how {
        Ended::Exited(status) => format!("exited {status}"),
        Ended::Killed(signal) => format!("died of {signal}"),
    }
}
