//! What a reader has to know about a run to judge it.

use std::env::{self, consts::ARCH};
use std::fmt::Write;
use std::{fs, thread};

use crate::candidates::Candidate;

/// The lines below the table: machine, versions and command.
pub(crate) fn describe(candidates: &[Candidate]) -> String {
    let mut text = format!("Median (quartiles). Linux {}, {}.\n\n", kernel(), processor());
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
    let cores = thread::available_parallelism().map_or(0, usize::from);
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
