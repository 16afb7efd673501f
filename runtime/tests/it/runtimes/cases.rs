//! What holds in every engine: one function per case, which each engine's file makes a test of.

use std::io::Write;
use std::time::{Duration, Instant};

use super::engine::{Engine, NOBODY, Wish};
use crate::harness::took;

/// A test for each case. `$with` is called with the case: it runs it with an engine, or says that there is none.
macro_rules! tests_of_every_case {
    ($with:expr) => {
        $crate::runtimes::cases::tests_of_these_cases! { $with, }
        #[test]
        fn ctrl_c_in_a_terminal_reaches_the_command() {
            $with($crate::runtimes::cases::ctrl_c_in_a_terminal_reaches_the_command);
        }
    };
}

/// The cases that need no terminal, whatever drainit's own tests ask for at this place.
macro_rules! tests_of_these_cases {
    ($with:expr, $($other:ident)*) => {
        $crate::runtimes::cases::tests_of! { $with,
            drainit_is_pid_one_from_a_mount_that_cannot_be_written
            the_exit_status_passes_through
            a_server_under_a_shell_that_dies_finishes_its_work
            an_entrypoint_that_ignores_the_signal_is_waited_for_two_seconds
            nothing_needs_privileges_or_a_folder_to_write_to
            a_command_with_an_init_in_front_gets_no_second_one
        }
    };
}

macro_rules! tests_of {
    ($with:expr, $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $with($crate::runtimes::cases::$case);
            }
        )*
    };
}

pub(super) use {tests_of, tests_of_every_case, tests_of_these_cases};

pub(super) fn drainit_is_pid_one_from_a_mount_that_cannot_be_written(engine: &dyn Engine) {
    let script = "busybox cat /proc/1/comm; busybox tr '\\0' ' ' < /proc/1/cmdline; echo; \
                  busybox grep ' /dev/drainit ' /proc/mounts; (echo x > /dev/drainit) 2> /dev/null || echo refused";
    let run = engine.start(Wish::new("sh -c").word(script)).finish();
    run.exits(0).silently();
    // What a pod's client says comes before.
    let said: Vec<&String> = run.stdout.iter().skip_while(|line| *line != "drainit").collect();
    assert!(said.len() >= 4 && said[1].starts_with("/dev/drainit -- sh -c "), "{run:#?}");
    let options = said[2].split(' ').nth(3).expect("a line of mounts");
    for option in ["ro", "nosuid", "nodev"] {
        assert!(options.split(',').any(|found| found == option), "{option}: {options}");
    }
    assert_eq!(said[3], "refused", "{run:#?}");
}

pub(super) fn the_exit_status_passes_through(engine: &dyn Engine) {
    let exits = engine.start(Wish::new("fake-workload exit=7"));
    let dies = engine.start(Wish::new("fake-workload die=RTMIN+3"));
    exits.finish().exits(7).silently();
    dies.finish().exits(165).silently();
}

pub(super) fn a_server_under_a_shell_that_dies_finishes_its_work(engine: &dyn Engine) {
    let script = "fake-workload name=server catch=TERM:300ms ready hold & wait";
    let mut container = engine.start(Wish::new("sh -c").word(script));
    container.ready(&["server"]).stop();
    container.finish().exits(143).in_order(&["server got TERM", "server finished"]).silently();
}

pub(super) fn an_entrypoint_that_ignores_the_signal_is_waited_for_two_seconds(engine: &dyn Engine) {
    let script = "trap '' TERM; echo main ready 0; while :; do busybox sleep 1; done";
    let mut container = engine.start(Wish::new("sh -c").word(script));
    container.ready(&["main"]);
    let begun = Instant::now();
    container.stop();
    let run = container.finish();
    took(begun, Duration::from_secs(2));
    run.exits(137);
    assert!(run.stderr.iter().any(|line| line.starts_with("drainit: warning: ")), "{run:#?}");
}

pub(super) fn nothing_needs_privileges_or_a_folder_to_write_to(engine: &dyn Engine) {
    let script = "busybox cat /proc/1/comm; busybox grep -E '^(NoNewPrivs|CapBnd):' /proc/1/status; \
                  (: > /new) 2> /dev/null && echo writable; \
                  fake-workload name=daemon catch=TERM:300ms ready hold & \
                  exec fake-workload name=main ids catch=TERM:1ms:4 ready hold";
    let wish = Wish::new("sh -c").word(script);
    let mut container = engine.start(Wish { locked_down: true, ..wish });
    container.ready(&["main", "daemon"]).stop();
    let run = container.finish();
    run.exits(4).in_order(&["drainit", "NoNewPrivs:\t1", "daemon got TERM", "daemon finished"]).silently();
    let bounding = run.stdout.iter().find_map(|line| line.strip_prefix("CapBnd:\t"));
    assert!(bounding.is_some_and(|set| set.chars().all(|digit| digit == '0')), "{run:#?}");
    assert_eq!(run.count("writable"), 0, "{run:#?}");
    let ids = format!("main ids uid={NOBODY} gid={NOBODY} ");
    assert!(run.stdout.iter().any(|line| line.starts_with(&ids)), "{run:#?}");
}

pub(super) fn a_command_with_an_init_in_front_gets_no_second_one(engine: &dyn Engine) {
    let script = "busybox ls /dev/drainit 2> /dev/null; busybox tr '\\0' ' ' < /proc/1/cmdline; echo";
    let run = engine.start(Wish::new("drainit -v -- sh -c").word(script)).finish();
    run.exits(0);
    assert!(run.stdout.iter().any(|line| line.starts_with("drainit -v -- sh -c ")), "{run:#?}");
    assert!(!run.stdout.iter().any(|line| line == "/dev/drainit"), "{run:#?}");
}

pub(super) fn ctrl_c_in_a_terminal_reaches_the_command(engine: &dyn Engine) {
    let keyboard = nix::pty::openpty(None, None).expect("a terminal");
    let wish = Wish::new(
        "fake-workload child{ name=child catch=INT:1ms ready hold } name=main catch=INT:1ms:5 state ready hold",
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
    assert!(state.contains(" ppid=1 "), "drainit is in front: {state}");
}
