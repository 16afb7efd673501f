//! How long a signal takes through an init to its command.

use std::io;
use std::process::Command;

use nix::sys::signal::{Signal, kill};

use crate::bench::Bench;
use crate::process::Running;
use crate::stats::{Samples, in_turns};
use crate::table::Line;
use crate::tools::plain_command;
use crate::trouble::Trouble;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Line>, Trouble> {
    let helper = [bench.tools.helper.as_os_str(), "signals".as_ref()];
    let mut direct = plain_command(helper[0]);
    direct.arg(helper[1]);
    let inits = bench.candidates.iter();
    let inits = inits.map(|candidate| candidate.serves_anywhere().then(|| candidate.command(helper)));
    let start = |command: Option<Command>| {
        command.map(|mut command| Running::start(&mut command, &bench.watchdog)).transpose()
    };
    let mut all = [Some(direct)].into_iter().chain(inits).map(start).collect::<io::Result<Vec<_>>>()?;

    let mut samples = Samples::lanes(all.len());
    in_turns(bench.effort.rounds(20_000), all.len(), |lane| {
        let Some(running) = &mut all[lane] else { return Ok(()) };
        let latency = running.time_to_answer(|init| Ok(kill(init, Signal::SIGUSR1)?))?;
        samples[lane].push(latency.as_secs_f64() * 1e6);
        Ok(())
    })?;
    all.into_iter().flatten().try_for_each(Running::end)?;
    Ok(vec![Line::above_floor("signal to command and answer, µs (no init: sent to the command)", samples)])
}
