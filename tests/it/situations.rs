//! Fifteen situations in which people look at what drainit says, and the sentence that tells them what happened.
//!
//! `DRAINIT_SHOW=1 cargo test --test it situations -- --nocapture --test-threads=1` prints all of it, as they would see it.

use std::fmt::Write;

use drainit::signal::Signal;

use crate::harness::{Finished, Init, Running, WORKLOAD, wait_until};

/// The options of every situation in which a message is wanted, and the file that it goes to.
struct Container {
    folder: tempfile::TempDir,
    title: &'static str,
    line: String,
}

/// Everything that was said.
struct Said {
    run: Finished,
    message: String,
}

impl Container {
    fn new(title: &'static str) -> Self {
        Self { folder: tempfile::tempdir().expect("a scratch folder"), title, line: String::new() }
    }

    fn init(&mut self, init: Init, flags: &[&str], command: &[&str]) -> Init {
        let line = [&["drainit"], flags, &["--"], command].concat().join(" ");
        self.line = line.replace(WORKLOAD, "server");
        let log = format!("--termination-log={}", self.folder.path().join("log").display());
        init.flags(&[&log]).flags(flags).command(command)
    }

    fn start(&mut self, flags: &[&str], command: &[&str]) -> Running {
        let mut running = self.init(Init::pid_one(), flags, command).start();
        running.line_with("ready");
        running.settled();
        running
    }

    fn end(self, run: Finished) -> Said {
        let message = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        if std::env::var_os("DRAINIT_SHOW").is_some() {
            let mut text = format!("=== {}\n$ {}\n", self.title, self.line);
            // What starts drainit here speaks of its own end.
            for line in run.stderr.iter().filter(|line| !line.starts_with("unshare: ")) {
                let _ = writeln!(text, "{line}");
            }
            let _ = writeln!(text, "(exit code {})", run.code);
            if !message.is_empty() {
                let _ = write!(text, "the termination message:\n{message}");
            }
            println!("{text}");
        }
        Said { run, message }
    }
}

impl Said {
    #[track_caller]
    fn exits(self, code: i32) -> Self {
        self.run.exits(code);
        self
    }

    #[track_caller]
    fn says(self, sentence: &str) -> Self {
        let lines = || self.run.stderr.iter().map(String::as_str).chain(self.message.lines());
        assert!(
            lines().any(|line| line.contains(sentence)),
            "{sentence:?} is not in {:#?}",
            lines().collect::<Vec<_>>()
        );
        self
    }
}

/// Stopped by TERM from outside, as a runtime does it.
fn stopped(title: &'static str, flags: &[&str], command: &[&str]) -> Said {
    let mut container = Container::new(title);
    let mut running = container.start(flags, command);
    running.signal(Signal::TERM);
    container.end(running.finish())
}

/// Left alone until it ends.
fn ran(title: &'static str, flags: &[&str], command: &[&str]) -> Said {
    let mut container = Container::new(title);
    let run = container.init(Init::pid_one(), flags, command).run();
    container.end(run)
}

#[test]
fn a_shell_loop_that_ignores_the_signal() {
    let script = "trap '' TERM; echo ready; while :; do sleep 0.3; done";
    stopped("a shell loop that ignores the signal", &[], &["sh", "-c", script])
        .exits(137)
        .says("TERM is ignored, so waiting cannot help: killing sh (2)")
        .says("sh (2), the command, sleeping: ignores TERM, killed after 2.")
        .says("  sleep, 2 times, sleeping: ");
}

#[test]
fn a_trap_that_waits_for_its_foreground_command() {
    let script = format!("trap 'echo bye; exit 0' TERM; {WORKLOAD} catch=TERM:6s ready hold; true");
    stopped("a trap that waits for its foreground command", &[], &["sh", "-c", &script])
        .exits(0)
        .says("waits for its foreground command fake-workload (3)")
        .says("advice: the trap of sh (2) runs only when its foreground command has ended");
}

#[test]
fn a_server_behind_a_shell() {
    let script = format!("{WORKLOAD} name=server catch=TERM:1200ms ready hold & wait");
    stopped("a server behind a shell, with -v", &["-v"], &["sh", "-c", &script])
        .exits(143)
        .says("advice: sh (2), a shell, died of TERM while fake-workload (3) went on: exec the server in the entrypoint");
}

#[test]
fn a_drain_step_that_fails() {
    stopped("a drain step that fails", &["--pre-stop=false"], &[WORKLOAD, "catch=TERM:1ms", "ready", "hold"])
        .exits(0)
        .says("pre-stop command false exited with 1")
        .says("pre-stop step command false: exited with 1 after ");
}

