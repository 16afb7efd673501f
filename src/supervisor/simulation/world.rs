//! The simulated kernel: processes, signals, and time that passes only when something waits.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::Duration;

use super::dice::Dice;
use super::spec::{Act, Faults, Life, Reaction, Spec};
use super::watch::Watch;
use crate::outcome::Ended;
use crate::plan::processes::{Process, ProcessName, SignalState};
use crate::signal::{Signal, SignalSet};

/// drainit's own index among the processes.
pub(super) const OWN: usize = 0;
/// A pid is not assigned again before this time.
const REST: Duration = Duration::from_millis(50);
/// Every call takes some time.
const LEAST: Duration = Duration::from_micros(1);
const TICK: u128 = 10;
const EAGAIN: i32 = 11;
const EPERM: i32 = 1;
const ESRCH: i32 = 3;

#[derive(Clone, Debug)]
pub(super) struct Proc {
    pub(super) pid: i32,
    pub(super) born: Duration,
    /// `None` is a parent outside.
    pub(super) parent: Option<usize>,
    pub(super) parent_since: Duration,
    pub(super) group: i32,
    pub(super) group_since: Duration,
    pub(super) is_foreign: bool,
    pub(super) reaction: Reaction,
    pub(super) reaction_since: Duration,
    pub(super) refuses: bool,
    pub(super) ended: Option<(Duration, Ended)>,
    pub(super) is_reaped: bool,
    /// It got a stop signal from another process.
    pub(super) was_told: bool,
    /// drainit has sent it KILL.
    pub(super) was_killed: bool,
    is_stopped: bool,
    is_leaving: bool,
    pending: Vec<Signal>,
    switches: u64,
    /// How many programs it has been before this one.
    programs: u32,
    acts: Vec<Act>,
}

#[derive(Clone, Copy, Debug)]
enum Happening {
    Act { of: usize, at: usize },
    Deliver { to: usize, signal: Signal },
    Exit { of: usize },
}

/// The simulated kernel.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Duration,
    pub(super) procs: Vec<Proc>,
    pub(super) watch: Watch,
    pub(super) is_pid_one: bool,
    /// /proc shows nothing of signals.
    pub(super) hides_signals: bool,
    by_pid: BTreeMap<i32, usize>,
    queue: BTreeMap<(Duration, u64), Happening>,
    sequence: u64,
    free: VecDeque<(i32, Duration)>,
    last_pid: i32,
    highest_pid: i32,
    looks: Dice<bool>,
    lists: Dice<bool>,
    latencies: Dice<Duration>,
    calls: Dice<Duration>,
    sends: Dice<bool>,
    delays: Dice<Duration>,
    reuses: Dice<bool>,
}

impl Proc {
    /// It has started another program in its own place.
    pub(super) fn has_become_another(&self) -> bool {
        0 < self.programs
    }
}

impl World {
    /// The world of this specification, in which main is about to run; returns main's pid.
    pub(super) fn new(spec: &Spec) -> (Self, i32) {
        let Faults { looks, lists, latencies, calls, sends, delays, reuses } = &spec.faults;
        let own_pid = if spec.is_pid_one { 1 } else { 100 };
        let mut world = Self {
            now: Duration::ZERO,
            procs: Vec::new(),
            watch: Watch::default(),
            is_pid_one: spec.is_pid_one,
            hides_signals: false,
            by_pid: BTreeMap::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            free: VecDeque::new(),
            last_pid: own_pid - 1,
            highest_pid: own_pid - 1,
            looks: Dice::new(looks),
            lists: Dice::new(lists),
            latencies: Dice::new(latencies),
            calls: Dice::new(calls),
            sends: Dice::new(sends),
            delays: Dice::new(delays),
            reuses: Dice::new(reuses),
        };
        let plain = Life {
            reaction: Reaction::Stays,
            leads_group: true,
            refuses: false,
            acts: Vec::new(),
            children: Vec::new(),
        };
        world.spawn(None, &plain);
        for _ in 0..spec.foreign {
            let foreign = world.spawn(None, &plain);
            world.procs[foreign].is_foreign = true;
        }
        let main = world.spawn(Some(OWN), &Life { leads_group: true, ..spec.main.clone() });
        let pid = world.procs[main].pid;
        (world, pid)
    }

