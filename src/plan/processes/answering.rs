//! Which processes a stop signals: *a process that handles the signal answers for its descendants.*
//!
//! From each top (main, and whatever drainit has adopted) downwards:
//!
//! - a process that handles the signal (catches it, has it blocked, or takes it in `rt_sigtimedwait`) is signalled, and answers: how its
//!   descendants end is its own affair;
//! - one that has it at default is signalled and dies of it; its children become tops when drainit adopts them;
//! - one that ignores it is signalled and does not answer: each of its children is looked at in the same way;
//! - a shell that catches it and waits for a foreground command answers for all its children but that command ([`foreground`](super::foreground));
//! - one that has it at default and reads from a pipe that another descendant writes into is spared ([`readers`](super::readers)).
//!
//! So a shell and then the server below it are signalled, a master's workers are not, and no process gets both a wrapper's TERM and
//! drainit's.

use super::facts::{Call, Fact, FactTable, Reader, Stdin};
use super::foreground::{self, Waits};
use super::readers::Readers;
use super::shells::Shell;
use super::signalled::Signalled;
use super::{Disposition, Process, SignalState, Table};
use crate::plan::StopSignal;
use crate::plan::sorted::Set;
use crate::signal::Signal;

/// Inits that take their signals in `rt_sigtimedwait` and forward them. They are recognised by name if the system call cannot be read.
const INITS: [&[u8]; 8] = [
    b"drainit",
    b"tini",
    b"tini-static",
    b"docker-init",
    b"podman-init",
    b"catatonit",
    b"dumb-init",
    b"s6-svscan",
];

/// At most this many processes, and the children of one, are read before the signal because they may be told.
const MAY_BE_TOLD: usize = 1024;

/// A process that is to be signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipient {
    pub pid: i32,
    pub signal: Signal,
    pub why: Why,
}

/// Why a process is signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is main, or an orphan that drainit has adopted.
    Top,
    /// The shell with this pid waits for it, and runs its trap only when it has ended.
    ForegroundOf(i32),
    /// Its parent, which has this pid, ignores the signal.
    BelowIgnoring(i32),
}

/// What the rule says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// In the order in which they are to be signalled.
    pub recipients: Vec<Recipient>,
    /// Processes that are not signalled because they end when the process that writes to them does.
    pub spared: Vec<i32>,
    /// Processes that were looked at and handle the signal.
    pub handling: Vec<i32>,
    /// Shells of which it is not known what they wait for.
    pub in_doubt: Vec<i32>,
    /// Shells that catch the signal: what was found out about one holds until it runs ([`foreground::has_slept`]).
    pub shells: Vec<i32>,
}

/// The input of the rule.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// All living descendants of drainit.
    pub table: &'a Table,
    /// Where the rule begins, in this order.
    pub tops: &'a [i32],
    pub signal: StopSignal,
    /// What is unsettled (a shell between two commands) has to be decided now.
    pub is_last_look: bool,
}

/// Applies the rule, or names the facts that it lacks. It may name a fact that is known already, if that may have changed.
///
/// # Errors
/// The facts that are missing.
pub fn select(input: &Input<'_>, facts: &FactTable) -> Result<Selection, Set<(i32, Fact)>> {
    let mut visit = Visit {
        input,
        facts: Reader::new(facts),
        selection: Selection::default(),
        seen: Set::default(),
        next: Vec::new(),
        readers: Readers::default(),
    };
    for &top in input.tops {
        visit.next.push((top, Why::Top));
        while let Some((pid, why)) = visit.next.pop() {
            visit.process(pid, why);
        }
    }
    visit.spare_readers();
    if visit.facts.missing.is_empty() { Ok(visit.selection) } else { Err(visit.facts.missing) }
}

/// The processes below those that handle the signal, which are listed here, or may handle it: these may pass it on. There are at most a little
/// more than [`MAY_BE_TOLD`].
#[must_use]
pub fn may_be_told(table: &Table, handling: &[i32], signal: Signal) -> Set<i32> {
    let may_handle = |process: &&Process| {
        handling.contains(&process.pid)
            || !matches!(process.disposition(signal), Some(Disposition::Default | Disposition::Ignored))
    };
    let mut below: Vec<i32> = table.iter().filter(may_handle).map(|process| process.pid).collect();
    let mut told = Set::default();
    while let Some(parent) = below.pop().filter(|_| told.len() < MAY_BE_TOLD) {
        below.extend(table.children(parent).map(|child| child.pid).filter(|&child| told.insert(child)));
    }
    told
}