#[test]
fn a_drain_step_that_times_out() {
    let flags = ["--pre-stop=sleep 30", "--pre-stop-timeout=1s"];
    stopped("a drain step that times out", &flags, &[WORKLOAD, "catch=TERM:1ms", "ready", "hold"])
        .exits(0)
        .says("pre-stop command sleep timed out after ")
        .says("the pre-stop step 'command sleep' used up the drain's time");
}

#[test]
fn a_grace_period_that_is_too_short() {
    let command = [WORKLOAD, "catch=TERM", "ready", "hold"];
    stopped("a grace period that is too short", &["--grace-period=1s"], &command)
        .exits(137)
        .says("time is up: killing fake-workload (2)")
        .says("fake-workload (2), the command, sleeping: catches TERM, killed after ");
}

#[test]
fn a_command_that_becomes_a_daemon() {
    let command = [WORKLOAD, "daemon{", "catch=TERM:1ms", "ready", "hold", "}", "exit=0"];
    ran("a command that becomes a daemon", &[], &command).exits(0).says("--wait-for-all");
}

#[test]
fn a_command_that_is_killed_from_outside() {
    let mut container = Container::new("a command that is killed from outside");
    let running = container.start(&[], &[WORKLOAD, "ready", "hold"]);
    let main = running.descendants().first().expect("it runs").pid;
    drainit::sys::kill::send(main, Signal::KILL).expect("it is there");
    container
        .end(running.finish())
        .exits(137)
        .says("the command (2) died of a KILL that drainit did not send")
        .says("drainit: the command died of a KILL that drainit did not send");
}

#[test]
fn a_signal_that_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let mut container = Container::new("a signal that is refused: another user, and no CAP_KILL");
    let wrapper = ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill"];
    let command = [WORKLOAD, "catch=TERM:1ms", "ready", "hold"];
    let init = Init::pid_one().under(&wrapper);
    let mut running = container.init(init, &["--user=64321:64321", "--grace-period=1s"], &command).start();
    running.line_with("ready");
    running.signal(Signal::TERM);
    container
        .end(running.finish())
        .exits(137)
        .says("CAP_KILL")
        .says("drainit is not permitted to signal it, left behind");
}

#[test]
fn a_rehearsal_that_passes() {
    let command = [
        WORKLOAD,
        "child{",
        "name=worker",
        "catch=TERM:100ms",
        "ready",
        "hold",
        "}",
        "catch=TERM:300ms",
        "ready",
        "hold",
    ];
    ran("a rehearsal that passes", &["--rehearse=500ms", "--pre-stop-sleep=200ms"], &command)
        .exits(0)
        .says("passed: every process ended by itself");
}

#[test]
fn a_rehearsal_of_a_crash() {
    let script = "trap 'kill -SEGV $$' TERM; sleep 60 & wait";
    ran("a rehearsal of a crash", &["--rehearse=500ms"], &["sh", "-c", script])
        .exits(124)
        .says("failed: sh (2) died of SEGV, which drainit did not send");
}

#[test]
fn a_schedule_that_goes_on() {
    let flags = ["--stop-schedule=INT/500ms/TERM/10s/KILL"];
    stopped("a schedule that goes on", &flags, &[WORKLOAD, "catch=INT", "catch=TERM:1ms", "ready", "hold"])
        .exits(0)
        .says("going on to TERM")
        .says("fake-workload (2): sleeping, catches INT");
}

#[test]
fn a_runtime_that_kills_everything_before_the_stop_is_over() {
    let script = "trap 'echo got' TERM; echo ready; while :; do sleep 1; done";
    let mut container = Container::new("the runtime kills everything some seconds after TERM");
    let mut running = container.start(&[], &["sh", "-c", script]);
    running.signal(Signal::TERM);
    running.says("waiting for sh (2)");
    let log = container.folder.path().join("log");
    wait_until("it is written ahead", || {
        std::fs::read_to_string(&log).ok().filter(|text| text.contains("advice: "))
    });
    drainit::sys::kill::send(running.pid(), Signal::KILL).expect("it is there");
    container
        .end(running.finish())
        .says("the stop was not over when this was last written, 5.")
        .says("advice: sh (2) catches TERM and goes on");
}

#[test]
fn a_command_that_is_not_there() {
    ran("a command that is not there", &[], &["ngnix", "-g", "daemon off;"])
        .exits(127)
        .says("cannot run \"ngnix\"");
}

#[test]
fn a_command_that_goes_while_others_are_waited_for() {
    let command = [WORKLOAD, "daemon{", "catch=TERM:1ms", "ready", "hold", "}", "exit=0"];
    let mut container = Container::new("--wait-for-all, with -v");
    let mut running = container.start(&["--wait-for-all", "-v"], &command);
    running.says("exited with 0");
    running.signal(Signal::TERM);
    container.end(running.finish()).exits(0).says("still there: fake-workload (");
}
