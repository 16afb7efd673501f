//! A stop: every process is signalled once, waited for, and killed only when the time is up.

use std::process::{Command, Stdio};

use drainit::signal::Signal;

use crate::harness::{BOTH, Gate, Init, Mode, WORKLOAD, wait_until};

#[test]
fn a_server_under_a_shell_that_dies_finishes_its_work() {
    for mode in BOTH {
        let script = format!("{WORKLOAD} name=server catch=TERM:300ms ready hold & wait");
        let mut init = Init::new(mode).command(&["sh", "-c", &script]).start();
        init.line_after("server ready");
        init.signal(Signal::TERM);
        let run = init.finish();
        run.exits(143).in_order(&["server got TERM", "server finished"]).silently();
    }
}

#[test]
fn a_daemon_in_a_session_of_its_own_is_signalled_and_finishes() {
    for mode in BOTH {
        let family = "daemon{ name=daemon catch=TERM:300ms ready hold } name=main ready hold";
        let mut init = Init::new(mode).workload(family).start();
        init.ready(&["daemon", "main"]).signal(Signal::TERM);
        init.finish().exits(143).in_order(&["daemon got TERM", "daemon finished"]).silently();
    }
}

#[test]
fn when_the_command_ends_by_itself_the_rest_gets_time() {
    for mode in [Mode::PidOne, Mode::Subreaper, Mode::PidOneForeignProc] {
        let family = "child{ name=worker catch=TERM:200ms ready hold } \
                      daemon{ name=daemon catch=TERM:200ms ready hold } await=GATE exit=7";
        let gate = Gate::closed();
        let mut init = Init::new(mode).workload(&family.replace("GATE", &gate.path())).start();
        init.ready(&["worker", "daemon"]);
        gate.open();
        let run = init.finish();
        run.exits(7)
            .in_order(&["worker got TERM", "worker finished"])
            .in_order(&["daemon got TERM", "daemon finished"]);
        assert_eq!((run.count("worker got TERM"), run.count("daemon got TERM")), (1, 1));
    }
}

#[test]
fn a_stopped_command_can_die() {
    for mode in BOTH {
        let mut init = Init::new(mode).workload("ready stop").start();
        let _ = init.line_after("ready");
        wait_until("it is stopped", || {
            init.descendants().iter().any(|process| process.state == b'T').then_some(())
        });
        init.signal(Signal::TERM);
        init.finish().exits(143).silently();
    }
}

#[test]
fn no_process_is_signalled_twice() {
    // Each of them dies of a second TERM before it has finished.
    let family = "child{ name=worker once=TERM:400ms ready hold } \
                  session{ name=session once=TERM:400ms ready hold } \
                  daemon{ name=daemon once=TERM:400ms ready hold } name=main catch=TERM:100ms ready hold";
    for mode in BOTH {
        for target in ["group", "main", "all"] {
            let mut init = Init::new(mode).flags(&["--forward-to", target]).workload(family).start();
            init.ready(&["worker", "session", "daemon", "main"]);
            init.signal(Signal::TERM);
            let run = init.finish();
            run.exits(0).silently();
            for name in ["worker", "session", "daemon", "main"] {
                run.in_order(&[&format!("{name} got TERM"), &format!("{name} finished")]);
                assert_eq!(run.count(&format!("{name} got TERM")), 1, "{target}: {run:?}");
            }
        }
    }
}

#[test]
fn with_main_as_the_target_the_workers_are_signalled_when_main_is_gone() {
    for mode in BOTH {
        let family = "child{ name=worker catch=TERM:1ms ready hold } name=main catch=TERM:100ms ready hold";
        let mut init = Init::new(mode).flags(&["--single-child"]).workload(family).start();
        init.ready(&["worker", "main"]);
        init.signal(Signal::TERM);
        init.finish().exits(0).in_order(&[
            "main got TERM",
            "main finished",
            "worker got TERM",
            "worker finished",
        ]);
    }
}

