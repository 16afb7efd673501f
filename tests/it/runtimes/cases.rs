//! What holds in every runtime: one function per case, which each runtime's file makes a test of.

use std::io::Write;
use std::time::{Duration, Instant};

use super::engine::{Engine, NOBODY, PATIENCE, StopSignal, Wish, report};

/// What a container of the memory tests may have. drainit and the workload need a tenth of it.
const MEMORY: u64 = 64 << 20;
/// What is more than that, several times.
const GLUTTON: &str = "busybox dd if=/dev/zero of=/dev/null bs=512M count=1";

/// A test for each case. `$with` is called with the case: it runs it with a runtime, or says that there is none.
macro_rules! tests_of_every_case {
    ($with:expr) => {
        $crate::runtimes::cases::tests_of_these_cases! { $with,
            the_exit_status_passes_through
            term_ends_it_after_the_drain
            other_stop_signals_drain_and_end_it_too
            an_entrypoint_that_ignores_the_signal_ends_long_before_the_timeout
            a_server_under_a_shell_that_dies_finishes_its_work
            ctrl_c_in_a_terminal_reaches_the_command
            orphans_leave_no_zombie
            out_of_memory_is_told_as_it_was
            a_full_pids_limit_does_not_hinder_the_stop
            nothing_needs_privileges_or_a_folder_to_write_to
        }
    };
}

macro_rules! tests_of_these_cases {
    ($with:expr, $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $with($crate::runtimes::cases::$case);
            }
        )*
    };
}

pub(super) use {tests_of_every_case, tests_of_these_cases};

pub(super) fn the_exit_status_passes_through(engine: &dyn Engine) {
    let exits = engine.start(Wish::new("drainit -- fake-workload exit=7"));
    let dies = engine.start(Wish::new("drainit -- fake-workload die=RTMIN+3"));
    exits.finish().exits(7).silently();
    dies.finish().exits(165).silently();
}

pub(super) fn term_ends_it_after_the_drain(engine: &dyn Engine) {
    let wish = Wish::new("drainit --pre-stop-sleep 100ms --pre-stop").word("fake-workload say=drained");
    let mut container = engine.start(wish.and("-- fake-workload name=main catch=TERM:1ms:4 ready hold"));
    container.ready(&["main"]).stop();
    container.finish().exits(4).in_order(&["drained", "main got TERM", "main finished"]).silently();
}

pub(super) fn other_stop_signals_drain_and_end_it_too(engine: &dyn Engine) {
    for (stop_signal, name) in [(StopSignal::Quit, "QUIT"), (StopSignal::RtMin3, "RTMIN+3")] {
        let wish = Wish::new(&format!("drainit --stop-signal {name} --pre-stop"))
            .word("fake-workload say=drained")
            .and(&format!("-- fake-workload name=main catch={name}:1ms:4 ready hold"));
        let mut container = engine.start(Wish { stop_signal, ..wish });
        container.ready(&["main"]).stop();
        container.finish().exits(4).in_order(&["drained", &format!("main got {name}")]).silently();
    }
}

pub(super) fn an_entrypoint_that_ignores_the_signal_ends_long_before_the_timeout(engine: &dyn Engine) {
    let mut container = engine.start(
        Wish::new("drainit -- sh -c")
            .word("trap '' TERM; echo main ready 0; while :; do busybox sleep 1; done"),
    );
    container.ready(&["main"]);
    let begun = Instant::now();
    container.stop();
    let run = container.finish();
    let took = begun.elapsed();
    run.exits(137).warns(&["TERM is ignored"]);
    assert!(took >= Duration::from_secs(2) && took < PATIENCE / 2, "{took:?}: {run:?}");
}

pub(super) fn a_server_under_a_shell_that_dies_finishes_its_work(engine: &dyn Engine) {
    let mut container = engine.start(
        Wish::new("drainit -- sh -c").word("fake-workload name=server catch=TERM:300ms ready hold & wait"),
    );
    container.ready(&["server"]).stop();
    container.finish().exits(143).in_order(&["server got TERM", "server finished"]).silently();
}

pub(super) fn ctrl_c_in_a_terminal_reaches_the_command(engine: &dyn Engine) {
    let keyboard = nix::pty::openpty(None, None).expect("a terminal");
    let wish = Wish::new(
        "drainit -- fake-workload child{ name=child catch=INT:1ms ready hold } name=main catch=INT:1ms:5 state ready hold",
    );
    let mut container = engine.start(Wish { terminal: Some(keyboard.slave), ..wish });
    container.ready(&["main", "child"]);
    std::fs::File::from(keyboard.master).write_all(b"\x03").expect("a reader");
    let run = container.finish();
    run.exits(5);
    for line in ["main got INT", "child got INT"] {
        // Behind the echo of what was typed, perhaps.
        assert!(run.stdout.iter().any(|seen| seen.trim_end().ends_with(line)), "{line}: {run:#?}");
    }
    let state = run.stdout.iter().find(|line| line.starts_with("main state ")).expect("before it was ready");
    let field =
        |name: &str| state.split_whitespace().find_map(|word| word.strip_prefix(name)).map(str::to_owned);
    assert!(field("tpgid=").is_some() && field("tpgid=") == field("pgrp="), "in the foreground: {state}");
}

