//! drainit as an ordinary process, wrapped around a command: what a shell, a build or a CI job sees of it.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Output, Stdio};

use drainit::signal::Signal;

use crate::exit_code::deadly;
use crate::gate::without_test_variables;
use crate::harness::{DRAINIT, Init, Mode, WORKLOAD};
use crate::runtimes::{installed, not_run};

/// Runs drainit with these words, without anything in between.
fn status(words: &[&str]) -> ExitStatus {
    let mut command = Command::new(*DRAINIT);
    without_test_variables(&mut command);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null());
    command.status().expect("drainit can be started")
}

/// Runs a shell script in which `$D` is drainit and `$W` the fake workload.
fn script(shell: &[&str], text: &str) -> Output {
    let [program, arguments @ ..] = shell else { panic!("no shell") };
    let folder = tempfile::tempdir().expect("a scratch folder");
    let mut command = Command::new(program);
    without_test_variables(&mut command);
    command.args(arguments).arg(text).current_dir(&folder).stdin(Stdio::null());
    command
        .env("D", *DRAINIT)
        .env("W", WORKLOAD)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

#[track_caller]
fn says(output: &Output, code: i32, lines: &[&str]) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        (output.status.code(), said.lines().collect::<Vec<_>>()),
        (Some(code), lines.to_vec()),
        "{output:?}"
    );
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn with_propagate_signal_the_parent_sees_the_commands_own_death() {
    for signal in deadly() {
        let die = format!("die={}", signal.number());
        let plain = status(&["--", WORKLOAD, &die]);
        assert_eq!((plain.code(), plain.signal()), (Some(128 + signal.number()), None), "{signal}");
        let propagated = status(&["--propagate-signal", "--", WORKLOAD, &die]);
        assert_eq!((propagated.code(), propagated.signal()), (None, Some(signal.number())), "{signal}");
        assert!(!propagated.core_dumped(), "the core file is the command's: {signal}");
    }
}

#[test]
fn what_is_propagated_is_the_signal_that_the_exit_code_stands_for() {
    let died = |words: &[&str]| status(words).signal();
    let exited = |words: &[&str]| status(words).code();
    assert_eq!(exited(&["--propagate-signal", WORKLOAD, "exit=143"]), Some(143), "it exited");
    assert_eq!(exited(&["--propagate-signal", "-e", "143:7", WORKLOAD, "die=TERM"]), Some(7), "mapped");
    assert_eq!(died(&["--propagate-signal", "-e", "143:143", WORKLOAD, "die=TERM"]), Some(15));
    assert_eq!(exited(&["--propagate-signal", "/nowhere"]), Some(127));
    assert_eq!(exited(&["--propagate-signal", "--rehearse=1ms", WORKLOAD, "ready", "hold"]), Some(0));
    // Through another one, killed by it at the end of the grace period, and with orphans that outlive the command.
    let nested = ["--propagate-signal", *DRAINIT, "--propagate-signal", WORKLOAD, "die=RTMIN+3"];
    assert_eq!(died(&nested), Some(37));
    let stubborn =
        ["--propagate-signal", "--stop-after=1ms", "--grace-period=50ms", WORKLOAD, "ignore=TERM", "hold"];
    assert_eq!(died(&stubborn), Some(9));
    let orphan =
        ["--propagate-signal", WORKLOAD, "orphan{", "catch=TERM:20ms", "ready", "hold", "}", "die=ABRT"];
    assert_eq!(died(&orphan), Some(6));
    let by_variable = Init::subreaper().env("DRAINIT_PROPAGATE_SIGNAL", "1").workload("die=QUIT").run();
    by_variable.exits(128 + 3);
}

#[test]
fn pid_one_cannot_die_of_a_signal_and_exits() {
    for signal in ["TERM", "KILL", "SEGV", "ABRT", "RTMAX"] {
        let number = signal.parse::<Signal>().expect("a signal").number();
        let run =
            Init::new(Mode::PidOne).flags(&["--propagate-signal"]).workload(&format!("die={signal}")).run();
        run.exits(128 + number);
        assert_eq!(run.warnings().len(), usize::from(signal == "KILL"), "{run:?}");
    }
}

#[test]
fn a_parent_that_ignores_the_signal_sees_its_death_too() {
    let ignoring = ["env", "--ignore-signal=TERM,IO,USR1"];
    for number in [15, 29, 10] {
        let mut command = Command::new(ignoring[0]);
        command.args([ignoring[1], *DRAINIT, "--propagate-signal", "--", WORKLOAD, &format!("die={number}")]);
        assert_eq!(command.status().expect("env of coreutils").signal(), Some(number));
    }
}

