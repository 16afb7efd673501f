//! What an init adds to a command that does nothing: time, page faults, system calls.

use std::process::Command;
use std::time::Instant;
use std::{fs, io};

use nix::unistd::Pid;

use super::Trouble;
use crate::Bench;
use crate::candidates::Candidate;
use crate::process::{proc_file, succeed};
use crate::stats::{Samples, in_turns};
use crate::table::Line;
use crate::tools::plain_command;

/// Two commands one after the other, which is no less than an init and its command are; then one per candidate, and none for who is
/// no init here.
fn lanes(bench: &Bench) -> Vec<Vec<Command>> {
    let nothing = &bench.tools.nothing;
    let mut lanes = vec![vec![plain_command(nothing), plain_command(nothing)]];
    let one = |candidate: &Candidate| candidate.serves_anywhere().then(|| candidate.command([nothing]));
    lanes.extend(bench.candidates.iter().map(|candidate| one(candidate).into_iter().collect()));
    lanes
}

pub(crate) fn wall_time(bench: &Bench) -> Result<Vec<Line>, Trouble> {
    let mut lanes = lanes(bench);
    let mut samples = Samples::lanes(lanes.len());
    in_turns(bench.effort.rounds(3000), lanes.len(), |lane| {
        if lanes[lane].is_empty() {
            return Ok(());
        }
        let start = Instant::now();
        for command in &mut lanes[lane] {
            succeed(command, &bench.watchdog)?;
        }
        samples[lane].push(start.elapsed().as_secs_f64() * 1e6);
        Ok(())
    })?;
    Ok(vec![Line::above_floor("run `true`, µs (no init: two `true`)", samples)])
}

pub(crate) fn page_faults(bench: &Bench) -> Result<Vec<Line>, Trouble> {
    let mut lanes = lanes(bench);
    let mut samples = Samples::lanes(lanes.len());
    in_turns(bench.effort.rounds(100), lanes.len(), |lane| {
        if lanes[lane].is_empty() {
            return Ok(());
        }
        let before = faults_of_children()?;
        for command in &mut lanes[lane] {
            succeed(command, &bench.watchdog)?;
        }
        samples[lane].push((faults_of_children()? - before) as f64);
        Ok(())
    })?;
    Ok(vec![Line::above_floor("run `true`, page faults", samples)])
}

/// Page faults of all children that were reaped, and of those that they reaped.
fn faults_of_children() -> io::Result<u64> {
    let stat = proc_file(Pid::this(), "stat")?;
    // Fields 11 and 13 of proc_pid_stat(5); the first after the name is field 3.
    let mut fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').skip(11 - 3);
    let [minor, major] =
        [fields.next(), fields.nth(1)].map(|field| field.and_then(|field| field.parse().ok()));
    let faults = minor.zip(major).map(|(minor, major): (u64, u64)| minor + major);
    faults.ok_or_else(|| io::Error::other("/proc/self/stat has no page faults"))
}

pub(crate) fn system_calls(bench: &Bench) -> Result<Vec<Line>, Trouble> {
    let strace = bench.tools.program("strace")?;
    let log = bench.tools.scratch("calls");
    let lanes = lanes(bench);
    let mut samples = Samples::lanes(lanes.len());
    in_turns(bench.effort.rounds(10), lanes.len(), |lane| {
        if lanes[lane].is_empty() {
            return Ok(());
        }
        let mut calls = 0;
        for command in &lanes[lane] {
            let mut traced = plain_command(&strace);
            traced.args(["-f", "-qq", "-o"]).arg(&log).arg(command.get_program()).args(command.get_args());
            succeed(&mut traced, &bench.watchdog).map_err(|error| Trouble::Missing(error.to_string()))?;
            calls += fs::read_to_string(&log)?.lines().filter(|line| is_call(line)).count();
        }
        samples[lane].push(calls as f64);
        Ok(())
    })?;
    Ok(vec![Line::above_floor("run `true`, system calls", samples)])
}

/// Whether a line of strace's log, after the pid, is the beginning of a call: not a signal, an end or a resumption.
fn is_call(line: &str) -> bool {
    let event = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    event.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
}
