//! How long a signal takes through an init to its command.

use std::io;

use nix::sys::signal::{Signal, kill};

use super::Trouble;
use crate::Bench;
use crate::process::Running;
use crate::stats::{Samples, in_turns};
use crate::table::Line;
use crate::tools::plain_command;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Line>, Trouble> {
    let helper = [bench.tools.helper.as_os_str(), "signals".as_ref()];
    let mut commands = vec![plain_command(helper[0])];
    commands[0].arg(helper[1]);
    commands.extend(bench.candidates.iter().map(|candidate| candidate.command(helper)));
    let all = commands.iter_mut().map(|command| Running::start(command, &bench.watchdog));
    let mut all = all.collect::<io::Result<Vec<_>>>()?;

    let mut samples = Samples::lanes(all.len());
    in_turns(bench.effort.rounds(20_000), all.len(), |lane| {
        let latency = all[lane].time_to_answer(|init| Ok(kill(init, Signal::SIGUSR1)?))?;
        samples[lane].push(latency.as_secs_f64() * 1e6);
        Ok(())
    })?;
    all.into_iter().try_for_each(Running::end)?;
    Ok(vec![Line::above_floor("signal to command and answer, µs (no init: sent to the command)", samples)])
}
