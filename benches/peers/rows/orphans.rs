//! What the orphans of others cost an init that is PID 1.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::Pid;

use crate::bench::Bench;
use crate::candidates::Candidate;
use crate::process::{Running, children_of, eventually, proc_file};
use crate::stats::{Samples, in_turns};
use crate::table::Line;
use crate::trouble::Trouble;

/// How the orphans come.
struct Stream {
    count: u32,
    /// So many become orphans at once, and all have to be gone before the next come.
    burst: u32,
}

/// Two runs of one init differ by more than what an init adds: rather many short ones than a few long ones.
const ONE_BY_ONE: Stream = Stream { count: 500, burst: 1 };
const IN_BURSTS: Stream = Stream { count: 4_000, burst: 4_000 };

/// How long zombies may stay before they count as left.
const PATIENCE: Duration = Duration::from_secs(2);

/// What came of them.
struct Reaped {
    cpu_us: f64,
    per_second: f64,
    zombies: f64,
}

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Line>, Trouble> {
    let namespace = bench.tools.new_pid_namespace(&bench.watchdog)?;
    let lanes = bench.candidates.len();
    let [mut single_cpu, mut burst_cpu, mut per_second, mut zombies] =
        [(); 4].map(|()| Samples::lanes(lanes));
    in_turns(bench.effort.rounds(80), lanes, |lane| {
        let candidate = &bench.candidates[lane];
        let single = reap(candidate, &ONE_BY_ONE, &namespace, bench)?;
        let bursts = reap(candidate, &IN_BURSTS, &namespace, bench)?;
        single_cpu[lane].push(single.cpu_us);
        burst_cpu[lane].push(bursts.cpu_us);
        per_second[lane].push(bursts.per_second);
        zombies[lane].push(single.zombies + bursts.zombies);
        Ok(())
    })?;
    Ok(vec![
        Line::new("one orphan at a time, µs of the init's CPU per orphan", single_cpu),
        Line::new(
            format!("{} orphans at a time, µs of the init's CPU per orphan", IN_BURSTS.burst),
            burst_cpu,
        ),
        Line::new(format!("{} orphans at a time, reaped per second", IN_BURSTS.burst), per_second)
            .higher_is_better(),
        Line::new("zombies left", zombies),
    ])
}

fn reap(candidate: &Candidate, stream: &Stream, namespace: &[PathBuf], bench: &Bench) -> io::Result<Reaped> {
    let mut running = start(candidate, stream.count, stream.burst, namespace, bench)?;
    let before = cpu_ns(running.init)?;
    let lived_ns = make(&mut running)?;
    let zombies = zombies_left(running.init)?;
    let spent_ns = cpu_ns(running.init)? - before;
    running.end()?;
    let count = f64::from(stream.count);
    Ok(Reaped {
        cpu_us: spent_ns as f64 / 1e3 / count,
        per_second: count / (lived_ns as f64 / 1e9),
        zombies: zombies as f64,
    })
}

/// An init as PID 1 whose command makes `count` orphans whenever it is told to.
pub(super) fn start<'a>(
    candidate: &Candidate,
    count: u32,
    burst: u32,
    namespace: &[PathBuf],
    bench: &'a Bench,
) -> io::Result<Running<'a>> {
    let [count, burst] = [count, burst].map(|number| number.to_string());
    let helper = [bench.tools.helper.as_os_str(), "orphans".as_ref(), count.as_ref(), burst.as_ref()];
    Running::start_wrapped(&mut candidate.command_after(namespace, helper), &bench.watchdog)
}

/// Has the orphans made: how long they lived, in nanoseconds.
pub(super) fn make(running: &mut Running) -> io::Result<u64> {
    running.go()?;
    let line = running.line()?;
    line.parse().map_err(|_| running.defect(&format!("says {line:?}, not a time")))
}

/// How many of the init's children are dead when no more of them go away.
fn zombies_left(init: Pid) -> io::Result<usize> {
    let mut zombies = 0;
    eventually(PATIENCE, || {
        zombies = children_of(init)?.iter().filter(|child| child.state == 'Z').count();
        Ok(zombies == 0)
    })?;
    Ok(zombies)
}

/// How long the init has been on a processor.
pub(super) fn cpu_ns(init: Pid) -> io::Result<u64> {
    let statistics = proc_file(init, "schedstat")?;
    let first = statistics.split(' ').next().and_then(|number| number.parse().ok());
    first.ok_or_else(|| io::Error::other(format!("/proc/{init}/schedstat is {statistics:?}")))
}
