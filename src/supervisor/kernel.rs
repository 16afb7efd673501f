//! What the stopper and the recorder see of the processes, and do to them. Tests run both on a simulated kernel.

use std::fmt::Debug;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::plan::processes::facts::{Fact, Facts, Status};
use crate::plan::processes::ignoring::Closer;
use crate::plan::processes::signalled::Moment;
use crate::plan::processes::{Disposition, Process, Table};
use crate::processes::{self, Watched};
use crate::signal::{Signal, SignalSet};
use crate::sys::clock::{self, Clock};
use crate::sys::kill::{self, Pinned};
use crate::sys::{process as own, procfs, signals, tty};

/// The kernel, as far as a stop needs it.
pub(super) trait Kernel: Clone {
    /// A handle on a process, whatever becomes of its pid.
    type Pinned;
    /// A process that is looked at repeatedly.
    type Watched: Default + Debug;

    /// The time since drainit started.
    fn now(&self) -> Duration;
    fn own_pid(&self) -> i32;
    fn own_group(&self) -> i32;
    fn ticks_per_second(&self) -> u64;
    /// Lets this much time pass.
    fn pause(&self, time: Duration);

    /// Whether there is a /proc, and it shows our own namespace.
    fn has_own_proc(&self) -> bool;
    /// The living descendants, unless `goes_on` ends the look.
    fn table_while(&self, goes_on: &dyn Fn() -> bool) -> Option<Table>;
    /// For PID 1, after KILL to all: the processes that live, or have died of it.
    fn killed(&self) -> Option<Table>;
    /// The process with this pid.
    fn process(&self, pid: i32) -> Option<Process>;
    /// drainit's own children, including dead ones that were not reaped.
    fn own_children(&self) -> Option<Vec<i32>>;
    /// The children of a process that has one thread, including dead ones that were not reaped.
    fn children(&self, pid: i32) -> Option<Vec<i32>>;
    /// The pipe that drainit itself reads from.
    fn own_stdin(&self) -> Option<u64>;
    fn read(&self, process: &Process, fact: Fact, own_stdin: Option<u64>, facts: &mut Facts);
    fn status(&self, pid: i32) -> Status;
    fn closer(&self, process: &Process) -> Closer;
    /// The bytes that it has read and written.
    fn moved(&self, process: &Process) -> Option<u64>;
    fn disposition(&self, process: &Process, signal: Signal) -> Option<Disposition>;
    fn handles(&self, pid: i32, signal: Signal) -> bool;
    /// As `handles`, for a process that is looked at repeatedly.
    fn watched_handles(&self, watched: &mut Self::Watched, pid: i32, signal: Signal) -> bool;
    /// The present moment, in terms that processes can be compared with.
    fn moment(&self) -> Moment;
    fn group_of(&self, pid: i32) -> Option<i32>;

    fn pin(&self, pid: i32) -> Self::Pinned;
    fn send_pinned(&self, pinned: &Self::Pinned, signal: Signal) -> io::Result<()>;
    /// Whether a signal would be allowed; sends none.
    fn may_signal(&self, pid: i32) -> io::Result<()>;
    /// Signals a child that was not reaped.
    fn send(&self, pid: i32, signal: Signal) -> io::Result<()>;
    fn send_to_group(&self, group: i32, signal: Signal) -> io::Result<()>;
    /// Signals the group of a step: this signal is not one of the stop's.
    fn send_to_step(&self, group: i32, signal: Signal) -> io::Result<()>;
    /// Signals every process but drainit, which has to be PID 1.
    fn send_to_every_process(&self, signal: Signal) -> io::Result<()>;

    fn is_pid_one(&self) -> bool {
        self.own_pid() == 1
    }

    fn table(&self) -> Option<Table> {
        self.table_while(&|| true)
    }

    /// The same process as it is now; `None` if it is gone, even if another one has its pid.
    fn process_again(&self, known: &Process) -> Option<Process> {
        self.process(known.pid).filter(|now| now.is_same(known))
    }