#[test]
fn shells_take_the_status_as_the_commands_own() {
    for shell in [&["sh", "-c"][..], &["bash", "-c"]] {
        says(&script(shell, "set -e; $D true; echo one; $D -- sh -c 'exit 3'; echo never"), 3, &["one"]);
        says(
            &script(shell, "$D false || echo $?; $D true && echo and; ! $D false; echo $?"),
            0,
            &["1", "and", "0"],
        );
        says(
            &script(shell, "x=$($D echo word); echo $x; $D echo a | $D cat; echo in | $D cat"),
            0,
            &["word", "a", "in"],
        );
        says(&script(shell, "$D sleep 30 & $D -- kill $!; wait $!; echo $?"), 0, &["143"]);
    }
    says(&script(&["bash", "-c"], "set -o pipefail; $D false | $D cat; echo $?"), 0, &["1"]);
}

#[test]
fn timeout_make_xargs_and_setsid_work_with_it() {
    says(&script(&["sh", "-c"], "timeout 30 $D sh -c 'exit 4'"), 4, &[]);
    // timeout tells its whole group, and the command has one of its own: drainit passes it on.
    says(
        &script(&["sh", "-c"], "timeout 0.3 $D -- $W catch=TERM:1ms hold; echo $?"),
        0,
        &["got TERM", "finished", "124"],
    );
    says(
        &script(&["sh", "-c"], "timeout -s INT 0.3 $D --stop-signal INT -- $W catch=INT:1ms:6 hold; echo $?"),
        0,
        &["got INT", "finished", "124"],
    );
    let make = "printf 'all:\\n\\t@%s sh -c \"exit 5\"\\n' $D >Makefile; make >log 2>&1; echo $?; grep -c 'Error 5' log";
    says(&script(&["sh", "-c"], make), 0, &["2", "1"]);
    says(&script(&["sh", "-c"], "seq 3 | xargs -P 2 -n 1 $D echo | sort"), 0, &["1", "2", "3"]);
    says(&script(&["sh", "-c"], "setsid --wait $D sh -c 'exit 6'"), 6, &[]);
    says(&script(&["sh", "-c"], "$D -- $D -- timeout 30 $D -- sh -c 'exit 7'"), 7, &[]);
}

#[test]
fn nohup_keeps_hanging_up_from_the_command() {
    let text = "nohup $D -- $W state >out 2>/dev/null; sed -n 's/.*SigIgn=0*\\([0-9a-f]*\\) .*/\\1/p' out";
    let output = script(&["sh", "-c"], text);
    let ignored = String::from_utf8_lossy(&output.stdout);
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap_or_else(|_| panic!("{output:?}"));
    assert_ne!(ignored & Signal::HUP.bit(), 0, "{output:?}");
}

#[test]
fn gnu_parallel_runs_it() {
    if installed("parallel").is_none() {
        return not_run("GNU parallel", "it is not installed");
    }
    let all = "seq 8 | HOME=$PWD parallel --will-cite -k -j 4 $D -- echo {}; seq 2 | HOME=$PWD parallel --will-cite $D -- false; echo $?";
    let output = script(&["sh", "-c"], all);
    says(&output, 0, &["1", "2", "3", "4", "5", "6", "7", "8", "2"]);
}

#[test]
fn sudo_runs_it_and_is_run_by_it() {
    let obstacle = match installed("sudo") {
        None => Some("it is not installed"),
        Some(_) if !nix::unistd::geteuid().is_root() => Some("only root needs no password for it"),
        Some(_) => None,
    };
    if let Some(obstacle) = obstacle {
        return not_run("sudo", obstacle);
    }
    says(&script(&["sh", "-c"], "sudo -n $D -- sh -c 'exit 3'; echo $?"), 0, &["3"]);
    says(&script(&["sh", "-c"], "$D -- sudo -n sh -c 'exit 4'; echo $?"), 0, &["4"]);
    let stopped = "sudo -n $D -- $W catch=TERM:1ms:5 ready hold >out & until grep -qs ready out; do :; done; kill $!; wait $!; echo $?";
    says(&script(&["sh", "-c"], stopped), 0, &["5"]);
}

#[test]
fn namespaces_nest() {
    if !nix::unistd::geteuid().is_root() {
        return not_run("nested pid namespaces", "only root can make them here");
    }
    let unshare = "unshare --pid --fork --mount-proc";
    let text = format!("{unshare} $D -- {unshare} $D -- {unshare} $D -- sh -c 'echo $$; exit 9'");
    says(&script(&["sh", "-c"], &text), 9, &["2"]);
}

#[test]
fn no_process_is_left_behind_or_stopped() {
    let work =
        "daemon{ catch=TERM:1ms hold } orphan*3{ hold } group{ hold } session{ stop } child{ stop } exit=2";
    // A process that is left holds drainit's output open, and that is waited for.
    Init::subreaper().flags(&["--grace-period=20s"]).workload(work).run().exits(2);
}
