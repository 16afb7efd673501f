//! The stages of a requested stop: which signals, to which processes, and how far apart.

use std::time::{Duration, Instant};

use drainit::signal::Signal;

use crate::harness::{BOTH, Gate, Init, stays, took};

#[test]
fn each_stage_reaches_its_own_target_in_its_own_time() {
    let family = "child{ name=worker catch=TERM,INT,QUIT ready hold } \
                  session{ name=far catch=TERM,INT,QUIT ready hold } name=main catch=TERM,INT,QUIT ready hold";
    for mode in BOTH {
        for init in [
            Init::new(mode)
                .flags(&["--stop-schedule", "TERM@main/500ms/INT@group/500ms/QUIT@all/500ms/KILL"]),
            Init::new(mode).env("DRAINIT_STOP_SCHEDULE", "15@main/500ms/int@group/500ms/SIGQUIT@all/500ms"),
        ] {
            let mut init = init.workload(family).start();
            init.ready(&["worker", "far", "main"]);
            let begun = Instant::now();
            init.signal(Signal::TERM);
            init.line("main got TERM").line("main got INT");
            took(begun, Duration::from_millis(500));
            init.line("main got QUIT");
            took(begun, Duration::from_millis(1_000));
            let run = init.finish();
            took(begun, Duration::from_millis(1_500));
            run.exits(137);
            let says =
                ["going on to INT; still there: fake-workload (", "going on to QUIT", "time is up: killing "];
            assert!(run.warnings().iter().zip(says).all(|(line, said)| line.contains(said)), "{run:?}");
            assert_eq!(run.warnings().len(), says.len(), "{run:?}");
            for line in ["worker got TERM", "far got TERM", "far got INT"] {
                assert_eq!(run.count(line), 0, "{line}: {run:?}");
            }
            for line in [
                "main got TERM",
                "main got INT",
                "main got QUIT",
                "worker got INT",
                "worker got QUIT",
                "far got QUIT",
            ] {
                assert_eq!(run.count(line), 1, "{line}: {run:?}");
            }
        }
    }
}

#[test]
fn a_stop_that_is_done_needs_no_further_stage() {
    for mode in BOTH {
        let flags = ["--stop-schedule=TERM/1h/QUIT/1h/KILL"];
        let family =
            "child{ name=worker catch=TERM:300ms ready hold } name=main catch=TERM:100ms:4 ready hold";
        let mut init = Init::new(mode).flags(&flags).workload(family).start();
        init.ready(&["worker", "main"]);
        let begun = Instant::now();
        init.signal(Signal::TERM);
        init.finish().exits(4).in_order(&["worker got TERM", "worker finished"]).silently();
        took(begun, Duration::from_millis(300));
    }
}

#[test]
fn the_first_stage_replaces_the_signal_that_came() {
    for mode in BOTH {
        let flags = ["--stop-schedule=INT/1h/KILL", "--rewrite=TERM:HUP"];
        let family = "name=main catch=TERM,HUP catch=INT:1ms:4 ready hold";
        let mut init = Init::new(mode).flags(&flags).workload(family).start();
        init.ready(&["main"]).signal(Signal::TERM);
        let run = init.finish();
        run.exits(4).in_order(&["main got INT", "main finished"]).silently();
        assert_eq!((run.count("main got TERM"), run.count("main got HUP")), (0, 0), "{run:?}");
    }
}

#[test]
fn a_schedule_is_for_the_command_s_own_exit_too() {
    for mode in BOTH {
        let gate = Gate::closed();
        let family = "daemon{ name=daemon catch=INT ready hold } await=GATE exit=5";
        let flags = ["--stop-schedule=INT/500ms/KILL"];
        let mut init = Init::new(mode).flags(&flags).workload(&family.replace("GATE", &gate.path())).start();
        init.ready(&["daemon"]);
        let begun = Instant::now();
        gate.open();
        let run = init.finish();
        run.exits(5).in_order(&["daemon got INT"]).warns(&["time is up: killing fake-workload ("]);
        took(begun, Duration::from_millis(500));
    }
}

#[test]
fn for_ever_is_until_the_grace_period_is_over() {
    for mode in BOTH {
        let flags = ["--stop-schedule=TERM/forever", "--ignored-after=200ms", "--grace-period=2s"];
        let mut init = Init::new(mode).flags(&flags).workload("name=main ignore=TERM ready hold").start();
        init.ready(&["main"]);
        let begun = Instant::now();
        init.signal(Signal::TERM);
        init.finish().exits(137).warns(&["time is up: killing fake-workload ("]);
        took(begun, Duration::from_secs(2));
    }
}

#[test]
fn for_ever_is_for_ever_without_a_grace_period() {
    for mode in BOTH {
        let gate = Gate::closed();
        let flags = ["--stop-schedule=TERM/forever", "--ignored-after=200ms"];
        let family = format!("name=main ignore=TERM ready await={} exit=4", gate.path());
        let mut init = Init::new(mode).flags(&flags).workload(&family).start();
        init.ready(&["main"]).signal(Signal::TERM);
        stays(Duration::from_secs(1), || init.descendants().len() == 1);
        gate.open();
        init.finish().exits(4).silently();
    }
}

#[test]
fn the_grace_period_cuts_a_longer_schedule_short() {
    for mode in BOTH {
        let flags = ["--stop-schedule=TERM/1h/QUIT/1h/KILL", "--grace-period=500ms"];
        let mut init = Init::new(mode).flags(&flags).workload("name=main catch=TERM,QUIT ready hold").start();
        init.ready(&["main"]);
        let begun = Instant::now();
        init.signal(Signal::TERM);
        let run = init.finish();
        run.exits(137).in_order(&["main got TERM"]).warns(&["time is up: killing "]);
        assert_eq!(run.count("main got QUIT"), 0, "{run:?}");
        took(begun, Duration::from_millis(500));
    }
}

#[test]
fn a_stage_for_all_reaches_processes_not_signalled_before() {
    for mode in BOTH {
        let flags = ["--stop-schedule=TERM@main/300ms/TERM@all/1h"];
        let family =
            "session{ name=far catch=TERM:1ms ready hold } name=main catch=TERM catch=USR1:1ms:4 ready hold";
        let mut init = Init::new(mode).flags(&flags).workload(family).start();
        init.ready(&["far", "main"]);
        let begun = Instant::now();
        init.signal(Signal::TERM);
        init.line("main got TERM").line("far got TERM");
        took(begun, Duration::from_millis(300));
        init.line("far finished").signal(Signal::USR1);
        init.finish().exits(4).warns(&["going on to TERM", "fake-workload ("]);
    }
}