    pub(super) fn own_pid(&self) -> i32 {
        self.procs[OWN].pid
    }

    /// Lets time pass; what is due happens.
    pub(super) fn advance(&mut self, to: Duration) {
        while let Some((&(at, sequence), &happening)) = self.queue.first_key_value() {
            if to < at {
                break;
            }
            self.queue.remove(&(at, sequence));
            self.now = self.now.max(at);
            self.happen(happening);
        }
        self.now = self.now.max(to);
    }

    /// When something happens next.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.queue.first_key_value().map(|(&(at, _), _)| at)
    }

    /// A call into the kernel takes its time.
    pub(super) fn call(&mut self) {
        let took = self.calls.next().max(LEAST);
        self.watch.slack += took;
        self.advance(self.now + took);
    }

    /// How much later than intended drainit wakes up.
    pub(super) fn delay(&mut self) -> Duration {
        self.delays.next()
    }

    fn after(&mut self, time: Duration, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((self.now + time, self.sequence), happening);
    }

    fn spawn(&mut self, parent: Option<usize>, life: &Life) -> usize {
        let id = self.procs.len();
        let pid = self.new_pid();
        let group = parent.map_or(pid, |parent| self.procs[parent].group);
        self.by_pid.insert(pid, id);
        self.procs.push(Proc {
            pid,
            born: self.now,
            parent,
            parent_since: self.now,
            group: if life.leads_group { pid } else { group },
            group_since: self.now,
            is_foreign: parent.is_some_and(|parent| self.procs[parent].is_foreign),
            reaction: life.reaction,
            reaction_since: self.now,
            refuses: life.refuses && !self.is_pid_one,
            ended: None,
            is_reaped: false,
            was_told: false,
            was_killed: false,
            is_stopped: false,
            is_leaving: false,
            pending: Vec::new(),
            switches: 1,
            programs: 0,
            acts: life.acts.iter().map(|(_, act)| act.clone()).collect(),
        });
        for (at, (time, _)) in life.acts.iter().enumerate() {
            self.after(*time, Happening::Act { of: id, at });
        }
        for child in &life.children {
            self.spawn(Some(id), child);
        }
        id
    }

    fn new_pid(&mut self) -> i32 {
        let rested = self.free.front().is_some_and(|&(_, since)| since + REST <= self.now);
        let reused = if rested && self.reuses.next() { self.free.pop_front() } else { None };
        self.last_pid = reused.map_or_else(
            || {
                self.highest_pid += 1;
                self.highest_pid
            },
            |(pid, _)| pid,
        );
        self.last_pid
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Act { of, at } => {
                let act = self.procs[of].acts[at].clone();
                if self.is_alive(of) && !self.procs[of].is_stopped {
                    self.procs[of].switches += 1;
                    self.act(of, act);
                }
            }
            Happening::Deliver { to, signal } => self.deliver(to, signal),
            Happening::Exit { of } => self.end(of, Ended::Exited(0)),
        }
    }

    fn act(&mut self, of: usize, act: Act) {
        match act {
            Act::Exit(code) => self.end(of, Ended::Exited(code)),
            Act::Fork(life) => _ = self.spawn(Some(of), &life),
            Act::Daemonize(life) => {
                self.spawn(Some(of), &Life { leads_group: true, ..*life });
                self.end(of, Ended::Exited(0));
            }
            // A process that leads a group already joins the group of a child that has come and gone.
            Act::LeadGroup => {
                let pid = self.procs[of].pid;
                self.procs[of].group_since = self.now;
                self.procs[of].group = if self.procs[of].group == pid { self.new_pid() } else { pid };
            }
            Act::Exec(reaction) => {
                self.procs[of].programs += 1;
                self.react(of, reaction);
            }
            Act::Stop => self.procs[of].is_stopped = true,
        }
    }

    fn react(&mut self, of: usize, reaction: Reaction) {
        self.procs[of].reaction = reaction;
        self.procs[of].reaction_since = self.now;
    }

    pub(super) fn is_alive(&self, id: usize) -> bool {
        self.procs[id].ended.is_none()
    }

    fn living_children(&self, of: usize) -> Vec<usize> {
        (0..self.procs.len()).filter(|&id| self.procs[id].parent == Some(of) && self.is_alive(id)).collect()
    }

    pub(super) fn end(&mut self, id: usize, ended: Ended) {
        if !self.is_alive(id) {
            return;
        }
        self.procs[id].ended = Some((self.now, ended));
        for child in self.living_children(id) {
            self.procs[child].parent = Some(OWN).filter(|_| !self.procs[id].is_foreign);
            self.procs[child].parent_since = self.now;
        }
        if self.procs[id].parent == Some(OWN) {
            return;
        }
        self.reap(id);
        let Some(parent) = self.procs[id].parent else { return };
        let gathers = self.procs[parent].is_leaving && self.procs[parent].reaction == Reaction::Gathers;
        if gathers && self.living_children(parent).is_empty() {
            self.end(parent, Ended::Exited(0));
        }
    }

    pub(super) fn reap(&mut self, id: usize) {
        self.procs[id].is_reaped = true;
        let pid = self.procs[id].pid;
        self.by_pid.remove(&pid);
        self.free.push_back((pid, self.now));
    }

    fn deliver(&mut self, to: usize, signal: Signal) {
        if !self.is_alive(to) || !self.procs[to].pending.contains(&signal) {
            return;
        }
        if self.procs[to].is_stopped && signal != Signal::KILL {
            return;
        }
        self.procs[to].pending.retain(|&pending| pending != signal);
        if signal == Signal::KILL {
            return self.end(to, Ended::Killed(signal));
        }
        let reaction = self.procs[to].reaction;
        if reaction != Reaction::Ignores {
            self.procs[to].switches += 1;
        }
        match reaction {
            Reaction::Dies => self.end(to, Ended::Killed(signal)),
            Reaction::Ignores | Reaction::Stays => {}
            Reaction::Leaves(_) | Reaction::Takes(_) | Reaction::Relays(_) | Reaction::CleansUp(_)
                if self.procs[to].is_leaving => {}
            Reaction::Leaves(time) | Reaction::Takes(time) => self.leave(to, time),
            Reaction::Relays(time) => {
                self.relay(to, signal);
                self.leave(to, time);
            }
            Reaction::Gathers => {
                self.relay(to, signal);
                self.procs[to].is_leaving = true;
                if self.living_children(to).is_empty() {
                    self.end(to, Ended::Exited(0));
                }
            }
            Reaction::CleansUp(time) => {
                let acts = vec![(time, Act::Exit(0))];
                let life = Life {
                    reaction: Reaction::Dies,
                    leads_group: false,
                    refuses: false,
                    acts,
                    children: Vec::new(),
                };
                self.spawn(Some(to), &life);
                self.leave(to, Duration::from_millis(1));
            }
            Reaction::Once(time) => {
                self.react(to, Reaction::Dies);
                self.leave(to, time);
            }
        }
    }

    fn leave(&mut self, id: usize, time: Duration) {
        self.procs[id].is_leaving = true;
        self.after(time, Happening::Exit { of: id });
    }

    fn relay(&mut self, from: usize, signal: Signal) {
        for child in self.living_children(from) {
            self.procs[child].was_told = true;
            self.queue_signal(child, signal);
        }
    }

    fn queue_signal(&mut self, to: usize, signal: Signal) {
        match signal {
            Signal::STOP => self.procs[to].is_stopped = true,
            Signal::CONT => {
                self.procs[to].is_stopped = false;
                for pending in self.procs[to].pending.clone() {
                    self.after(Duration::ZERO, Happening::Deliver { to, signal: pending });
                }
            }
            _ => {
                if !self.procs[to].pending.contains(&signal) {
                    self.procs[to].pending.push(signal);
                    let latency = self.latencies.next();
                    self.after(latency, Happening::Deliver { to, signal });
                }
            }
        }
    }

    /// Whether a signal is refused for the moment.
    fn send_fails(&mut self, signal: Signal) -> bool {
        let fails = !matches!(signal, Signal::KILL | Signal::STOP | Signal::CONT) && self.sends.next();
        self.watch.has_failed |= fails;
        fails
    }

    /// drainit sends a signal to a process.
    pub(super) fn send(&mut self, to: usize, signal: Signal) -> io::Result<()> {
        if self.send_fails(signal) {
            return Err(io::Error::from_raw_os_error(EAGAIN));
        }
        self.send_surely(to, signal)
    }

    fn send_surely(&mut self, to: usize, signal: Signal) -> io::Result<()> {
        if self.procs[to].refuses {
            self.watch.note_refused(to);
            return Err(io::Error::from_raw_os_error(EPERM));
        }
        self.note_sent(to, signal);
        if self.is_alive(to) {
            self.procs[to].was_killed |= signal == Signal::KILL;
            self.queue_signal(to, signal);
        }
        Ok(())
    }

    /// Sends to a pid, which has to be a child's.
    pub(super) fn send_to_pid(&mut self, pid: i32, signal: Signal) -> io::Result<()> {
        match self.by_pid.get(&pid).copied() {
            Some(id) if self.procs[id].parent == Some(OWN) => self.send(id, signal),
            found => {
                self.watch.violation(format!("{signal} to {pid}, which is not drainit's child: {found:?}"));
                Err(gone())
            }
        }
    }

    pub(super) fn send_to_all(&mut self, is_meant: impl Fn(&Proc) -> bool, signal: Signal) -> io::Result<()> {
        let ids: Vec<usize> =
            self.by_pid.values().copied().filter(|&id| id != OWN && is_meant(&self.procs[id])).collect();
        if !ids.is_empty() && self.send_fails(signal) {
            return Err(io::Error::from_raw_os_error(EAGAIN));
        }
        let mut sent = Err(gone());
        for id in ids {
            let result = self.send_surely(id, signal);
            sent = if sent.is_ok() { sent } else { result };
        }
        sent
    }

    pub(super) fn find(&self, pid: i32) -> Option<usize> {
        self.by_pid.get(&pid).copied()
    }

    /// The indices of all processes that are there, in order of their pids.
    pub(super) fn all(&self) -> Vec<usize> {
        self.by_pid.values().copied().collect()
    }

    pub(super) fn look_fails(&mut self) -> bool {
        let fails = self.looks.next();
        self.watch.has_failed |= fails;
        fails
    }

    pub(super) fn list_fails(&mut self) -> bool {
        let fails = self.lists.next();
        self.watch.has_list_failed |= fails;
        fails
    }

    pub(super) fn last_pid(&self) -> i32 {
        self.last_pid
    }

    pub(super) fn signals_of(&self, id: usize) -> Option<SignalState> {
        (!self.hides_signals).then(|| self.procs[id].reaction.signals())
    }

    pub(super) fn pending_of(&self, id: usize) -> SignalSet {
        self.procs[id].pending.iter().fold(SignalSet::default(), |set, &signal| set.with(signal))
    }

    pub(super) fn switches_of(&self, id: usize) -> u64 {
        self.procs[id].switches
    }

    /// A process as /proc shows it.
    pub(super) fn shown(&self, id: usize) -> Process {
        let proc = &self.procs[id];
        let state = match proc.ended {
            Some(_) => b'Z',
            None if proc.is_stopped => b'T',
            None => b'S',
        };
        Process {
            pid: proc.pid,
            parent: proc.parent.map_or(0, |parent| self.procs[parent].pid),
            group: proc.group,
            start: ticks(proc.born),
            state,
            threads: 1,
            cpu: 0,
            name: ProcessName::new(format!("p{id}.{}", proc.programs).as_bytes()),
            has_died_of_kill: proc.ended.is_some_and(|(_, ended)| ended == Ended::Killed(Signal::KILL)),
            signals: self.signals_of(id),
        }
    }
}

pub(super) fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis() / TICK).unwrap_or(u64::MAX)
}

pub(super) fn gone() -> io::Error {
    io::Error::from_raw_os_error(ESRCH)
}