/// Those that were not signalled, and that no process above them answers for.
pub fn unanswered<'a>(table: &'a Table, signalled: &'a Signalled) -> impl Iterator<Item = &'a Process> {
    // A parent that refused the signal cannot answer for its children.
    let answers = |parent: &Process| {
        !signalled.is_done(parent)
            || (signalled.was_signalled(parent)
                && signalled.disposition(parent) != Some(Disposition::Ignored))
    };
    table.iter().filter(move |process| {
        !signalled.is_done(process) && !table.find(process.parent).is_some_and(answers)
    })
}

/// Which of the two signals a process is sent, and what it does about that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Effect {
    signal: Signal,
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Handles,
    Ignores,
    Dies,
}

struct Visit<'a, 'b> {
    input: &'b Input<'a>,
    facts: Reader<'b>,
    selection: Selection,
    seen: Set<i32>,
    /// The processes still to be looked at, the next one last. No recursion: a line of descent may be longer than the stack allows.
    next: Vec<(i32, Why)>,
    /// Readers that may be spared; they stay among the recipients until that is decided.
    readers: Readers,
}

impl Visit<'_, '_> {
    fn process(&mut self, pid: i32, why: Why) {
        let table = self.input.table;
        let Some(process) = table.find(pid) else { return };
        if !self.seen.insert(pid) {
            return;
        }
        let Some(reaction) = self.effect(process) else { return };
        if reaction.how == How::Dies
            && let Some(Stdin::Pipe(pipe)) = self.facts.stdin(pid)
        {
            self.readers.add(pid, pipe);
        }
        self.selection.recipients.push(Recipient { pid, signal: reaction.signal, why });
        match reaction.how {
            How::Dies => {}
            How::Ignores => {
                let children = table.children(pid).map(|child| (child.pid, Why::BelowIgnoring(pid)));
                self.next.extend(children.collect::<Vec<_>>().into_iter().rev());
            }
            How::Handles => {
                self.selection.handling.push(pid);
                self.foreground(process, reaction.signal);
            }
        }
    }

    /// What the process does about the signal that it is sent: the rewritten one if it handles that, else the one that was received.
    fn effect(&mut self, process: &Process) -> Option<Effect> {
        let StopSignal { received, rewritten } = self.input.signal;
        if rewritten != received {
            let how = self.how(process, rewritten)?;
            if how == How::Handles {
                return Some(Effect { signal: rewritten, how });
            }
        }
        self.how(process, received).map(|how| Effect { signal: received, how })
    }

    fn how(&mut self, process: &Process, signal: Signal) -> Option<How> {
        let status = self.facts.status(process.pid)?;
        // A process whose signals cannot be read counts as one that handles them.
        let Some(signals) = status.signals.or(process.signals.filter(|_| signal.number() < 32)) else {
            return Some(How::Handles);
        };
        if signals.caught.contains(signal) {
            return Some(How::Handles);
        }
        let is_dropped =
            signals.ignored.contains(signal) || signal.is_ignored_by_default() || status.is_nested_init;
        if signals.blocked.contains(signal) {
            // A shell blocks signals for the moment of a fork. A signal that is blocked for longer is taken some day.
            if is_dropped && !self.input.is_last_look {
                self.facts.again(process.pid, Fact::Status);
            }
            return Some(How::Handles);
        }
        match self.facts.call(process.pid)? {
            Call::AwaitsSignals => Some(How::Handles),
            Call::Hidden if INITS.contains(&process.name.bytes()) => Some(How::Handles),
            Call::AwaitsChild
            | Call::Suspended
            | Call::Reads(_)
            | Call::Running
            | Call::Other
            | Call::Hidden => Some(if is_dropped { How::Ignores } else { How::Dies }),
        }
    }

