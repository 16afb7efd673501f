//! Under Kata: what its agent makes of a stop. And filters of system calls, which refuse what drainit waits with.
//!
//! The rule is that of kata-agent 4.1.0: a TERM for a container's init becomes KILL if `/proc/PID/status` shows it as neither blocked nor
//! ignored nor caught. Any other signal goes as it is, and only to the init.

use std::time::{Duration, Instant};

use drainit::signal::Signal;
use drainit::sys::kill;
use serde_json::{Value, json};

use super::{Bundle, Container, runtimes};
use crate::harness::{took, wait_until};
use crate::idle::wait_of;
use crate::status::shown;

/// Sends the container's init what the agent would send.
fn agent_sends(container: &mut Container, signal: Signal) {
    let init = wait_until("drainit waits", || {
        let below = container.running().descendants();
        below.iter().find(|process| wait_of(process.pid).is_some()).map(|process| process.pid)
    });
    let seen = shown(init).expect("it is there").contains(signal);
    let sent = if signal == Signal::TERM && !seen { Signal::KILL } else { signal };
    kill::send(init, sent).expect("it is there");
}

/// A container that was stopped by the agent, and how long that took at least.
#[track_caller]
fn stopped(mut container: Container, signal: Signal, at_least: Duration) -> crate::harness::Finished {
    let begun = Instant::now();
    agent_sends(&mut container, signal);
    let run = container.finish();
    took(begun, at_least);
    run
}

#[test]
fn a_server_that_outlives_its_shell_finishes() {
    for runtime in runtimes() {
        let mut container = Bundle::new(runtime, "drainit -- sh -c")
            .word("fake-workload name=server catch=TERM:1s ready hold & wait")
            .start();
        container.ready(&["server"]);
        let run = stopped(container, Signal::TERM, Duration::from_secs(1));
        run.exits(143).in_order(&["server got TERM", "server finished"]).silently();
    }
}

#[test]
fn a_handler_has_its_time_and_its_exit_code() {
    for runtime in runtimes() {
        let line = "drainit -- fake-workload name=main catch=TERM:1500ms:42 ready hold";
        let mut container = Bundle::new(runtime, line).start();
        container.ready(&["main"]);
        let run = stopped(container, Signal::TERM, Duration::from_millis(1500));
        run.exits(42).in_order(&["main got TERM", "main finished"]).silently();
    }
}

#[test]
fn the_drain_comes_first() {
    for runtime in runtimes() {
        let line = "drainit --pre-stop-sleep 1s -- fake-workload name=main catch=TERM:1ms:4 ready hold";
        let mut container = Bundle::new(runtime, line).start();
        container.ready(&["main"]);
        stopped(container, Signal::TERM, Duration::from_secs(1)).exits(4).silently();
    }
}

#[test]
fn an_entrypoint_that_ignores_the_signal_is_drainit_s_to_end() {
    for runtime in runtimes() {
        let line = "drainit -- fake-workload name=main ignore=TERM ready hold";
        let mut container = Bundle::new(runtime, line).start();
        container.ready(&["main"]);
        let run = stopped(container, Signal::TERM, Duration::from_secs(2));
        run.exits(137).warns(&["TERM is ignored"]);
    }
}

#[test]
fn a_pause_ends_with_0() {
    for runtime in runtimes() {
        let container = Bundle::new(runtime, "drainit --pause").start();
        stopped(container, Signal::TERM, Duration::ZERO).exits(0).silently();
    }
}

#[test]
fn another_stop_signal_goes_as_it_is() {
    for runtime in runtimes() {
        let line = "drainit --stop-signal INT --pre-stop-sleep 100ms -- fake-workload name=main catch=INT:1ms:4 ready hold";
        let mut container = Bundle::new(runtime, line).start();
        container.ready(&["main"]);
        let run = stopped(container, Signal::INT, Duration::from_millis(100));
        run.exits(4).in_order(&["main got INT", "main finished"]).silently();
    }
}

/// A container in which these system calls are refused.
fn refusing(mut bundle: Bundle, calls: &[&str]) -> Bundle {
    let refused: Value = json!({ "names": calls, "action": "SCMP_ACT_ERRNO" });
    bundle.setting("/linux")["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused] });
    bundle
}

#[test]
fn what_a_filter_refuses_is_done_in_another_way() {
    let reason = "no signalfd (operation not permitted";
    // The fake workload waits with some of what is refused; a shell does not.
    let script = "trap 'echo got USR1' USR1; trap 'echo got TERM; exit 4' TERM; echo ready; \
                  while :; do busybox sleep 0.02; done";
    for runtime in runtimes() {
        for (calls, is_said) in [
            (&["signalfd4", "signalfd"][..], true),
            (&["ppoll"][..], true),
            (&["rt_sigtimedwait"][..], false),
            (&["signalfd4", "ppoll", "close_range", "pidfd_open"][..], true),
            (&["kill"][..], false),
            (&["clock_gettime", "readlink", "readlinkat"][..], false),
        ] {
            let bundle = Bundle::new(runtime, "drainit -v --pre-stop-sleep 50ms -- sh -c").word(script);
            let mut container = refusing(bundle, calls).start();
            container.running().line("ready");
            container.kill("USR1").running().line("got USR1");
            container.kill("TERM");
            let run = container.finish();
            run.exits(4).in_order(&["got USR1", "got TERM"]);
            assert_eq!(run.stderr.iter().any(|line| line.contains(reason)), is_said, "{calls:?}: {run:#?}");
        }
    }
}

#[test]
fn a_wait_that_is_refused_for_good_is_an_error_before_anything_runs() {
    let refusals = [&["signalfd4", "rt_sigtimedwait"][..], &["ppoll", "rt_sigtimedwait"][..]];
    for runtime in runtimes() {
        for calls in refusals {
            for line in ["drainit -- fake-workload say=started", "drainit --pause"] {
                let run = refusing(Bundle::new(runtime, line), calls).start().finish();
                run.exits(125);
                assert_eq!(
                    run.complaint(),
                    "drainit: error: cannot wait for signals: operation not permitted"
                );
                assert!(run.stdout.is_empty(), "nothing was started: {run:#?}");
            }
        }
    }
}