#[test]
fn what_a_signalled_process_starts_to_clean_up_is_not_signalled() {
    let cleanup = format!("{WORKLOAD} name=cleanup catch=TERM sleep=200ms say=done");
    let shell = format!(
        "trap \"{cleanup}; kill \\$!\" TERM; {WORKLOAD} name=job catch=TERM:1ms ready hold & wait; wait"
    );
    let script = format!("setsid sh -c '{shell}' & exec {WORKLOAD} name=main catch=TERM:1ms ready hold");
    for mode in BOTH {
        let mut init = Init::new(mode).command(&["sh", "-c", &script]).start();
        init.ready(&["job", "main"]);
        init.signal(Signal::TERM);
        let run = init.finish();
        run.exits(0).in_order(&["main finished", "cleanup done"]).silently();
        assert_eq!(run.count("cleanup got TERM"), 0, "{run:?}");
    }
}

#[test]
fn the_grace_period_ends_in_kill_and_names_what_was_killed() {
    let family = "daemon{ name=daemon ignore=all ready hold } child{ name=worker ignore=TERM ready hold } \
                  name=main ignore=TERM ready hold";
    for mode in [Mode::PidOne, Mode::Subreaper, Mode::PidOneForeignProc] {
        let mut init = Init::new(mode).flags(&["--grace-period", "300ms"]).workload(family).start();
        init.ready(&["worker", "daemon", "main"]);
        init.signal(Signal::TERM);
        let run = init.finish();
        run.exits(137);
        assert!(run.complaint().contains(" after the stop began, time is up: killing "), "{run:?}");
        if mode != Mode::PidOneForeignProc {
            assert_eq!(run.complaint().matches("fake-workload (").count(), 3, "{run:?}");
        }
    }
}

#[test]
fn a_grace_period_that_is_not_needed_is_not_used() {
    for mode in BOTH {
        let mut init =
            Init::new(mode).flags(&["--grace-period", "2h"]).workload("catch=TERM:50ms:3 ready hold").start();
        init.line_after("ready");
        init.signal(Signal::TERM);
        init.finish().exits(3).in_order(&["got TERM", "finished"]).silently();
    }
}

#[test]
fn without_any_grace_kill_comes_at_once() {
    for mode in BOTH {
        let mut init =
            Init::new(mode).flags(&["--grace-period", "0"]).workload("catch=TERM ready hold").start();
        init.line_after("ready");
        init.signal(Signal::TERM);
        let run = init.finish();
        run.exits(137);
        assert_eq!(run.count("got TERM"), 0);
    }
}

#[test]
fn with_endless_patience_ignoring_processes_have_ten_seconds_after_the_command_s_own_exit() {
    let gate = Gate::closed();
    let family = format!("daemon{{ name=daemon ignore=TERM ready hold }} await={} exit=5", gate.path());
    let mut init = Init::pid_one().flags(&["--ignored-after", "never"]).workload(&family).start();
    init.ready(&["daemon"]);
    let begun = std::time::Instant::now();
    gate.open();
    let run = init.finish();
    run.exits(5);
    let said = run.warnings();
    assert!(said.iter().any(|line| line.contains("time is up: killing fake-workload (")), "{run:?}");
    assert!(begun.elapsed() >= std::time::Duration::from_secs(10));
}

#[test]
fn a_request_after_the_command_s_own_exit_takes_its_limit_away() {
    for mode in BOTH {
        let gate = Gate::closed();
        let family = "daemon{ name=worker catch=TERM catch=USR1:1ms ready hold } await=GATE exit=5";
        let family = family.replace("GATE", &gate.path());
        let mut init = Init::new(mode).flags(&["--grace-period", "1h"]).workload(&family).start();
        init.ready(&["worker"]);
        gate.open();
        // Signalled because the command has gone, and once more by a later request, which is forwarded like any signal.
        init.line("worker got TERM");
        init.idle();
        wait_until("a later request is forwarded", || {
            init.signal(Signal::TERM);
            init.try_line("worker got TERM").then_some(())
        });
        init.signal(Signal::USR1);
        init.finish().exits(5);
    }
}

