//! One bar of the time line: its label, its beginning and end, the signals on it, and how it ended.

use std::time::Duration;

use super::page::{Line, Style};
use super::scale::Scale;
use crate::outcome::Ended;
use crate::report::format;
use crate::report::record::{ProcessEnd, ProcessRecord, Receiver, Record, SentSignal, StepRecord, Timed};
use crate::report::repeats::Repeats;
use crate::signal::Signal;

/// A signal to a group and its arrival at a process are noted separately: within this time they are the same.
const ONE_SIGNAL: Duration = Duration::from_millis(20);

pub(super) struct Row {
    name: String,
    /// Its pid, or how many processes it shows: visible even if the name is cut.
    suffix: String,
    /// How many processes it shows.
    pub(super) count: usize,
    began: Duration,
    /// `None` if it had not ended.
    pub(super) ended: Option<Duration>,
    /// When it was first signalled; for a step, its beginning.
    signalled: Option<Duration>,
    killed: Option<Duration>,
    /// In the order in which they were sent.
    signals: Vec<(Duration, Signal)>,
    pub(super) outcome: String,
    pub(super) is_main: bool,
    is_bad: bool,
}

impl Row {
    pub(super) fn of_step(record: &Record, step: &StepRecord) -> Self {
        let ended = step.ended.map(|end| end.at);
        let was_there = |at: Duration| step.began <= at && ended.is_none_or(|end| at <= end);
        let to_step = record.sent.last.iter().filter(|sent| sent.to == Receiver::Step(step.id));
        let signals = to_step.filter(|sent| was_there(sent.at)).map(|sent| (sent.at, sent.signal)).collect();
        Self {
            name: format::name(&step.name),
            suffix: String::new(),
            count: 1,
            began: step.began,
            ended,
            signalled: Some(step.began),
            killed: None,
            signals,
            outcome: format::outcome(step),
            is_main: false,
            is_bad: !step.went_well(),
        }
    }

    pub(super) fn of_process(record: &Record, process: &ProcessRecord, origin: Duration) -> Self {
        let end = record.end_of(process);
        let ended = end.filter(|end| end.what != ProcessEnd::LeftBehind).map(|end| end.at);
        let was_there = |at: Duration| process.first_seen <= at && ended.is_none_or(|end| at <= end);
        let killed = record.killed.map(|killed| killed.at).filter(|&at| was_there(at));
        let (outcome, is_bad) = match end {
            Some(end) => ending(end, killed, origin),
            None => (format::NO_END.to_owned(), false),
        };
        Self {
            name: process.name.to_string(),
            suffix: format!(" ({})", process.pid),
            count: 1,
            began: process.first_seen,
            ended,
            signalled: process.signalled.map(|sent| sent.at),
            killed,
            signals: signals_to(record, process, was_there),
            outcome,
            is_main: process.is_main,
            is_bad,
        }
    }

    /// One bar from the beginning of the first process to the end of the last.
    pub(super) fn of_repeats(record: &Record, repeats: &Repeats<'_>, origin: Duration) -> Self {
        let mut row = Self::of_process(record, repeats.last(), origin);
        if repeats.count() == 1 {
            return row;
        }
        let all: Vec<Self> = repeats.all().map(|one| Self::of_process(record, one, origin)).collect();
        row.suffix = repeats.times();
        row.count = repeats.count();
        row.began = all.iter().map(|one| one.began).min().unwrap_or(row.began);
        row.signalled = all.iter().filter_map(|one| one.signalled).min();
        row.signals.clear();
        for &(at, signal) in all.iter().flat_map(|one| &one.signals) {
            insert(&mut row.signals, at, signal);
        }
        row.is_bad = all.iter().any(|one| one.is_bad);
        row
    }

    /// Main, if it ended before any process was noted.
    pub(super) fn of_main(record: &Record, end: Timed<Ended>, origin: Duration) -> Self {
        let reaped = Timed { at: end.at, what: ProcessEnd::Reaped(end.what) };
        let (outcome, is_bad) = ending(reaped, None, origin);
        Self {
            name: format::command(record),
            suffix: String::new(),
            count: 1,
            began: Duration::ZERO,
            ended: Some(end.at),
            signalled: record.signalled_at,
            killed: None,
            signals: Vec::new(),
            outcome,
            is_main: true,
            is_bad,
        }
    }

    pub(super) fn label_width(&self) -> usize {
        1 + self.name.len() + self.suffix.len()
    }

