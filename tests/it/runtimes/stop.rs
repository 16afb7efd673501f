//! A stop as the runtime asks for it: one TERM to the container's first process.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Bundle, runtimes};

#[test]
fn a_server_under_a_shell_that_dies_finishes_its_work() {
    for runtime in runtimes() {
        let mut container = Bundle::new(runtime, "drainit -- sh -c")
            .word("fake-workload name=server catch=TERM:300ms ready hold & wait")
            .start();
        container.ready(&["server"]).kill("TERM");
        container.finish().exits(143).in_order(&["server got TERM", "server finished"]).silently();
    }
}

#[test]
fn a_daemon_in_a_session_of_its_own_is_signalled_and_finishes() {
    let family =
        "drainit -- fake-workload daemon{ name=daemon catch=TERM:300ms ready hold } name=main ready hold";
    for runtime in runtimes() {
        let mut container = Bundle::new(runtime, family).start();
        container.ready(&["daemon", "main"]).kill("TERM");
        container.finish().exits(143).in_order(&["daemon got TERM", "daemon finished"]).silently();
    }
}

#[test]
fn when_the_command_ends_by_itself_the_rest_gets_time() {
    let family =
        "drainit -- fake-workload daemon{ name=daemon catch=TERM:300ms ready hold } await=/open exit=7";
    for runtime in runtimes() {
        let mut container = Bundle::new(runtime, family).start();
        container.ready(&["daemon"]).make("open");
        container.finish().exits(7).in_order(&["daemon got TERM", "daemon finished"]).silently();
    }
}

#[test]
fn a_process_that_ignores_the_signal_is_killed_at_the_end_of_the_grace_period() {
    for runtime in runtimes() {
        let mut container = Bundle::new(runtime, "drainit --grace-period 300ms -- sh -c")
            .word("trap '' TERM; fake-workload name=server ready hold & wait")
            .start();
        container.ready(&["server"]).kill("TERM");
        let run = container.finish();
        run.exits(137);
        assert!(run.complaint().contains(" after the stop began, time is up: killing "), "{run:?}");
    }
}

#[test]
fn an_entrypoint_that_ignores_the_signal_ends_long_before_that() {
    for runtime in runtimes() {
        let mut container = Bundle::new(runtime, "drainit --grace-period 30s -- sh -c")
            .word("trap '' TERM; echo ready; while :; do busybox sleep 1; done")
            .start();
        container.running().line("ready");
        let begun = Instant::now();
        container.kill("TERM");
        let run = container.finish();
        let took = begun.elapsed();
        run.exits(137);
        assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(15), "{took:?}: {run:?}");
        let ignored = |line: &&String| line.contains("TERM is ignored");
        let [warning] = run.stderr.iter().filter(ignored).collect::<Vec<_>>()[..] else {
            panic!("not exactly one: {run:?}")
        };
        assert!(warning.starts_with("drainit: warning: "), "{run:?}");
    }
}

#[test]
fn an_exec_is_neither_signalled_nor_waited_for() {
    let family = "drainit -- fake-workload daemon{ name=daemon catch=TERM:300ms ready hold } \
                  name=main catch=TERM:1ms:3 ready hold";
    for runtime in runtimes() {
        let mut container = Bundle::new(runtime, family).start();
        container.ready(&["daemon", "main"]);
        let mut guest =
            container.exec("child{ name=child catch=TERM ready hold } name=guest catch=TERM ready hold");
        guest.ready(&["guest", "child"]);
        container.kill("TERM");
        container.finish().exits(3).in_order(&["main finished", "daemon finished"]).silently();
        // The kernel ends it with the namespace; it never heard of the stop.
        let guest = guest.finish();
        guest.exits(137);
        assert_eq!(guest.count("guest got TERM") + guest.count("child got TERM"), 0, "{guest:?}");
    }
}

#[test]
fn another_signal_is_forwarded_and_real_time_ones_are_too() {
    for runtime in runtimes() {
        let mut container =
            Bundle::new(runtime, "drainit -- fake-workload name=main take=HUP,RTMIN+3 ready hold").start();
        container.ready(&["main"]);
        // The number is what every version of them understands; it is SIGRTMIN+3.
        for (signal, line) in [("37", "main got RTMIN+3"), ("HUP", "main got HUP")] {
            container.kill(signal).running().line(line);
        }
        container.kill("TERM");
        container.finish().exits(143).silently();
    }
}

#[test]
fn nothing_needs_root_or_a_root_folder_that_can_be_written() {
    for runtime in runtimes() {
        let mut container = Bundle::new(runtime, "drainit -- sh -c")
            .word(
                "(: > /new) 2> /dev/null && exit 1; (: > /dev/new) 2> /dev/null && exit 2; \
                 fake-workload ids; fake-workload name=daemon catch=TERM:300ms ready hold & wait",
            )
            .with("/root/readonly", json!(true))
            .with("/process/user", json!({ "uid": 65534, "gid": 65534 }))
            .start();
        container.ready(&["daemon"]).kill("TERM");
        let run = container.finish();
        run.exits(143).in_order(&["daemon got TERM", "daemon finished"]).silently();
        assert_eq!(run.count("ids uid=65534 gid=65534 groups="), 1, "{run:?}");
    }
}

#[test]
fn without_a_pid_namespace_every_process_is_signalled_all_the_same() {
    let family = "drainit -- fake-workload daemon{ name=daemon catch=TERM:300ms ready hold } name=main state ready hold";
    for runtime in runtimes() {
        let mut container = Bundle::new(runtime, family).without_pid_namespace().start();
        container.ready(&["daemon", "main"]).kill("TERM");
        let run = container.finish();
        run.exits(143).in_order(&["daemon got TERM", "daemon finished"]).silently();
        let foreign = |line: &String| line.starts_with("main state ") && !line.contains(" ppid=1 ");
        assert!(run.stdout.iter().any(foreign), "drainit is not PID 1 here: {run:?}");
    }
}