    /// Removes the readers from the recipients that will end when their writer does.
    fn spare_readers(&mut self) {
        if self.readers.is_empty() {
            return;
        }
        let readers = self.readers.pids();
        let signalled: Set<i32> = self.selection.recipients.iter().map(|recipient| recipient.pid).collect();
        let table = self.input.table;
        for process in table.iter().filter(|process| process.is_alive()) {
            let Some(outputs) = self.facts.outputs(process.pid) else { continue };
            for pipe in outputs.0.into_iter().flatten() {
                // Parents are older than their children; the limit is for a clock that was turned back.
                let line = std::iter::successors(Some(process), |at| table.find(at.parent)).take(table.len());
                let first = line.map(|at| at.pid).find(|pid| signalled.contains(*pid));
                self.readers.writes(pipe, first.filter(|pid| readers.contains(*pid)));
            }
        }
        let not_spared = self.readers.not_spared();
        let is_spared = |pid| readers.contains(pid) && !not_spared.contains(pid);
        self.selection.spared = readers.iter().filter(|&pid| is_spared(pid)).collect();
        self.selection.recipients.retain(|recipient| !is_spared(recipient.pid));
    }

    /// A shell that catches the signal does not answer for its foreground command.
    fn foreground(&mut self, process: &Process, signal: Signal) {
        let table = self.input.table;
        let Some(status) = self.facts.status(process.pid) else { return };
        let caught = status
            .signals
            .or(process.signals)
            .is_some_and(|signals: SignalState| signals.caught.contains(signal));
        if !caught {
            return;
        }
        // A shell without children may be between two commands.
        let Some(Some(shell)): Option<Option<Shell>> = self.facts.shell(process.pid) else { return };
        self.selection.shells.push(process.pid);
        match foreground::waits(shell, process, table, &mut self.facts, self.input.is_last_look) {
            Waits::For(commands) => {
                let why = Why::ForegroundOf(process.pid);
                self.next.extend(commands.into_iter().rev().map(|command| (command, why)));
            }
            Waits::InDoubt => self.selection.in_doubt.push(process.pid),
            Waits::Freely | Waits::NotKnownYet => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::processes::fixtures::{MAIN, Sample};
    use crate::plan::processes::signalled::Moment;

    #[test]
    fn what_was_signalled_answers_for_its_children_unless_it_ignores_the_signal_or_refused_it() {
        let (child, below) = (Sample::new(8, MAIN, "worker").process, Sample::new(9, 8, "helper").process);
        let main = || Sample::new(MAIN, 1, "server");
        for (main, was_refused, expected) in [
            (main().catches(&[Signal::TERM]), None, vec![MAIN]),
            (main().catches(&[Signal::TERM]), Some(false), vec![]),
            (main(), Some(false), vec![]),
            (main().ignores(&[Signal::TERM]), Some(false), vec![8]),
            (main().catches(&[Signal::TERM]), Some(true), vec![8]),
        ] {
            let table = Table::new(vec![main.process, child, below]);
            let mut stage = Signalled::begin(StopSignal::plain(Signal::TERM), Moment::default(), &table);
            stage.note_status(MAIN, &main.facts.status.expect("it is known"));
            let _ = was_refused.map(|refused| stage.note_sent(&main.process, Signal::TERM, refused));
            let found: Vec<i32> = unanswered(&table, &stage).map(|process| process.pid).collect();
            assert_eq!(found, expected, "{main:?}, refused: {was_refused:?}");
        }
    }

    #[test]
    fn what_is_below_a_process_that_may_handle_the_signal_may_be_told() {
        let term = [Signal::TERM];
        let top = || Sample::new(MAIN, 1, "server");
        let hidden = {
            let mut sample = top();
            sample.process.signals = None;
            sample
        };
        for (top, handling, is_told) in [
            (top().catches(&term), &[][..], true),
            (top().blocks(&term), &[], true),
            (hidden, &[], true),
            (top(), &[], false),
            (top().ignores(&term), &[], false),
            // As it takes the signal in a call.
            (top(), &[MAIN], true),
        ] {
            let below =
                [Sample::new(8, MAIN, "worker"), Sample::new(9, 8, "helper"), Sample::new(10, 1, "other")];
            let table = Table::new([top].iter().chain(&below).map(|sample| sample.process).collect());
            let told: Vec<i32> = may_be_told(&table, handling, Signal::TERM).iter().collect();
            assert_eq!(told, if is_told { vec![8, 9] } else { vec![] }, "{top:?} {handling:?}");
        }
        let line = (MAIN..5_000).map(|pid| Sample::new(pid, pid - 1, "link").process).collect();
        assert_eq!(may_be_told(&Table::new(line), &[MAIN], Signal::TERM).len(), MAY_BE_TOLD);
    }
}
