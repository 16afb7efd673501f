//! What happened in a run, and how it is reported. Pure.
//!
//! A record goes one way: [`record`] holds the facts as the supervisor notes them, [`format`] has the words for them, [`advice`] derives
//! what to change, and one of three renderers writes it all out: `json` for programs, `termination` for `kubectl describe pod`,
//! [`rehearsal`] for a person.

#![forbid(unsafe_code)]

mod advice;
#[cfg(test)]
mod fixtures;
pub mod format;
#[cfg(test)]
mod generator;
mod json;
mod record;
pub mod rehearsal;
mod repeats;
#[cfg(test)]
mod schema;
mod termination;

pub use advice::advice;
pub use json::{SCHEMA, json};
pub use record::{
    MAX_PROCESSES, MAX_SIGNALS, ProcessEnd, ProcessRecord, Receiver, Record, Sender, Sent, SentSignal,
    StepOutcome, StepRecord, StopRecord, Timed,
};
pub use termination::{message, message_ahead};

#[cfg(test)]
mod tests {
    use super::fixtures::{MAIN, ms, one, timed, well};
    use super::rehearsal::Canvas;
    use super::*;
    use crate::outcome::Ended;
    use crate::plan::KillReason;
    use crate::signal::Signal;

    #[test]
    fn every_renderer_gives_one_length_of_time_alike() {
        let killed = ProcessEnd::Reaped(Ended::Killed(Signal::KILL));
        let signalled = Some(timed(5_000, Signal::TERM));
        let main = ProcessRecord { is_main: true, signalled, ..one(MAIN, "server", 0) };
        // Rounded to the next tenth, the longer one would be 60 s.
        for (millis, shown) in [(2_399, "2.3s"), (59_960, "59.9s"), (90_990, "1m30s")] {
            let end = 5_000 + millis;
            let record = Record {
                steps: Vec::new(),
                processes: vec![ProcessRecord { ended: Some(timed(end, killed)), ..main }],
                killed: Some(timed(end, KillReason::Elapsed)),
                main_ended: Some(timed(end, Ended::Killed(Signal::KILL))),
                ended_at: Some(ms(end)),
                ..well()
            };
            let told = message(&record).expect("a process was killed");
            assert!(told.contains(&format!("catches TERM, killed after {shown}\n")), "{told}");
            assert!(told.contains(&format!("the stop took {shown};")), "{told}");
            let drawn = rehearsal::text(&record, Canvas { width: 80, colour: false });
            assert!(drawn.contains(&format!("had not ended after {shown} when")), "{drawn}");
            assert!(drawn.contains(&format!("killed at {shown}\n")), "{drawn}");
            assert!(json(&record).contains(&format!("\"waited_ms\":{millis}}}")), "{}", json(&record));
        }
    }
}