#[test]
fn with_wait_for_all_the_command_s_own_exit_stops_nothing() {
    for mode in BOTH {
        let family = "daemon{ name=daemon catch=TERM:1ms:1 sleep=300ms say=done } exit=6";
        let run = Init::new(mode).flags(&["--wait-for-all"]).workload(family).run();
        run.exits(6).in_order(&["daemon done"]).silently();
        assert_eq!(run.count("daemon got TERM"), 0);

        let family = "daemon{ name=daemon catch=TERM:1ms ready hold } exit=6";
        let mut init = Init::new(mode).env("DRAINIT_WAIT_FOR_ALL", "1").workload(family).start();
        init.line_after("daemon ready");
        wait_until("the command is gone", || (init.descendants().len() == 1).then_some(()));
        init.signal(Signal::TERM);
        init.finish().exits(6).in_order(&["daemon got TERM", "daemon finished"]);
    }
}

#[test]
fn the_stop_signal_can_be_another_one() {
    for mode in BOTH {
        let family = "daemon{ name=daemon catch=TERM,QUIT:1ms ready hold } name=main catch=TERM catch=QUIT:1ms:4 ready hold";
        let mut init = Init::new(mode).flags(&["--stop-signal", "QUIT,RTMIN+3"]).workload(family).start();
        init.ready(&["daemon", "main"]);
        // No stop: only the group gets it, and the daemon hears nothing of it.
        init.signal(Signal::TERM).line("main got TERM");
        init.signal(Signal::QUIT);
        let run = init.finish();
        run.exits(4)
            .in_order(&["main got QUIT", "main finished"])
            .in_order(&["daemon got QUIT", "daemon finished"]);
        assert_eq!(run.count("daemon got TERM"), 0);
    }
}

#[test]
fn the_request_is_rewritten_for_every_process() {
    for mode in BOTH {
        let family = "daemon{ name=daemon catch=QUIT:1ms ready hold } name=main catch=QUIT:1ms ready hold";
        let mut init = Init::new(mode).env("DRAINIT_REWRITE", "TERM:QUIT").workload(family).start();
        init.ready(&["daemon", "main"]);
        init.signal(Signal::TERM);
        let run = init.finish();
        run.exits(0)
            .in_order(&["main got QUIT", "main finished"])
            .in_order(&["daemon got QUIT", "daemon finished"]);
    }
}

#[test]
fn a_second_request_at_once_is_a_duplicate_and_a_later_one_is_forwarded() {
    for mode in BOTH {
        let mut init = Init::new(mode).workload("catch=TERM catch=USR1:1ms ready hold").start();
        init.line_after("ready");
        let asked = std::time::Instant::now();
        init.signal(Signal::TERM).line("got TERM");
        wait_until("a later one is forwarded", || {
            init.signal(Signal::TERM);
            init.try_line("got TERM").then_some(())
        });
        assert!(asked.elapsed() >= drainit::plan::DUPLICATE_WINDOW, "the ones before were dropped");
        init.signal(Signal::USR1);
        init.finish().exits(0);
    }
}

#[test]
fn a_process_from_outside_is_neither_signalled_nor_waited_for() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not run: only root can enter the namespace from outside");
        return;
    }
    let mut init = Init::pid_one().workload("catch=TERM:1ms:3 ready hold").start();
    init.line_after("ready");
    let target = init.pid().to_string();
    let mut guest = Command::new("nsenter")
        .args(["--target", &target, "--pid", "--mount", "--", WORKLOAD, "catch=TERM", "ready", "hold"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("nsenter is part of util-linux, as unshare is");
    let mut said = std::io::BufReader::new(guest.stdout.take().expect("a pipe"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).expect("the guest says that it is ready");
    assert!(line.starts_with("ready"), "{line}");
    init.signal(Signal::TERM);
    init.finish().exits(3).silently();
    // The kernel ends it with the namespace; it never heard of the stop.
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut said, &mut rest).expect("until it is gone");
    assert_eq!(rest, "");
    assert!(!guest.wait().expect("our own child").success());
}
