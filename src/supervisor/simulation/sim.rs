//! The simulated kernel as the stopper and the recorder see it.

use std::cell::{RefCell, RefMut};
use std::fmt::Display;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::Bug;
use super::spec::Reaction;
use super::world::{OWN, World, gone, ticks};
use crate::outcome::Ended;
use crate::plan::processes::facts::{Call, Fact, Facts, Outputs, Status, Stdin};
use crate::plan::processes::ignoring::Closer;
use crate::plan::processes::signalled::Moment;
use crate::plan::processes::{Disposition, Process, Table, tree};
use crate::signal::Signal;
use crate::supervisor::kernel::Kernel;

/// Access to the world, as a kernel.
#[derive(Clone, Debug)]
pub(in crate::supervisor) struct Sim {
    world: Rc<RefCell<World>>,
    bug: Option<Bug>,
    /// What drainit has sent, in words: `TERM to 102`, `KILL to group 101`.
    sent: Rc<RefCell<Vec<String>>>,
}

impl Sim {
    pub(super) fn new(world: World, bug: Option<Bug>) -> Self {
        Self { world: Rc::new(RefCell::new(world)), bug, sent: Rc::default() }
    }

    /// What drainit has sent since the last time.
    pub(in crate::supervisor) fn take_sent(&self) -> Vec<String> {
        self.sent.take()
    }

    /// This process ends, and is reaped.
    pub(in crate::supervisor) fn end(&self, pid: i32) {
        let mut world = self.world();
        let id = world.find(pid).expect("it is there");
        world.end(id, Ended::Exited(0));
        if !world.procs[id].is_reaped {
            world.reap(id);
        }
    }

    fn note_sent(&self, signal: Signal, to: impl Display) {
        self.sent.borrow_mut().push(format!("{signal} to {to}"));
    }

    pub(super) fn world(&self) -> RefMut<'_, World> {
        self.world.borrow_mut()
    }

    /// The world, after a moment in which it goes on.
    fn call(&self) -> RefMut<'_, World> {
        let mut world = self.world();
        world.call();
        world
    }

    fn call_of(&self, pid: i32) -> Call {
        let world = self.call();
        match world.find(pid).map(|id| world.procs[id].reaction) {
            Some(Reaction::Takes(_)) => Call::AwaitsSignals,
            Some(_) => Call::Other,
            None => Call::Hidden,
        }
    }
}

impl Kernel for Sim {
    /// The index of a process in the world.
    type Pinned = Option<usize>;
    type Watched = ();

    /// No two readings of the clock are the same.
    fn now(&self) -> Duration {
        let mut world = self.world();
        world.now += Duration::from_nanos(1);
        world.now
    }

    fn own_pid(&self) -> i32 {
        self.world().own_pid()
    }

    fn own_group(&self) -> i32 {
        self.world().own_pid()
    }

    fn ticks_per_second(&self) -> u64 {
        100
    }

    fn pause(&self, time: Duration) {
        let mut world = self.world();
        let until = world.now + time;
        world.advance(until);
    }

    fn has_own_proc(&self) -> bool {
        !self.call().look_fails()
    }

    fn table_while(&self, goes_on: &dyn Fn() -> bool) -> Option<Table> {
        if self.call().look_fails() {
            return None;
        }
        // Processes come and go while they are read, one after the other.
        let all = self.world().all();
        let mut seen = Vec::new();
        for id in all {
            let world = self.call();
            if !world.procs[id].is_reaped {
                seen.push(world.shown(id));
            }
            drop(world);
            if !goes_on() {
                self.world().watch.has_failed = true;
                return None;
            }
        }
        let world = self.world();
        let again = |pid| world.find(pid).map(|id| world.shown(id));
        let mut found = tree::descendants(seen, world.own_pid(), again);
        found.retain(Process::is_alive);
        Some(Table::new(found))
    }

    fn killed(&self) -> Option<Table> {
        let world = self.world();
        let all = world.all().into_iter().filter(|&id| id != OWN).map(|id| world.shown(id));
        Some(Table::new(all.filter(|process| process.is_alive() || process.has_died_of_kill).collect()))
    }

