//! The steps after the end: when the last process is gone, whatever the reason.

use std::time::{Duration, Instant};

use drainit::signal::Signal;

use crate::drain::{MAIN, hook, stopped};
use crate::harness::{BOTH, Finished, Gate, Init, Mode, took};
use crate::server::{Server, closed_port, listen, until_closed};

const FAMILY: &str = "daemon{ name=daemon catch=TERM:200ms ready hold } \
                      child{ name=worker catch=TERM:100ms ready hold } name=main ready";

/// The command ends by itself and leaves a daemon and a worker.
fn left(init: Init) -> Finished {
    let gate = Gate::closed();
    let mut init = init.workload(&format!("{FAMILY} await={} exit=7", gate.path())).start();
    init.ready(&["daemon", "worker", "main"]);
    gate.open();
    let run = init.finish();
    run.exits(7);
    run
}

#[test]
fn they_run_when_the_last_process_is_gone() {
    for mode in BOTH {
        let flags = ["--post-exit", &hook("say=first"), "--post-exit", &hook("sleep=100ms say=second")];
        let run = left(Init::new(mode).flags(&flags));
        run.in_order(&["worker finished", "daemon finished", "hook first", "hook second"]).silently();

        let mut init = Init::new(mode).flags(&flags).workload(&format!("{FAMILY} hold")).start();
        init.ready(&["daemon", "worker", "main"]).signal(Signal::TERM);
        let run = init.finish();
        run.exits(143)
            .in_order(&["worker finished", "daemon finished", "hook first", "hook second"])
            .silently();
    }
    let run = left(Init::new(Mode::PidOneForeignProc).flags(&["--post-exit", &hook("say=done")]));
    run.in_order(&["daemon finished", "hook done"]).silently();
}

#[test]
fn they_come_after_the_steps_before_the_stop() {
    for mode in BOTH {
        let flags = ["--post-exit", &hook("say=after"), "--pre-stop", &hook("say=before")];
        stopped(Init::new(mode).flags(&flags))
            .in_order(&["hook before", "main got TERM", "main finished", "hook after"])
            .silently();
    }
}

#[test]
fn the_environment_s_steps_are_sleep_command_and_http() {
    for mode in BOTH {
        let server =
            Server::saying(listen("127.0.0.1").expect("the loopback is there"), "HTTP/1.1 200 OK\r\n\r\n");
        let begun = Instant::now();
        let mut init = Init::new(mode)
            .env("DRAINIT_POST_EXIT_HTTP", format!("POST {}", server.url("/bye")))
            .env("DRAINIT_POST_EXIT", format!("{}\n{}", hook("say=one"), hook("say=two")))
            .env("DRAINIT_POST_EXIT_SLEEP", "200ms,100ms")
            .workload("say=gone exit=3")
            .start();
        init.line("gone").line("hook one");
        took(begun, Duration::from_millis(300));
        init.line("hook two");
        assert_eq!(server.request().lines.first().map(String::as_str), Some("POST /bye HTTP/1.1"));
        init.finish().exits(3).silently();
    }
}

#[test]
fn steps_run_in_the_order_in_which_they_were_typed() {
    for mode in BOTH {
        let server =
            Server::saying(listen("127.0.0.1").expect("the loopback is there"), "HTTP/1.1 200 OK\r\n\r\n");
        let (url, say) = (server.url("/"), hook("say=last"));
        let flags = ["--post-exit-http", &url, "--post-exit-sleep=300ms", "--post-exit", &say];
        let mut init = Init::new(mode).flags(&flags).workload("exit=3").start();
        let asked = server.request().at;
        init.line("hook last");
        took(asked, Duration::from_millis(300));
        init.finish().exits(3).silently();
    }
}

#[test]
fn they_know_what_the_stop_was_about() {
    for mode in BOTH {
        let look = hook("env=DRAINIT_RECEIVED_SIGNAL env=DRAINIT_DEADLINE_MS");
        for signal in [Signal::TERM, Signal::INT] {
            let mut init = Init::new(mode)
                .flags(&["--stop-signal=TERM,INT", "--post-exit", &look])
                .workload("name=main catch=TERM,INT:1ms:4 ready hold")
                .start();
            init.ready(&["main"]).signal(signal).line(&format!("hook env DRAINIT_RECEIVED_SIGNAL={signal}"));
            let left = init.line_after("hook env DRAINIT_DEADLINE_MS=");
            assert!((1..=10_000).contains(&left.parse::<u64>().expect("a number of milliseconds")), "{left}");
            init.finish().exits(4).silently();
        }
    }
}

#[test]
fn a_step_that_fails_is_one_warning_and_the_exit_code_is_the_command_s() {
    for mode in BOTH {
        let port = closed_port();
        for (flags, parts) in [
            (["--post-exit", &hook("exit=1")], ["post-exit command ", "fake-workload exited with 1"]),
            (["--post-exit", &hook("die=SEGV")], ["post-exit command ", "fake-workload died of SEGV"]),
            (
                ["--post-exit-http", &format!("http://127.0.0.1:{port}/")],
                [&format!("post-exit http 127.0.0.1:{port}: "), ""],
            ),
        ] {
            Init::new(mode).flags(&flags).workload("exit=7").run().exits(7).warns(&parts);
            stopped(Init::new(mode).flags(&flags)).warns(&parts);
        }
        // One that is not there is said at the start too.
        let run = Init::new(mode).flags(&["--post-exit", "/nowhere/at/all"]).workload("exit=7").run();
        let warnings = run.exits(7).warnings();
        let [at_the_start, then] = warnings.as_slice() else { panic!("not two warnings: {run:#?}") };
        assert!(
            at_the_start.ends_with("post-exit command /nowhere/at/all would fail: no such file"),
            "{run:?}"
        );
        assert!(
            then.ends_with("post-exit command /nowhere/at/all cannot be started: no such file"),
            "{run:?}"
        );
    }
}

