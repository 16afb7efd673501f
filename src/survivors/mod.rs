//! Who is there: the processes below this one, found in /proc, and who of them was asked to leave.
//!
//! [`Process::parse`] and [`Roster`] are pure; [`look`] does the reading.

#![forbid(unsafe_code)]

mod family;
mod process;
mod roster;

pub use process::{Name, Process};
pub use roster::Roster;

use crate::sys::{process as own, procfs};

/// The living descendants of this process, adopted ones included; `None` where /proc cannot tell.
///
/// Who was started from outside of the namespace (`kubectl exec`: its parent is 0) is no descendant, nor are its children.
#[must_use]
pub fn look() -> Option<Vec<Process>> {
    if !procfs::is_ours() {
        return None;
    }
    let mut everybody = Vec::new();
    let readable = procfs::each_process(|_, stat| everybody.extend(Process::parse(stat)));
    readable.then(|| family::descendants(everybody, own::id(), reread))
}

/// The same process as it is now; `None` where it is gone, or its number is somebody else's.
#[must_use]
pub fn look_again(known: &Process) -> Option<Process> {
    reread(known.pid).filter(|now| now.start == known.start)
}

/// Whether anybody but this process is in this process group.
#[must_use]
pub fn shares_group(group: i32) -> bool {
    let mut shared = false;
    procfs::each_process(|pid, stat| {
        shared |= pid != own::id() && Process::parse(stat).is_some_and(|process| process.group == group);
    });
    shared
}

fn reread(pid: i32) -> Option<Process> {
    Process::parse(procfs::stat(pid, &mut procfs::buffer())?)
}
