//! Reads /proc into the table that the rules of [`plan::processes`](crate::plan::processes) work on. The parsers are pure.

#![forbid(unsafe_code)]

pub mod facts;
mod groups;
mod shown;
pub mod stat;
pub mod status;

pub use groups::{has_stopped, is_alone_in, is_held_by_sibling, is_orphaned, shares_group, stopped};

use crate::plan::processes::facts::Call;
use crate::plan::processes::signalled::Moment;
use crate::plan::processes::{Disposition, Process, Table, tree};
use crate::signal::Signal;
use crate::sys::{clock, memory, process as own, procfs};

/// For PID 1, which has just sent KILL to all: every process that lives, or that has died of KILL and was not reaped yet.
#[must_use]
pub fn look_at_killed() -> Option<Table> {
    if !procfs::shows_own_namespace() {
        return None;
    }
    // What is found is of use even if it is not all.
    let (mut killed, _) = read_each(&|| true);
    if !memory::is_there(killed.len() * ROOM_FOR_EACH) {
        return None;
    }
    let own = own::id();
    killed.retain(|process| process.pid != own && (process.is_alive() || process.has_died_of_kill));
    Some(Table::new(killed))
}

/// The living descendants of this process, adopted ones included; `None` if /proc cannot show them all.
///
/// A process that was started from outside of the namespace (`kubectl exec`: its parent is 0) is no descendant, nor are its children.
#[must_use]
pub fn look() -> Option<Table> {
    look_while(&|| true)
}

/// How many processes are read between two looks at the clock.
const AT_ONCE: usize = 64;
/// The memory, per process, that a stop may need: for the tree, the facts, and the lines about it.
const ROOM_FOR_EACH: usize = 1024;

/// As [`look`], but given up as soon as `goes_on` returns false: a deadline does not wait for a look.
#[must_use]
pub fn look_while(goes_on: &dyn Fn() -> bool) -> Option<Table> {
    if !procfs::shows_own_namespace() {
        return None;
    }
    // A child stays in /proc until it is reaped here, so a /proc that does not show it hides processes (hidepid, proc(5)).
    let children = procfs::own_children().unwrap_or_default();
    let (mut all, readable) = read_each(goes_on);
    // Without memory the look fails: a stop without a table is less exact, but still works.
    let readable = readable && memory::is_there(all.len() * ROOM_FOR_EACH);
    let mut shown: Vec<i32> = all.iter().map(|process| process.pid).collect();
    shown.sort_unstable();
    let is_shown = |pid: &i32| shown.binary_search(pid).is_ok();
    let own = own::id();
    let is_whole = readable && is_shown(&own) && children.iter().all(is_shown);
    if !shown::shows_signals(all.iter().find(|process| process.pid == own).and_then(|own| own.signals)) {
        all.iter_mut().for_each(|process| process.signals = None);
    }
    is_whole.then(|| {
        let mut found = tree::descendants(all, own, look_at);
        found.retain(Process::is_alive);
        Table::new(found)
    })
}

/// Every process that /proc shows, and whether all were read: as long as there is memory, and `goes_on` returns true.
fn read_each(goes_on: &dyn Fn() -> bool) -> (Vec<Process>, bool) {
    let mut all = Vec::new();
    let is_read = procfs::each_process_while(&mut |_, line| {
        let has_room = all.len() < all.capacity() || memory::is_there(2 * size_of_val(all.as_slice()));
        all.extend(stat::parse(line).filter(|_| has_room));
        has_room && (!all.len().is_multiple_of(AT_ONCE) || goes_on())
    });
    (all, is_read)
}

/// What a process does about a signal, as far as one look shows; `None` if it cannot be read.
#[must_use]
pub fn disposition(process: &Process, signal: Signal) -> Option<Disposition> {
    process.disposition(signal).or_else(|| Some(facts::status_of(process.pid).signals?.disposition(signal)))
}

/// Whether the process catches the signal, has it blocked, or waits for it in `rt_sigtimedwait`, as far as that can be read.
#[must_use]
pub fn handles(pid: i32, signal: Signal) -> bool {
    look_at(pid).is_some_and(|process| handles_as(&process, signal, || facts::awaits_signals(pid)))
}

fn handles_as(process: &Process, signal: Signal, awaits_signals: impl FnOnce() -> bool) -> bool {
    match disposition(process, signal) {
        // A process whose signals cannot be read counts as one that handles them.
        None | Some(Disposition::Caught | Disposition::Blocked) => true,
        Some(Disposition::Ignored | Disposition::Default) => awaits_signals(),
    }
}

/// A process that is looked at repeatedly: its files are held open from the first look on.
#[derive(Debug, Default)]
pub struct Watched {
    pid: i32,
    stat: Option<procfs::OpenFile>,
    call: Option<procfs::OpenFile>,
    /// It was last found in `rt_sigtimedwait`: then that is looked at first.
    has_awaited: bool,
}

impl Watched {
    /// As [`handles`]; false if /proc shows another namespace.
    pub fn handles(&mut self, pid: i32, signal: Signal) -> bool {
        if self.stat.is_none() || self.pid != pid {
            let stat = procfs::OpenFile::open(pid, "stat").filter(|_| procfs::shows_own_namespace());
            *self = Self { pid, stat, call: None, has_awaited: false };
        }
        if self.has_awaited && self.awaits_signals() {
            return true;
        }
        let mut text = procfs::buffer();
        let process = self.stat.as_ref().and_then(|file| stat::parse(file.read(&mut text)?));
        process.is_some_and(|process| {
            handles_as(&shown::without_zeros(process), signal, || self.awaits_signals())
        })
    }

    fn awaits_signals(&mut self) -> bool {
        if self.call.is_none() {
            self.call = procfs::OpenFile::open(self.pid, "syscall");
        }
        let mut text = procfs::buffer();
        let shown = self.call.as_ref().and_then(|file| file.read(&mut text));
        self.has_awaited = match shown {
            Some(text) => facts::call(text) == Call::AwaitsSignals,
            None => facts::awaits_signals(self.pid),
        };
        self.has_awaited
    }
}

/// The process that has this pid now.
#[must_use]
pub fn look_at(pid: i32) -> Option<Process> {
    stat::parse(procfs::stat(pid, &mut procfs::buffer())?).map(shown::without_zeros)
}

/// The present moment, in terms that processes can be compared with.
#[must_use]
pub fn moment() -> Moment {
    Moment { ticks: clock::boot_ticks(), last_pid: procfs::last_pid() }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn both_files_say_the_same() {
        let said = || {
            let own = look_at(own::id()).and_then(|own| own.signals).expect("Linux tells");
            let status = facts::status_of(own::id()).signals.expect("it is there");
            let differ = |&signal: &Signal| own.disposition(signal) != status.disposition(signal);
            (status, (1..32).filter_map(Signal::new).find(differ))
        };
        // A process that starts a thread, as the test's harness does, has all signals blocked for a moment.
        let (status, differing) = std::iter::repeat_with(said)
            .take(100)
            .find(|(_, differing)| differing.is_none())
            .unwrap_or_else(said);
        assert_eq!(differing, None);
        assert_eq!(status.disposition(Signal::PIPE), Disposition::Ignored, "as the standard library has it");
    }
}