#[test]
fn the_exit_code_is_mapped_as_ever() {
    for mode in BOTH {
        let flags = ["--remap-exit=143:0", "--post-exit", &hook("exit=9")];
        let mut init = Init::new(mode).flags(&flags).workload("name=main ready hold").start();
        init.ready(&["main"]).signal(Signal::TERM);
        init.finish().exits(0).warns(&["exited with 9"]);
    }
}

#[test]
fn they_run_after_a_kill_too_and_have_two_seconds_at_least() {
    for mode in BOTH {
        let flags = ["--grace-period=300ms", "--post-exit", &hook("sleep=700ms say=done")];
        let mut init = Init::new(mode).flags(&flags).workload("name=main ignore=TERM ready hold").start();
        init.ready(&["main"]).signal(Signal::TERM);
        init.finish().exits(137).in_order(&["hook done"]).warns(&["time is up: killing "]);
    }
}

#[test]
fn a_step_that_never_ends_has_what_is_left_of_the_grace_period_and_two_seconds_at_least() {
    for mode in BOTH {
        let flags = ["--grace-period=1s", "--post-exit", &hook("catch=TERM:1ms ready hold")];
        let mut init = Init::new(mode).flags(&flags).workload(MAIN).start();
        init.ready(&["main"]);
        let begun = Instant::now();
        init.signal(Signal::TERM);
        let run = init.finish();
        took(begun, Duration::from_secs(2));
        run.exits(4).in_order(&["hook got TERM"]).warns(&["post-exit command ", "fake-workload timed out"]);
    }
}

#[test]
fn one_that_ignores_everything_is_killed_with_all_that_it_started() {
    let stubborn = hook(
        "ignore=all child{ name=kid ignore=all ready hold } daemon{ name=far ignore=all ready hold } ready hold",
    );
    for mode in BOTH {
        let flags = ["--grace-period=1s", "--post-exit", &stubborn];
        let mut init = Init::new(mode).flags(&flags).workload(MAIN).start();
        init.ready(&["main"]);
        let begun = Instant::now();
        init.signal(Signal::TERM);
        // The end of the output is the end of all that hold it.
        let run = init.finish();
        took(begun, Duration::from_secs(2));
        run.exits(4);
        let timed_out = run.warnings().into_iter().filter(|line| line.contains("timed out"));
        assert_eq!(timed_out.count(), 1, "{run:?}");
    }
}

#[test]
fn without_a_grace_period_they_have_ten_seconds() {
    let begun = Instant::now();
    let flags = ["--post-exit", &hook("catch=TERM:1ms ready hold")];
    let run = Init::pid_one().flags(&flags).workload("exit=3").run();
    took(begun, Duration::from_secs(10));
    run.exits(3).in_order(&["hook got TERM"]).warns(&["post-exit command ", "fake-workload timed out"]);
}

#[test]
fn a_server_that_never_answers_takes_no_more_than_the_time() {
    for mode in BOTH {
        let server = Server::start(listen("127.0.0.1").expect("the loopback is there"), until_closed);
        let flags = ["--grace-period=1s", "--post-exit-http", &server.url("/")];
        let begun = Instant::now();
        stopped(Init::new(mode).flags(&flags)).warns(&["post-exit http ", &server.host(), "timed out"]);
        took(begun, Duration::from_secs(2));
    }
}

#[test]
fn what_a_step_leaves_behind_is_waited_for() {
    for mode in BOTH {
        let leaving = hook("daemon{ name=late catch=TERM sleep=500ms say=done } say=left");
        let run = Init::new(mode).flags(&["--post-exit", &leaving]).workload("exit=3").run();
        run.exits(3).in_order(&["hook left", "late done"]).silently();
    }
}

#[test]
fn what_a_step_leaves_behind_for_ever_is_not() {
    for mode in BOTH {
        let leaving = hook("daemon{ name=late ignore=TERM ready hold } say=left");
        let flags = ["--grace-period=1s", "--post-exit", &leaving];
        let begun = Instant::now();
        // The end of the output is the end of all that hold it.
        let run = stopped(Init::new(mode).flags(&flags));
        took(begun, Duration::ZERO);
        run.in_order(&["main finished", "hook left"]);
    }
}

#[test]
fn what_a_step_leaves_behind_gets_term_when_the_time_is_up() {
    for mode in BOTH {
        let leaving = hook("daemon{ name=late catch=TERM:1ms ready hold } say=left");
        let flags = ["--grace-period=1s", "--post-exit", &leaving];
        let begun = Instant::now();
        let run = Init::new(mode).flags(&flags).workload("exit=3").run();
        took(begun, Duration::from_secs(2));
        run.exits(3).in_order(&["hook left", "late got TERM"]);
    }
}

#[test]
fn nothing_runs_if_nothing_was_started() {
    for mode in BOTH {
        let run =
            Init::new(mode).flags(&["--post-exit", &hook("say=ran")]).command(&["/nowhere/at/all"]).run();
        run.exits(127);
        assert!(run.stdout.is_empty() && run.complaint().starts_with("drainit: error: "), "{run:?}");
    }
}
