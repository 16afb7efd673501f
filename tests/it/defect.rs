//! What drainit's own failure looks like: a line and 125, never a death that could be the command's.

use std::process::{Command, Output};

use drainit::signal::Signal;

use crate::harness::{BOTH, DRAINIT, Init};

/// Runs drainit with another answer to its first write(2): more bytes than there are. The standard library panics at that. It can fork for the
/// command and for nothing else, so it writes its report itself.
fn with_an_impossible_write(arguments: &[&str]) -> Option<Output> {
    with(&["inject=write:retval=1000000:when=1", "inject=clone:error=EAGAIN:when=2+"], &[], arguments)
}

/// Runs drainit, and the command that it may start, with this done to its calls.
fn with(injections: &[&str], before: &[&str], arguments: &[&str]) -> Option<Output> {
    if Command::new("strace").arg("--version").output().is_err() {
        assert!(std::env::var_os("DRAINIT_REQUIRE_RUNTIMES").is_none(), "strace cannot be run");
        eprintln!("not run: strace is not installed");
        return None;
    }
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null"];
    let injections = injections.iter().flat_map(|injection| ["-e", injection]);
    let mut command = Command::new("env");
    crate::gate::without_test_variables(&mut command);
    Some(
        command
            .args(before)
            .args(strace)
            .args(injections)
            .arg(*DRAINIT)
            .args(arguments)
            .output()
            .expect("it was there before"),
    )
}

#[track_caller]
fn is_one_line(output: &Output, begins: &str, has: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert!(said.starts_with(begins) && said.contains(has) && said.lines().count() == 1, "{said}");
}

/// A kernel or an emulator that says yes, and takes half of the number or nothing of it: no user becomes root by that.
#[test]
fn an_id_that_was_not_taken_starts_nothing() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not run: only root can become another user");
        return;
    }
    for (call, what) in [("setresuid", "user"), ("setresgid", "group"), ("setgroups", "groups")] {
        let injection = format!("inject={call}:retval=0");
        let command = ["--user", "65534:65533", "--", "echo", "started"];
        let Some(output) = with(&[&injection], &["setpriv", "--groups=5,6", "--"], &command) else { return };
        is_one_line(&output, "drainit: error: cannot run \"echo\": --user 65534:65533: cannot ", what);
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

#[test]
fn a_panic_is_a_line_and_125() {
    let Some(output) = with_an_impossible_write(&["--version"]) else { return };
    is_one_line(&output, "drainit: error: a defect of drainit at ", "1000000 out of range");

    // The command has run and ended by then.
    let folder = tempfile::tempdir().expect("a scratch folder");
    let report = folder.path().join("report");
    let report =
        ["--report", report.to_str().expect("text"), "--log-format=json", "--", "sh", "-c", "exit 3"];
    let output = with_an_impossible_write(&report).expect("strace is there");
    is_one_line(
        &output,
        "{\"level\":\"error\",\"message\":\"a defect of drainit at ",
        "1000000 out of range",
    );
}

/// It has to copy its arguments, and may not.
#[test]
fn memory_that_cannot_be_had_is_a_line_and_125() {
    let argument = "x".repeat(100_000);
    let command = [&["true"][..], &[argument.as_str(); 15]].concat();
    for mode in BOTH {
        let run = Init::new(mode).under(&["prlimit", "--data=1000000"]).command(&command).run();
        assert_eq!(run.exits(125).stderr, ["drainit: error: out of memory"]);
        let enough = Init::new(mode).under(&["prlimit", "--data=9000000"]).command(&command).run();
        enough.exits(0).silently();
    }
}

/// Growth that the kernel refuses is a death by SEGV. The kernel may shift the top of the stack by up to 8 KiB; with the smallest of these
/// limits the C library has to start with the rest.
#[test]
fn a_stack_that_is_too_small_is_a_line_and_125() {
    for mode in BOTH {
        for size in (24..=64).step_by(4).map(|size| size * 1024) {
            let limit = format!("--stack={size}:{size}");
            // The environment is on the stack, too.
            let under = ["env", "-i", "prlimit", &limit];
            let run = Init::new(mode).under(&under).command(&["no/such/program"]).run();
            let refusal = "drainit: error: the stack is not allowed to grow (RLIMIT_STACK)";
            match run.code {
                125 => assert_eq!(run.stderr, [refusal], "{size}"),
                127 => {}
                _ => panic!("{size}: {run:#?}"),
            }
        }
        // drainit takes what it may, and the command has the limit that was set.
        let run =
            Init::new(mode).under(&["prlimit", "--stack=65536:"]).command(&["sh", "-c", "ulimit -s"]).run();
        assert_eq!(run.exits(0).stdout, ["64"]);
    }
}

/// A filter may answer 0 without making the call: that looks like stdin, or like a timeout that is over at once.
#[test]
fn a_call_that_does_nothing_keeps_no_signal_from_the_command() {
    for call in ["signalfd4", "pidfd_open", "ppoll", "close_range", "prlimit64"] {
        let injection = format!("inject={call}:retval=0");
        let script = "trap 'exit 3' TERM; kill -TERM $PPID; while :; do sleep 0.01; done";
        let line = ["--grace-period=9s", "--", "sh", "-c", script];
        let Some(output) = with(&[&injection], &["timeout", "-s", "KILL", "20"], &line) else { return };
        assert_eq!(output.status.code(), Some(3), "{call}: {output:?}");
    }
}

/// They have no handler, and drainit does not take them for its own.
#[test]
fn fault_signals_are_forwarded_if_they_were_sent() {
    for signal in [Signal::ILL, Signal::TRAP] {
        // One is there before drainit can wait for anything.
        let (block, send) = (format!("--block-signal={signal}"), format!("kill -{signal} $PPID"));
        let before = ["env", &block, "bash", "-c", &format!("sh -c '{send}'; exec \"$@\""), "bash"];
        for mode in BOTH {
            let mut init = Init::new(mode).under(&before).workload("name=main take=all ready hold").start();
            init.begins(&["main ready ", &format!("main got {signal}")]);
            for _ in 0..20 {
                init.signal(signal).line(&format!("main got {signal}"));
            }
            init.end().silently();
        }
    }
}
