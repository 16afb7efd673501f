//! What an init adds to a command that does nothing: time, page faults, system calls.

use std::process::{Command, Stdio};
use std::time::Instant;
use std::{fs, io};

use crate::bench::Bench;
use crate::candidates::Candidate;
use crate::process::succeed;
use crate::stats::{Samples, in_turns};
use crate::table::Line;
use crate::tools::plain_command;
use crate::trouble::Trouble;

/// Two commands one after the other, which is no less than an init and its command are; then one per candidate, and none for those that are
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

/// Of the init and of its child until that has become the command, which counts them.
pub(crate) fn page_faults(bench: &Bench) -> Result<Vec<Line>, Trouble> {
    let helper = |whose: &'static str| [bench.tools.helper.as_os_str(), "faults".as_ref(), whose.as_ref()];
    let alone = helper("own");
    let mut bare = plain_command(alone[0]);
    bare.args(&alone[1..]);
    let one = |candidate: &Candidate| candidate.serves_anywhere().then(|| candidate.command(helper("both")));
    let mut lanes = vec![Some(bare)];
    lanes.extend(bench.candidates.iter().map(one));
    let mut samples = Samples::lanes(lanes.len());
    in_turns(bench.effort.rounds(100), lanes.len(), |lane| {
        let Some(command) = &mut lanes[lane] else { return Ok(()) };
        let output = command.stdout(Stdio::piped()).output()?;
        let count = String::from_utf8_lossy(&output.stdout).trim().parse();
        samples[lane].push(count.map_err(|_| io::Error::other(format!("no page faults: {output:?}")))?);
        Ok(())
    })?;
    Ok(vec![Line::above_floor("page faults until the command runs (no init: its own)", samples)])
}

/// Of the init and of its child until that becomes the command.
pub(crate) fn system_calls(bench: &Bench) -> Result<Vec<Line>, Trouble> {
    let strace = bench.tools.program("strace")?;
    let log = bench.tools.scratch("calls");
    let begins_it = format!("execve(\"{}\"", bench.tools.nothing.display());
    let lanes = lanes(bench);
    let mut samples = Samples::lanes(lanes.len());
    // No init takes none.
    in_turns(bench.effort.rounds(10), lanes.len(), |lane| {
        let (1.., [command]) = (lane, lanes[lane].as_slice()) else { return Ok(()) };
        let mut traced = plain_command(&strace);
        traced.args(["-f", "-qq", "-o"]).arg(&log).arg(command.get_program()).args(command.get_args());
        succeed(&mut traced, &bench.watchdog).map_err(|error| Trouble::Missing(error.to_string()))?;
        let calls = fs::read_to_string(&log)?;
        let mut calls = calls.lines().filter(|line| is_call(line));
        let before = calls.position(|call| call.contains(&begins_it));
        samples[lane].push(before.ok_or_else(|| io::Error::other("the command did not begin"))? as f64);
        Ok(())
    })?;
    Ok(vec![Line::above_floor("system calls until the command's exec", samples)])
}

/// Whether a line of strace's log, after the pid, is the beginning of a call: not a signal, an end or a resumption.
fn is_call(line: &str) -> bool {
    let event = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    event.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
}
