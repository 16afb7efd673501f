//! Processes for tests.

use super::{Moment, Process};

pub(super) const MAIN: i32 = 7;
pub(super) const ASKED_AT: u64 = 1_000;

pub(super) fn at(ticks: u64) -> Moment {
    Moment { ticks, last_pid: None }
}

pub(super) fn process(pid: i32, parent: i32, group: i32, start: u64) -> Process {
    let stat = format!("{pid} (x) S {parent} {group} 1 0 0 0 0 0 0 0 0 0 0 0 20 0 1 0 {start}");
    Process::parse(stat.as_bytes()).expect("a good line")
}
