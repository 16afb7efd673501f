//! Whether an init that has reaped many orphans holds more memory than one that has reaped few.

use super::idle::settled;
use super::orphans;
use crate::bench::Bench;
use crate::process::number_in;
use crate::stats::{Effort, Samples, in_turns};
use crate::table::Line;
use crate::trouble::Trouble;

/// The orphans of one lot, all of them at once.
const LOT: u32 = 1_000;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Line>, Trouble> {
    let namespace = bench.tools.new_pid_namespace(&bench.watchdog)?;
    let lots: u32 = match bench.effort {
        Effort::Full => 100,
        Effort::Quick => 10,
    };
    let [mut first, mut last] = [(); 2].map(|()| Samples::lanes(bench.candidates.len()));
    in_turns(1, bench.candidates.len(), |lane| {
        let mut running = orphans::start(&bench.candidates[lane], LOT, LOT, &namespace, bench)?;
        for lot in 1..=lots {
            orphans::make(&mut running)?;
            if lot == 1 {
                first[lane].push(number_in(&settled(&running)?, "Anonymous")? as f64);
            }
        }
        last[lane].push(number_in(&settled(&running)?, "Anonymous")? as f64);
        Ok(running.end()?)
    })?;
    let what = |count: u32| format!("anonymous memory after {count} reaped orphans, KB");
    Ok(vec![Line::new(what(LOT), first), Line::new(what(LOT * lots), last)])
}
