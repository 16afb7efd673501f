//! Where it runs, and what a reader has to know about that.

use std::env::{self, consts::ARCH};
use std::fmt::Write;
use std::fs;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::candidates::Candidate;

/// Keeps this thread, and all that it will start, on the last processor that it may use: the first has most of the
/// interrupts.
pub(crate) fn stay_on_one_processor() -> nix::Result<()> {
    let this_thread = Pid::from_raw(0);
    let allowed = sched_getaffinity(this_thread)?;
    let last = (0..CpuSet::count()).rev().find(|&cpu| allowed.is_set(cpu) == Ok(true));
    let mut one = CpuSet::new();
    one.set(last.unwrap_or_default())?;
    sched_setaffinity(this_thread, &one)
}

/// The lines below the table: machine, versions and command.
pub(crate) fn describe(candidates: &[Candidate], is_in_cgroup: bool) -> String {
    let group =
        if is_in_cgroup { "in one cgroup" } else { "in no cgroup, so that sessions are scheduled apart" };
    let mut text = format!(
        "Median (quartiles), all on one processor and {group}. Linux {}, {}.\n\n",
        kernel(),
        processor()
    );
    for candidate in candidates {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "- {}: {}", candidate.usage(), candidate.version);
    }
    let _ = writeln!(text, "\nMeasured by `{}`.", command());
    text
}

fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {ARCH}", release.trim())
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    format!("{}, {cores} cores", model.map_or("unknown processor", |(_, model)| model))
}

/// The command line that repeats the run; cargo added the `--bench` itself.
fn command() -> String {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.as_slice() {
        [] => "cargo bench --bench peers".into(),
        some => format!("cargo bench --bench peers -- {}", some.join(" ")),
    }
}