    /// Whether an old bug is brought back, to show that the simulation finds it.
    #[cfg(test)]
    fn has_bug(&self, _: super::simulation::Bug) -> bool {
        false
    }
}

/// The real one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linux {
    pub(super) clock: Clock,
}

impl Kernel for Linux {
    type Pinned = Pinned;
    type Watched = Watched;

    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn own_pid(&self) -> i32 {
        own::id()
    }

    fn own_group(&self) -> i32 {
        tty::own_group()
    }

    fn ticks_per_second(&self) -> u64 {
        clock::ticks_per_second()
    }

    fn pause(&self, time: Duration) {
        let _ = signals::wait(SignalSet::default(), Some(time));
    }

    fn has_own_proc(&self) -> bool {
        procfs::shows_own_namespace()
    }

    fn table_while(&self, goes_on: &dyn Fn() -> bool) -> Option<Table> {
        processes::look_while(goes_on)
    }

    fn killed(&self) -> Option<Table> {
        processes::look_at_killed()
    }

    fn process(&self, pid: i32) -> Option<Process> {
        processes::look_at(pid)
    }

    fn own_children(&self) -> Option<Vec<i32>> {
        procfs::own_children()
    }

    fn children(&self, pid: i32) -> Option<Vec<i32>> {
        procfs::children(pid)
    }

    fn own_stdin(&self) -> Option<u64> {
        processes::facts::own_stdin()
    }

    fn read(&self, process: &Process, fact: Fact, own_stdin: Option<u64>, facts: &mut Facts) {
        processes::facts::read(process, fact, own_stdin, facts);
    }

    fn status(&self, pid: i32) -> Status {
        processes::facts::status_of(pid)
    }

    fn closer(&self, process: &Process) -> Closer {
        processes::facts::closer(process)
    }

    fn moved(&self, process: &Process) -> Option<u64> {
        processes::facts::moved_by(process)
    }

    fn disposition(&self, process: &Process, signal: Signal) -> Option<Disposition> {
        processes::disposition(process, signal)
    }

    fn handles(&self, pid: i32, signal: Signal) -> bool {
        processes::handles(pid, signal)
    }

    fn watched_handles(&self, watched: &mut Watched, pid: i32, signal: Signal) -> bool {
        watched.handles(pid, signal)
    }

    fn moment(&self) -> Moment {
        processes::moment()
    }

    fn group_of(&self, pid: i32) -> Option<i32> {
        own::group_of(pid)
    }

    fn pin(&self, pid: i32) -> Pinned {
        Pinned::new(pid)
    }

    fn send_pinned(&self, pinned: &Pinned, signal: Signal) -> io::Result<()> {
        note(pinned.send(signal))
    }

    fn may_signal(&self, pid: i32) -> io::Result<()> {
        kill::may_signal(pid)
    }

    fn send(&self, pid: i32, signal: Signal) -> io::Result<()> {
        note(kill::send(pid, signal))
    }

    fn send_to_group(&self, group: i32, signal: Signal) -> io::Result<()> {
        note(kill::send_to_group(group, signal))
    }

    fn send_to_step(&self, group: i32, signal: Signal) -> io::Result<()> {
        kill::send_to_group(group, signal)
    }

    fn send_to_every_process(&self, signal: Signal) -> io::Result<()> {
        note(kill::send_to_namespace(signal))
    }
}

/// Whether a signal was sent since that was last forgotten.
static HAS_SENT: AtomicBool = AtomicBool::new(false);

fn note(sent: io::Result<()>) -> io::Result<()> {
    if sent.is_ok() {
        HAS_SENT.store(true, Ordering::Relaxed);
    }
    sent
}

pub(super) fn has_sent() -> bool {
    HAS_SENT.load(Ordering::Relaxed)
}

pub(super) fn forget_sent() {
    HAS_SENT.store(false, Ordering::Relaxed);
}
