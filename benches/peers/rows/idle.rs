//! What an init holds and does while its command waits.

use std::io;
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::candidates::Candidate;
use crate::process::{Running, SOON, eventually, number_in, proc_file, stat_of};
use crate::stats::{Samples, in_turns};
use crate::table::Line;
use crate::trouble::Trouble;

/// Keys of /proc/PID/smaps_rollup and what they are to a reader.
const MEMORY: [(&str, &str); 2] =
    [("Anonymous", "idle, anonymous memory, KB"), ("Rss", "idle, resident memory, KB")];

const WINDOW: Duration = Duration::from_secs(5);

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Line>, Trouble> {
    let mut lines = memory(bench)?;
    lines.push(wakeups(bench)?);
    Ok(lines)
}

fn memory(bench: &Bench) -> Result<Vec<Line>, Trouble> {
    let mut samples = MEMORY.map(|_| Samples::lanes(bench.candidates.len()));
    in_turns(bench.effort.rounds(20), bench.candidates.len(), |lane| {
        let candidate = &bench.candidates[lane];
        if !candidate.serves_anywhere() {
            return Ok(());
        }
        let running = start(candidate, bench)?;
        let rollup = settled(&running)?;
        for ((key, _), samples) in MEMORY.iter().zip(&mut samples) {
            samples[lane].push(number_in(&rollup, key)? as f64);
        }
        Ok(running.end()?)
    })?;
    Ok(MEMORY.iter().zip(samples).map(|((_, what), samples)| Line::new(*what, samples)).collect())
}

/// All at the same time.
fn wakeups(bench: &Bench) -> Result<Line, Trouble> {
    let mut samples = Samples::lanes(bench.candidates.len());
    let inits = || bench.candidates.iter().enumerate().filter(|(_, candidate)| candidate.serves_anywhere());
    for _ in 0..bench.effort.rounds(3) {
        let all = inits().map(|(lane, candidate)| Ok((lane, start(candidate, bench)?)));
        let all = all.collect::<io::Result<Vec<_>>>()?;
        all.iter().try_for_each(|(_, running)| settled(running).map(drop))?;
        let before = all.iter().map(|(_, running)| switches(running)).collect::<io::Result<Vec<_>>>()?;
        let end = Instant::now() + WINDOW;
        eventually(WINDOW, || Ok(Instant::now() >= end))?;
        for ((lane, running), before) in all.iter().zip(before) {
            samples[*lane].push((switches(running)? - before) as f64);
        }
        all.into_iter().try_for_each(|(_, running)| running.end())?;
    }
    Ok(Line::new(format!("idle, wakeups in {} s", WINDOW.as_secs()), samples))
}

fn start<'a>(candidate: &Candidate, bench: &'a Bench) -> io::Result<Running<'a>> {
    Running::start(&mut candidate.command([bench.tools.helper.as_os_str(), "idle".as_ref()]), &bench.watchdog)
}

/// The init's memory once it sleeps and two looks are alike.
pub(super) fn settled(running: &Running) -> io::Result<String> {
    let mut last = None;
    let is_settled = eventually(SOON, || {
        let is_asleep = stat_of(running.init)?.state == 'S';
        let now = Some((switches(running)?, proc_file(running.init, "smaps_rollup")?));
        let is_same = last == now;
        last = now;
        Ok(is_asleep && is_same)
    })?;
    match last {
        Some((_, rollup)) if is_settled => Ok(rollup),
        _ => Err(running.defect("does not come to rest")),
    }
}

/// How often it has left a processor, of itself or not: as often as it was woken.
fn switches(running: &Running) -> io::Result<u64> {
    let status = proc_file(running.init, "status")?;
    Ok(number_in(&status, "voluntary_ctxt_switches")? + number_in(&status, "nonvoluntary_ctxt_switches")?)
}