    fn process(&self, pid: i32) -> Option<Process> {
        let world = self.call();
        world.find(pid).map(|id| world.shown(id))
    }

    fn own_children(&self) -> Option<Vec<i32>> {
        let mut world = self.call();
        if world.list_fails() {
            return None;
        }
        let is_child = |&id: &usize| world.procs[id].parent == Some(OWN);
        Some(world.all().into_iter().filter(is_child).map(|id| world.procs[id].pid).collect())
    }

    fn children(&self, _: i32) -> Option<Vec<i32>> {
        None
    }

    fn own_stdin(&self) -> Option<u64> {
        None
    }

    fn read(&self, process: &Process, fact: Fact, _: Option<u64>, facts: &mut Facts) {
        match fact {
            Fact::Status => facts.status = Some(self.status(process.pid)),
            Fact::Call => facts.call = Some(self.call_of(process.pid)),
            Fact::Shell => facts.shell = Some(None),
            Fact::Stdin => facts.stdin = Some(Stdin::ReadOnlyNull),
            Fact::Outputs => facts.outputs = Some(Outputs::default()),
        }
    }

    fn status(&self, pid: i32) -> Status {
        let world = self.call();
        let Some(id) = world.find(pid) else { return Status::default() };
        Status {
            signals: world.signals_of(id),
            is_nested_init: false,
            pending: world.pending_of(id),
            switches: Some(world.switches_of(id)),
        }
    }

    fn closer(&self, process: &Process) -> Closer {
        Closer { status: self.status(process.pid), call: self.call_of(process.pid), moved: None }
    }

    fn moved(&self, _: &Process) -> Option<u64> {
        None
    }

    fn disposition(&self, process: &Process, signal: Signal) -> Option<Disposition> {
        process.disposition(signal)
    }

    fn handles(&self, pid: i32, signal: Signal) -> bool {
        let seen = self.process(pid).and_then(|process| process.disposition(signal));
        seen == Some(Disposition::Caught) || self.call_of(pid) == Call::AwaitsSignals
    }

    fn watched_handles(&self, (): &mut (), pid: i32, signal: Signal) -> bool {
        self.handles(pid, signal)
    }

    fn moment(&self) -> Moment {
        let world = self.world();
        Moment { ticks: ticks(world.now), last_pid: Some(world.last_pid()) }
    }

    fn group_of(&self, pid: i32) -> Option<i32> {
        let found = {
            let world = self.call();
            world.find(pid).map(|id| world.procs[id].group)
        };
        // What was read may be out of date.
        drop(self.call());
        found
    }

    fn pin(&self, pid: i32) -> Self::Pinned {
        self.call().find(pid)
    }

    fn send_pinned(&self, pinned: &Self::Pinned, signal: Signal) -> io::Result<()> {
        let mut world = self.call();
        let Some(id) = pinned.filter(|&id| !world.procs[id].is_reaped) else { return Err(gone()) };
        self.note_sent(signal, world.procs[id].pid);
        world.send(id, signal)
    }

    fn may_signal(&self, pid: i32) -> io::Result<()> {
        let world = self.call();
        let id = world.find(pid).ok_or_else(gone)?;
        if world.procs[id].refuses { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
    }

    fn send(&self, pid: i32, signal: Signal) -> io::Result<()> {
        self.note_sent(signal, pid);
        self.world().send_to_pid(pid, signal)
    }

    fn send_to_group(&self, group: i32, signal: Signal) -> io::Result<()> {
        self.note_sent(signal, format_args!("group {group}"));
        let mut world = self.world();
        let sent = world.send_to_all(|proc| proc.group == group, signal);
        if sent.is_ok() {
            world.watch.note_group_reached();
        }
        sent
    }

    fn send_to_step(&self, group: i32, signal: Signal) -> io::Result<()> {
        self.send_to_group(group, signal)
    }

    fn send_to_every_process(&self, signal: Signal) -> io::Result<()> {
        self.note_sent(signal, "all");
        let mut world = self.world();
        assert!(world.is_pid_one, "only PID 1 may");
        world.watch.is_to_every_process = true;
        let sent = world.send_to_all(|_| true, signal);
        world.watch.is_to_every_process = false;
        sent
    }

    fn has_bug(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }
}