    /// The line, with this many columns for the label. A bar without an end goes on to the end of the run.
    pub(super) fn line(&self, label: usize, scale: Scale, run_ended: Duration) -> Line {
        let room = label.saturating_sub(1);
        let name = format::cut(&self.name, room.saturating_sub(self.suffix.len()));
        let mut line = Line::of(" ", Style::Plain);
        line.push(&format::cut(&format!("{name}{}", self.suffix), room), Style::Plain);
        line.pad(label + 1);
        line.append(&self.bar(scale, run_ended));
        line.push(" ", Style::Plain);
        line.push(&self.outcome, if self.is_bad { Style::Bad } else { Style::Plain });
        line
    }

    fn bar(&self, scale: Scale, run_ended: Duration) -> Line {
        let from = scale.column(self.began);
        let to = scale.column(self.ended.unwrap_or(run_ended)).max(from);
        let signalled = self.signalled.map_or(to + 1, |at| scale.column(at));
        let killed = self.killed.map_or(to + 1, |at| scale.column(at));
        let mut bar = Line::blank(scale.cells());
        for column in from..=to {
            let end = if self.ended.is_some() { '|' } else { '>' };
            let (body, style) = match () {
                () if column >= killed => ('#', Style::Killed),
                () if column < signalled => ('-', Style::Early),
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

    fn put_signals(&self, bar: &mut Line, scale: Scale, end: usize) {
        for (column, shown, signal) in self.marks(scale, end) {
            let style = if signal == Signal::KILL { Style::Kill } else { Style::Signal };
            bar.put(column, &shown, style);
        }
    }

    /// The signals of which the bar shows only a letter.
    pub(super) fn abbreviated(&self, scale: Scale, run_ended: Duration) -> Vec<Signal> {
        let end = scale.column(self.ended.unwrap_or(run_ended)).max(scale.column(self.began));
        let marks = self.marks(scale, end).into_iter();
        marks.filter(|(_, shown, _)| shown.len() == 1).map(|(_, _, signal)| signal).collect()
    }

    /// A signal's name if there is room before the next one and the end, else its first letter; and its column.
    fn marks(&self, scale: Scale, end: usize) -> Vec<(usize, String, Signal)> {
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
        let mut marks = Vec::new();
        for (at, &(column, signal)) in signals.iter().enumerate() {
            let next = signals.get(at + 1).map_or(end, |next| next.0);
            let mut shown = signal.to_string();
            if shown.len() > next.min(end).saturating_sub(column).max(1) {
                shown.truncate(1);
            }
            marks.push((column, shown, signal));
        }
        marks
    }
}

/// The signals that reached this process, except KILL.
fn signals_to(
    record: &Record,
    process: &ProcessRecord,
    was_there: impl Fn(Duration) -> bool,
) -> Vec<(Duration, Signal)> {
    let is_first = |at: Duration, signal| {
        process.signalled.is_some_and(|first| first.what == signal && first.at.abs_diff(at) < ONE_SIGNAL)
    };
    // CONT only follows others, and KILL is repeated.
    let is_shown = |signal| signal != Signal::CONT && signal != Signal::KILL;
    let mut signals = Vec::new();
    for &SentSignal { at, signal, to } in &record.sent.last {
        if is_shown(signal) && record.reaches(to, process) && !is_first(at, signal) && was_there(at) {
            signals.push((at, signal));
        }
    }
    if let Some(first) = process.signalled.filter(|first| was_there(first.at)) {
        insert(&mut signals, first.at, first.what);
    }
    signals
}

/// In the order in which they were sent.
fn insert(signals: &mut Vec<(Duration, Signal)>, at: Duration, signal: Signal) {
    let place = signals.partition_point(|&(other, _)| other <= at);
    signals.insert(place, (at, signal));
}

fn ending(end: Timed<ProcessEnd>, killed: Option<Duration>, origin: Duration) -> (String, bool) {
    let at = format::duration(end.at.saturating_sub(origin));
    let by_kill = end.what == ProcessEnd::Reaped(Ended::Killed(Signal::KILL));
    match end.what {
        ProcessEnd::Reaped(_) if by_kill && killed.is_some() => (format!("killed at {at}"), true),
        ProcessEnd::Reaped(how) => (format!("{how} at {at}"), by_kill),
        ProcessEnd::Gone => (format!("gone at {at}"), killed.is_some()),
        ProcessEnd::LeftBehind => ("left behind".to_owned(), true),
    }
}