pub(super) fn orphans_leave_no_zombie(engine: &dyn Engine) {
    // The shell ends when none is left: a zombie keeps its name.
    let run = engine
        .start(Wish::new("drainit --report - -- sh -c").word(
            "fake-workload orphan*20{ exit=1 }; \
             while busybox grep -qs '^Name:.fake-workload' /proc/[0-9]*/status; do :; done; exit 7",
        ))
        .finish();
    run.exits(7);
    assert_eq!(report(&run)["orphans_reaped"], 20, "{run:#?}");
}

pub(super) fn out_of_memory_is_told_as_it_was(engine: &dyn Engine) {
    let limited = |wish| Wish { memory: Some(MEMORY), ..wish };
    let run = engine.start(limited(Wish::new(&format!("drainit -v --report - -- {GLUTTON}")))).finish();
    run.exits(137);
    let report = report(&run);
    assert_eq!(report["main"]["ended"]["signal"], "KILL", "{report:#}");
    assert!(report["killed"].is_null(), "it was not drainit: {report:#}");
    let told = |line: &&str| line.contains("died of a KILL that drainit did not send");
    assert!(run.warnings().iter().any(told), "{run:#?}");
    let says_why = |line: &&str| line.contains("ran out of memory");
    assert_eq!(report["out_of_memory"], run.warnings().iter().any(says_why), "{run:#?}");

    // A child's death is its parent's affair: the command lives on, and stops as ever.
    let mut container = engine.start(limited(Wish::new("drainit -- sh -c").word(&format!(
        "{GLUTTON}; echo child $?; exec fake-workload name=main catch=TERM:1ms:4 ready hold"
    ))));
    container.ready(&["main"]).stop();
    container.finish().exits(4).in_order(&["child 137", "main got TERM"]);
}

pub(super) fn a_full_pids_limit_does_not_hinder_the_stop(engine: &dyn Engine) {
    // drainit, the command, and six more; there is no room for a step.
    let wish = Wish::new("drainit --pre-stop").word("fake-workload say=drained").and("--").and(
        "fake-workload child*6{ name=child catch=TERM:1ms ready hold } name=main catch=TERM:100ms:4 ready hold",
    );
    let mut container = engine.start(Wish { pids: Some(8), ..wish });
    for _ in 0..7 {
        container.running().line_with(" ready ");
    }
    container.stop();
    let run = container.finish();
    run.exits(4).in_order(&["main got TERM", "main finished"]).warns(&["pre-stop"]);
    assert_eq!(run.count("child finished"), 6, "{run:#?}");
    assert_eq!(run.count("drained"), 0, "the limit is there: {run:#?}");
}

pub(super) fn nothing_needs_privileges_or_a_folder_to_write_to(engine: &dyn Engine) {
    let wish = Wish::new("drainit --pre-stop").word("fake-workload say=drained").and("-- sh -c").word(
        "busybox grep -E '^(NoNewPrivs|Cap(Prm|Eff|Bnd)):' /proc/1/status; \
         (: > /new) 2> /dev/null && echo writable; \
         fake-workload name=daemon catch=TERM:300ms ready hold & \
         exec fake-workload name=main ids catch=TERM:1ms:4 ready hold",
    );
    let mut container = engine.start(Wish { locked_down: true, ..wish });
    container.ready(&["main", "daemon"]).stop();
    let run = container.finish();
    run.exits(4).in_order(&["drained", "daemon got TERM", "daemon finished"]).silently();
    for line in ["NoNewPrivs:\t1", "CapPrm:\t0", "CapEff:\t0", "CapBnd:\t0"] {
        let zeros = |seen: &String| seen == line || (line.ends_with('0') && is_zero(seen, line));
        assert!(run.stdout.iter().any(zeros), "{line}: {run:#?}");
    }
    assert_eq!(run.count("writable"), 0, "{run:#?}");
    let ids = format!("main ids uid={NOBODY} gid={NOBODY} ");
    assert!(run.stdout.iter().any(|line| line.starts_with(&ids)), "{run:#?}");
}

/// A set of capabilities with nothing in it, however many zeros that takes.
fn is_zero(seen: &str, line: &str) -> bool {
    seen.strip_prefix(line).is_some_and(|rest| rest.chars().all(|digit| digit == '0'))
}
