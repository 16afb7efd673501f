//! What a stop takes if there are many processes.

use std::io;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};

use super::orphans::cpu_ns;
use crate::bench::Bench;
use crate::candidates::{Candidate, Side};
use crate::process::Running;
use crate::stats::{Effort, Samples, in_turns};
use crate::table::Line;
use crate::trouble::Trouble;

/// How many children, and how often that is measured.
const FAMILIES: [(u32, usize); 3] = [(100, 30), (1_000, 8), (10_000, 2)];
/// In a quick run there are no more.
const FEWER: u32 = 1_000;

/// From TERM to PID 1 until the last process of its namespace is gone. Every process dies of TERM at once; the peers exit with the
/// command, and the kernel kills and reaps what is left then, while drainit finds all processes, waits and reaps.
pub(crate) fn time(bench: &Bench) -> Result<Vec<Line>, Trouble> {
    let namespace = bench.tools.new_pid_namespace(&bench.watchdog)?;
    let mut lines = Vec::new();
    let most = at_most(10_000, bench);
    for (count, rounds) in FAMILIES.into_iter().filter(|(count, _)| *count <= most) {
        let what = format!("stop of {count} children as PID 1, ms from TERM until all are gone");
        let mut samples = Samples::lanes(bench.candidates.len());
        let measured = in_turns(bench.effort.rounds(rounds), bench.candidates.len(), |lane| {
            let running = start("children", count, &bench.candidates[lane], &namespace, bench)?;
            let time = running.time_to_end(|init| Ok(kill(init, Signal::SIGTERM)?))?;
            samples[lane].push(time.as_secs_f64() * 1e3);
            Ok(())
        });
        lines.push(match measured {
            Ok(()) => Line::new(what, samples),
            Err(Trouble::Missing(why)) => Line::not_measured(&what, &why),
            Err(failed) => return Err(failed),
        });
    }
    Ok(lines)
}

/// `count`, or fewer in a quick run: so many processes are a burden to others on the machine.
fn at_most(count: u32, bench: &Bench) -> u32 {
    match bench.effort {
        Effort::Full => count,
        Effort::Quick => count.min(FEWER),
    }
}

const FEW: u32 = 10;

/// What one process more costs drainit when it finds out which processes there are, and what each does about the signal. It does that just
/// before it signals them. The peers do not look.
pub(crate) fn scan(bench: &Bench) -> Result<Vec<Line>, Trouble> {
    let namespace = bench.tools.new_pid_namespace(&bench.watchdog)?;
    let many = at_most(10_000, bench);
    let mut samples = Samples::lanes(bench.candidates.len());
    in_turns(bench.effort.rounds(3), bench.candidates.len(), |lane| {
        let candidate = &bench.candidates[lane];
        if candidate.side == Side::Ours {
            let of_few = cpu_until_signalled(FEW, candidate, &namespace, bench)?;
            let of_many = cpu_until_signalled(many, candidate, &namespace, bench)?;
            samples[lane].push(of_many.saturating_sub(of_few) as f64 / 1e3 / f64::from(many - FEW));
        }
        Ok(())
    })?;
    Ok(vec![Line::new(format!("a look at {many} processes, µs of CPU per process"), samples)])
}

/// The init's CPU time from TERM until its command has it.
fn cpu_until_signalled(
    count: u32,
    candidate: &Candidate,
    namespace: &[PathBuf],
    bench: &Bench,
) -> Result<u64, Trouble> {
    let mut running = start("deaf", count, candidate, namespace, bench)?;
    let before = cpu_ns(running.init)?;
    running.time_to_answer(|init| Ok(kill(init, Signal::SIGTERM)?))?;
    let spent = cpu_ns(running.init)? - before;
    running.end()?;
    Ok(spent)
}

fn start<'a>(
    mode: &str,
    count: u32,
    candidate: &Candidate,
    namespace: &[PathBuf],
    bench: &'a Bench,
) -> Result<Running<'a>, Trouble> {
    let number = count.to_string();
    let helper = [bench.tools.helper.as_os_str(), mode.as_ref(), number.as_ref()];
    match Running::start_wrapped(&mut candidate.command_after(namespace, helper), &bench.watchdog) {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            Err(Trouble::Missing(format!("this machine does not allow {count} processes")))
        }
        started => Ok(started?),
    }
}
