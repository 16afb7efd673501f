//! What the tests were started with is not to be what their processes are started with.

use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};

use drainit::signal::Signal;
use drainit::sys::signals;

use crate::harness::Init;
use crate::start::mask;

/// What shells, nohup and the like ignore for those that they start.
const INHERITED: [Signal; 6] =
    [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM, Signal::USR1, Signal::USR2];

/// The tests may run in the background, or under nohup: then INT, QUIT or HUP is ignored, and processes would inherit that.
///
/// Such a signal gets a handler that does nothing. An exec gives it its default back, and the tests themselves go on as they were to.
pub(crate) fn reset() {
    static RESET: Once = Once::new();
    RESET.call_once(|| {
        for signal in INHERITED.into_iter().filter(|signal| signals::is_ignored(*signal)) {
            let handled = signal_hook::flag::register(signal.number(), Arc::new(AtomicBool::new(false)));
            handled.unwrap_or_else(|error| panic!("{signal} stays ignored in every process: {error}"));
        }
    });
}

#[test]
fn the_command_ignores_none_of_them() {
    let run = Init::subreaper().workload("state").run();
    run.exits(0);
    let state = run.stdout.first().expect("a line");
    let ignored = mask(state, "SigIgn");
    assert!(INHERITED.iter().all(|signal| ignored & signal.bit() == 0), "{state}");
}

/// As `nohup cargo test &` starts it.
#[test]
fn nor_if_the_tests_were_started_with_ignored_signals() {
    let tests = std::env::current_exe().expect("this program");
    let output = Command::new("env")
        .args(["--ignore-signal=INT,QUIT,HUP"])
        .arg(tests)
        .args(["--exact", "dispositions::the_command_ignores_none_of_them"])
        .output()
        .expect("env is there");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:#?}");
}
