//! What to change is said in the log, in the report and in a rehearsal, and only if something was lost.

use drainit::signal::Signal;
use serde_json::Value;

use crate::harness::{BOTH, Finished, Init, WORKLOAD};
use crate::runtimes::{installed, not_run};

/// The advice of a run that wrote its report to stderr.
#[track_caller]
fn advice(run: &Finished) -> Vec<String> {
    let report = run.stderr.iter().find(|line| line.starts_with("{\"schema\"")).expect("a report");
    let report: Value = serde_json::from_str(report).expect("JSON");
    let advice = report["advice"].as_array().expect("a list");
    advice.iter().map(|sentence| sentence.as_str().expect("text").to_owned()).collect()
}

/// Stopped by this signal when it is ready.
fn stopped(init: Init, signal: Signal) -> Finished {
    let mut running = init.flags(&["-v", "--report=-"]).start();
    running.line_with("ready");
    running.settled().signal(signal);
    running.finish()
}

/// It is in the report and in the log, in the same words.
#[track_caller]
fn advises(run: &Finished, parts: &[&str]) {
    let advice = advice(run);
    let found = advice.iter().find(|sentence| parts.iter().all(|part| sentence.contains(part)));
    let sentence = found.unwrap_or_else(|| panic!("{parts:?} are not in {advice:#?}"));
    assert!(run.stderr.iter().any(|line| line.ends_with(&format!("advice: {sentence}"))), "{run:#?}");
}

#[test]
fn a_shell_in_front_of_a_server_that_is_killed_is_told() {
    for mode in BOTH {
        let script = format!("{WORKLOAD} name=server catch=TERM ready hold | cat");
        let init = Init::new(mode).flags(&["--grace-period=1s"]).command(&["sh", "-c", &script]);
        let run = stopped(init, Signal::TERM);
        advises(&run, &["a shell, died of TERM while ", "fake-workload (", "went on: exec the server"]);
    }
}

#[test]
fn a_shell_that_has_become_the_server_is_none() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let script = folder.path().join("entrypoint.sh");
    let family = "child{ name=worker catch=TERM:300ms ready hold } name=main ready hold";
    std::fs::write(&script, format!("exec {WORKLOAD} {family}\n")).expect("our own folder");
    let script = script.to_str().expect("text");
    for command in [["sh", script], ["bash", script]] {
        let mut running = Init::pid_one().flags(&["-v", "--report=-"]).command(&command).start();
        running.ready(&["worker", "main"]).signal(Signal::TERM);
        let run = running.finish();
        run.exits(143);
        assert!(advice(&run).iter().all(|sentence| !sentence.contains("shell")), "{run:#?}");
    }
}

#[test]
fn children_that_end_before_a_main_that_would_have_told_them_are_told() {
    for mode in BOTH {
        let family = "child{ name=worker catch=TERM:1ms ready hold } name=main catch=TERM:1500ms ready hold";
        let init = Init::new(mode).flags(&["--forward-to=group"]).workload(family);
        let run = stopped(init, Signal::TERM);
        run.exits(0);
        advises(&run, &["--forward-to group sent it to ", "with --forward-to auto or main"]);
        let auto = stopped(Init::new(mode).workload(family), Signal::TERM);
        assert!(advice(&auto).iter().all(|sentence| !sentence.contains("--forward-to")), "{auto:#?}");
    }
}

#[test]
fn a_main_that_passes_the_signal_on_to_what_got_it_already_is_told() {
    for mode in BOTH {
        let script = format!(
            "trap 'kill $p; wait $p; exit 1' TERM; {WORKLOAD} name=server catch=TERM:300ms:1 ready hold & p=$!; wait $p"
        );
        let init = Init::new(mode).flags(&["--forward-to=group"]).command(&["sh", "-c", &script]);
        let run = stopped(init, Signal::TERM);
        run.exits(1);
        advises(&run, &["gets TERM twice if its parent sh (", "with --forward-to auto or main"]);
    }
}

#[test]
fn a_signal_that_nothing_handles_is_told_unless_it_is_term() {
    for (signal, name) in [(Signal::QUIT, "QUIT"), (Signal::INT, "INT")] {
        let init = Init::pid_one().flags(&["--stop-signal", name]).workload("name=main ready hold");
        let run = stopped(init, signal);
        advises(&run, &[&format!("no process handles {name}"), &format!("--rewrite {name}:TERM")]);
        let caught = Init::pid_one().flags(&["--stop-signal", name]);
        let run = stopped(caught.workload(&format!("name=main catch={name}:1ms ready hold")), signal);
        assert_eq!(advice(&run), [""; 0], "{run:#?}");
    }
    let run = stopped(Init::pid_one().workload("name=main ready hold"), Signal::TERM);
    assert_eq!(advice(&run), [""; 0], "{run:#?}");
}

#[test]
fn a_stop_like_signal_that_began_no_stop_is_told() {
    let mut running = Init::pid_one()
        .flags(&["-v", "--report=-", "--grace-period=1m"])
        .workload("name=main catch=QUIT catch=TERM:1ms ready hold")
        .start();
    running.ready(&["main"]).signal(Signal::QUIT).line("main got QUIT").signal(Signal::TERM);
    advises(&running.finish(), &["QUIT came from outside after ", "set --stop-signal TERM,QUIT"]);
}

#[test]
fn a_step_that_used_up_the_drain_is_told() {
    let flags = ["--pre-stop=sleep 30", "--pre-stop-timeout=300ms"];
    let run =
        stopped(Init::pid_one().flags(&flags).workload("name=main catch=TERM:1ms ready hold"), Signal::TERM);
    advises(&run, &["'command sleep' used up the drain's time", "--pre-stop-timeout"]);
}

/// Python's resource tracker ignores TERM, and ends when the last of its clients has.
const TRACKED: &str = "
import signal, sys, time
from multiprocessing import shared_memory
memory = shared_memory.SharedMemory(create=True, size=1)
def stop(*_):
    memory.close()
    memory.unlink()
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print('ready', flush=True)
time.sleep(60)
";

#[test]
fn a_helper_that_ends_with_the_command_is_no_reason_for_alarm() {
    if installed("python3").is_none() {
        return not_run("python3", "it is not installed");
    }
    let run = stopped(Init::pid_one().command(&["python3", "-c", TRACKED]), Signal::TERM);
    run.exits(0);
    assert_eq!(advice(&run), [""; 0], "{run:#?}");
}
