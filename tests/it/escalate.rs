//! Processes that ignore the signal are not waited for; those at work are.

use std::path::Path;
use std::time::{Duration, Instant};

use drainit::signal::Signal;

use crate::harness::{BOTH, Finished, Gate, Init, Mode, WORKLOAD, stays, took, wait_until};
use crate::start::field;

/// What is said of them.
const IGNORED: &str = "TERM is ignored, so waiting cannot help: killing ";

/// How long they are waited for if no option says otherwise.
const PATIENCE: Duration = Duration::from_secs(2);

/// A grace period that no test waits for.
const LONG: &str = "--grace-period=5m";

fn bash() -> Option<&'static str> {
    let found = Path::new("/bin/bash").exists().then_some("/bin/bash");
    if found.is_none() {
        eprintln!("not run: there is no /bin/bash");
    }
    found
}

/// Requests a stop of the family when these are ready; returns what came of it, and when the signal was sent.
fn signalled(init: Init, names: &[&str]) -> (Finished, Instant) {
    let mut init = init.start();
    init.ready(names);
    let begun = Instant::now();
    init.signal(Signal::TERM);
    (init.finish(), begun)
}

#[test]
fn a_shell_that_ignores_the_signal_is_killed_long_before_the_grace_period_is_over() {
    let Some(bash) = bash() else { return };
    for mode in BOTH {
        let script = "trap '' TERM; echo main ready $$; while :; do sleep 1; done";
        let (run, begun) = signalled(
            Init::new(mode).flags(&["--grace-period=30s"]).command(&[bash, "-c", script]),
            &["main"],
        );
        took(begun, PATIENCE);
        run.exits(137).warns(&[IGNORED, "bash ("]);
    }
}

#[test]
fn its_job_is_at_work_and_is_waited_for_though_it_ignores_the_signal_too() {
    let Some(bash) = bash() else { return };
    for mode in BOTH {
        let script =
            format!("trap '' TERM; {WORKLOAD} name=job ready sleep=4s say=done; while :; do sleep 1; done");
        let (run, begun) =
            signalled(Init::new(mode).flags(&[LONG]).command(&[bash, "-c", &script]), &["job"]);
        took(begun, PATIENCE);
        run.exits(137).in_order(&["job done"]).warns(&[IGNORED, "bash ("]);
    }
}

#[test]
fn a_family_that_ignores_the_signal_and_works_is_waited_for() {
    for mode in BOTH {
        let gate = Gate::closed();
        let family = format!(
            "child{{ name=job ignore=TERM ready await={} say=done }} name=main ignore=TERM ready wait exit=3",
            gate.path()
        );
        let mut init = Init::new(mode).flags(&[LONG, "--ignored-after=200ms"]).workload(&family).start();
        init.ready(&["job", "main"]).signal(Signal::TERM);
        stays(Duration::from_secs(1), || init.descendants().iter().filter(|one| one.is_alive()).count() == 2);
        gate.open();
        let run = init.finish();
        run.in_order(&["job done"]);
        // It leaves by itself unless drainit looks between the job's end and its own.
        assert!(matches!((run.code, run.warnings().len()), (3, 0) | (137, 1)), "{run:?}");
    }
}

#[test]
fn an_ignoring_shell_s_jobs_in_groups_of_their_own_are_signalled() {
    let Some(bash) = bash() else { return };
    for mode in BOTH {
        // The first job has the signal at its default, those of the loop ignore it.
        let script = format!(
            "set -m; {WORKLOAD} name=job catch=TERM:100ms state ready hold & \
             trap '' TERM; echo main ready $$; while :; do sleep 1; done"
        );
        let init = Init::new(mode).flags(&[LONG]).command(&[bash, "-c", &script]);
        let (run, begun) = signalled(init, &["job", "main"]);
        took(begun, PATIENCE);
        run.exits(137).in_order(&["job got TERM", "job finished"]).warns(&[IGNORED, "bash ("]);
        assert_eq!(run.count("job got TERM"), 1, "{run:?}");
        let state = run.stdout.iter().find(|line| line.starts_with("job state")).expect("it said so");
        assert_eq!(field(state, "pid"), field(state, "pgrp"));
    }
}

#[test]
fn an_interactive_shell_ignores_the_signal_by_itself() {
    let Some(bash) = bash() else { return };
    for mode in BOTH {
        // While it forks it has the signal blocked and at its default: it is signalled when that is over.
        let script = format!(
            "{WORKLOAD} name=job catch=TERM:100ms ready hold & (sleep 0.3; echo main ready $$) & while :; do sleep 1; done"
        );
        // In a session of its own: it must not take the terminal that this test runs in.
        let init = Init::new(mode).under(&["setsid"]).flags(&[LONG]);
        let init = init.command(&[bash, "--norc", "-i", "-c", &script]);
        let (run, begun) = signalled(init, &["job", "main"]);
        took(begun, PATIENCE);
        run.exits(137).in_order(&["job got TERM", "job finished"]).warns(&[IGNORED, "bash ("]);
        assert_eq!(run.count("job got TERM"), 1, "{run:?}");
    }
}

#[test]
fn every_process_is_signalled_before_any_is_killed() {
    let family = "group{ name=group once=TERM:700ms ready hold } \
                  session{ name=session once=TERM:700ms ready hold } \
                  daemon{ name=daemon once=TERM:700ms ready hold } \
                  child{ name=worker once=TERM:700ms ready hold } name=main ignore=TERM ready hold";
    for mode in BOTH {
        let names = ["group", "session", "daemon", "worker", "main"];
        let init = Init::new(mode).flags(&[LONG, "--ignored-after=300ms"]).workload(family);
        let (run, begun) = signalled(init, &names);
        took(begun, Duration::from_millis(900));
        run.exits(137).warns(&[IGNORED, "fake-workload ("]);
        for name in names.into_iter().filter(|name| *name != "main") {
            // A second TERM would have killed it before it has finished.
            run.in_order(&[&format!("{name} got TERM"), &format!("{name} finished")]);
            assert_eq!(run.count(&format!("{name} got TERM")), 1, "{run:?}");
        }
    }
}

#[test]
fn a_shell_s_trap_runs_when_its_job_has_ended() {
    let Some(bash) = bash() else { return };
    for mode in BOTH {
        let script =
            format!("trap 'echo trapped; exit 5' TERM; {WORKLOAD} name=job ready hold; echo too far");
        let (run, _) = signalled(Init::new(mode).flags(&[LONG]).command(&[bash, "-c", &script]), &["job"]);
        run.exits(5).in_order(&["trapped"]);
        assert!(run.warnings().is_empty() && run.count("too far") == 0, "{run:?}");
    }
}

#[test]
fn a_shell_with_a_trap_is_waited_for_while_its_job_works_on() {
    let Some(bash) = bash() else { return };
    for mode in BOTH {
        let script = format!(
            "trap 'echo trapped; exit 5' TERM; {WORKLOAD} name=job catch=TERM:1s ready hold; echo too far"
        );
        let flags = [LONG, "--ignored-after=200ms"];
        let (run, begun) = signalled(Init::new(mode).flags(&flags).command(&[bash, "-c", &script]), &["job"]);
        took(begun, Duration::from_secs(1));
        run.exits(5).in_order(&["job got TERM", "job finished", "trapped"]).silently();
    }
}

#[test]
fn a_trap_that_ignores_further_signals_cleans_up_undisturbed() {
    let Some(bash) = bash() else { return };
    for mode in BOTH {
        let gate = Gate::closed();
        let script = format!(
            "cleanup() {{ trap '' TERM; echo cleaning; {WORKLOAD} await={}; echo cleaned; exit 6; }}; \
             trap cleanup TERM; echo main ready $$; while :; do sleep 1; done",
            gate.path()
        );
        let flags = [LONG, "--ignored-after=200ms"];
        let mut init = Init::new(mode).flags(&flags).command(&[bash, "-c", &script]).start();
        init.ready(&["main"]).signal(Signal::TERM).line("cleaning");
        stays(Duration::from_secs(1), || init.descendants().iter().any(|process| process.is_alive()));
        gate.open();
        let run = init.finish();
        run.exits(6).in_order(&["cleaned"]);
        assert!(run.warnings().is_empty(), "{run:?}");
    }
}

#[test]
fn a_worker_finishes_under_a_command_that_ignores_the_signal() {
    for mode in BOTH {
        let family = "child{ name=worker catch=TERM:3s ready hold } name=main ignore=TERM ready hold";
        let (run, begun) = signalled(Init::new(mode).flags(&[LONG]).workload(family), &["worker", "main"]);
        took(begun, Duration::from_secs(3));
        run.exits(137).in_order(&["worker got TERM", "worker finished"]).warns(&[IGNORED, "fake-workload ("]);
        assert_eq!(run.complaint().matches("fake-workload (").count(), 1, "the worker was gone: {run:?}");
    }
}

#[test]
fn a_signal_that_is_blocked_and_taken_later_is_not_ignored() {
    for mode in BOTH {
        // A signal that is blocked or waited for is kept for it, even if it is ignored.
        let ways = [
            ("take=TERM", 1),
            ("block=TERM", 0),
            ("ignore=TERM take=TERM", 1),
            ("ignore=TERM block=TERM", 0),
        ];
        for (how, got) in ways {
            let gate = Gate::closed();
            let family = format!("name=main {how} ready await={} exit=3", gate.path());
            let mut init = Init::new(mode).flags(&[LONG, "--ignored-after=200ms"]).workload(&family).start();
            init.ready(&["main"]).signal(Signal::TERM);
            stays(Duration::from_secs(1), || init.descendants().iter().any(|process| process.is_alive()));
            gate.open();
            let run = init.finish();
            run.exits(3).silently();
            assert_eq!(run.count("main got TERM"), got, "{run:?}");
        }
    }
}

#[test]
fn a_stopped_command_gets_a_chance_and_takes_it() {
    for mode in BOTH {
        let init = Init::new(mode).flags(&[LONG]).workload("name=main ready stop");
        let mut init = init.start();
        init.ready(&["main"]);
        wait_until("it is stopped", || {
            init.descendants().iter().any(|process| process.state == b'T').then_some(())
        });
        let begun = Instant::now();
        init.signal(Signal::TERM);
        init.finish().exits(143).silently();
        took(begun, Duration::ZERO);
    }
}

#[test]
fn never_is_the_whole_grace_period() {
    for mode in BOTH {
        for init in [
            Init::new(mode).flags(&["--ignored-after=never"]),
            Init::new(mode).env("DRAINIT_IGNORED_AFTER", "never"),
        ] {
            let family = "name=main ignore=TERM ready hold";
            let (run, begun) = signalled(init.flags(&["--grace-period=3s"]).workload(family), &["main"]);
            took(begun, Duration::from_secs(3));
            run.exits(137).warns(&["time is up: killing fake-workload ("]);
        }
    }
}

#[test]
fn the_patience_can_be_another_one() {
    for mode in BOTH {
        for init in [
            Init::new(mode).flags(&["--ignored-after=3s"]),
            Init::new(mode).env("DRAINIT_IGNORED_AFTER", "3s"),
        ] {
            let family = "name=main ignore=TERM ready hold";
            let (run, begun) = signalled(init.flags(&[LONG]).workload(family), &["main"]);
            took(begun, Duration::from_secs(3));
            run.exits(137).warns(&[IGNORED, "fake-workload ("]);
        }
    }
}

#[test]
fn it_needs_no_grace_period() {
    for mode in BOTH {
        let family = "name=main ignore=TERM ready hold";
        let (run, begun) = signalled(Init::new(mode).workload(family), &["main"]);
        took(begun, PATIENCE);
        run.exits(137).warns(&[IGNORED, "fake-workload ("]);
    }
}

#[test]
fn no_process_is_looked_at_if_proc_is_foreign() {
    let init = Init::new(Mode::PidOneForeignProc).flags(&["--grace-period=2s", "--ignored-after=200ms"]);
    let (run, begun) = signalled(init.workload("name=main ignore=TERM ready hold"), &["main"]);
    took(begun, Duration::from_secs(2));
    run.exits(137).warns(&["time is up: killing"]);
}

#[test]
fn a_signal_that_does_nothing_by_default_is_followed_by_term() {
    for mode in BOTH {
        let flags = [LONG, "--ignored-after=300ms", "--rewrite=TERM:WINCH", "--forward-to=group"];
        let (run, begun) =
            signalled(Init::new(mode).flags(&flags).workload("name=main ready hold"), &["main"]);
        took(begun, Duration::from_millis(300));
        run.exits(143);
        assert!(run.stderr.iter().all(|line| !line.contains("killing")), "{run:?}");

        let family = "name=main ignore=TERM ready hold";
        let (run, begun) = signalled(Init::new(mode).flags(&flags).workload(family), &["main"]);
        took(begun, Duration::from_millis(600));
        run.exits(137);
        let killings = run.warnings().into_iter().filter(|line| line.contains(IGNORED));
        assert_eq!(killings.count(), 1, "{run:?}");
    }
}

#[test]
fn a_process_that_ignores_another_signal_and_obeys_term_is_not_killed() {
    for mode in BOTH {
        let flags = [LONG, "--ignored-after=300ms", "--rewrite=TERM:QUIT", "--forward-to=group"];
        let family = "name=main ignore=QUIT catch=TERM:1s:4 ready hold";
        let (run, begun) = signalled(Init::new(mode).flags(&flags).workload(family), &["main"]);
        took(begun, Duration::from_millis(1_300));
        run.exits(4).in_order(&["main got TERM", "main finished"]);
        assert_eq!(run.count("main got TERM"), 1, "{run:?}");
        assert!(run.stderr.iter().all(|line| !line.contains("killing")), "{run:?}");
    }
}

#[test]
fn a_real_time_signal_can_be_ignored_too() {
    for mode in BOTH {
        let flags = [LONG, "--ignored-after=300ms", "--rewrite=TERM:RTMIN+3", "--forward-to=group"];
        let family = "name=main ignore=RTMIN+3 catch=TERM:1ms:4 ready hold";
        let (run, begun) = signalled(Init::new(mode).flags(&flags).workload(family), &["main"]);
        took(begun, Duration::from_millis(300));
        run.exits(4).in_order(&["main got TERM"]);
    }
}

#[test]
fn in_a_schedule_the_next_stage_comes_at_once() {
    for mode in BOTH {
        let flags = ["--ignored-after=300ms", "--stop-schedule=TERM/1h/INT/1h/KILL"];
        let family = "name=main ignore=TERM catch=INT:100ms:4 ready hold";
        let (run, begun) = signalled(Init::new(mode).flags(&flags).workload(family), &["main"]);
        took(begun, Duration::from_millis(400));
        run.exits(4).in_order(&["main got INT", "main finished"]);
        assert!(run.stderr.iter().all(|line| !line.contains("killing")), "{run:?}");
    }
}

#[test]
fn when_the_command_is_gone_processes_that_ignore_the_signal_are_not_waited_for() {
    for mode in BOTH {
        let family = "daemon{ name=daemon ignore=TERM ready hold } \
                      child{ name=worker ignore=TERM ready hold } name=main catch=TERM:1ms:4 ready hold";
        let (run, begun) = signalled(Init::new(mode).workload(family), &["daemon", "worker", "main"]);
        took(begun, PATIENCE);
        run.exits(4).warns(&[IGNORED, "fake-workload ("]);
        assert_eq!(run.complaint().matches("fake-workload (").count(), 2, "{run:?}");
    }
}

#[test]
fn when_the_command_is_gone_a_process_at_work_is_waited_for() {
    for mode in BOTH {
        let family = "daemon{ name=daemon ignore=TERM ready hold } \
                      daemon{ name=worker catch=TERM:1s ready hold } name=main catch=TERM:1ms:4 ready hold";
        let init = Init::new(mode).flags(&["--ignored-after=200ms"]).workload(family);
        let (run, begun) = signalled(init, &["daemon", "worker", "main"]);
        took(begun, Duration::from_secs(1));
        run.exits(4).in_order(&["worker got TERM", "worker finished"]).warns(&[IGNORED, "fake-workload ("]);
        assert_eq!(run.complaint().matches("fake-workload (").count(), 1, "{run:?}");
    }
}

#[test]
fn a_process_at_work_after_a_request_has_no_limit() {
    // Longer than what processes have that are left when the command ends by itself.
    let family = "daemon{ name=worker catch=TERM:11s ready hold } name=main catch=TERM:1ms:4 ready hold";
    let (run, begun) = signalled(Init::pid_one().workload(family), &["worker", "main"]);
    took(begun, Duration::from_secs(11));
    run.exits(4).in_order(&["main finished", "worker finished"]);
    assert!(
        run.warnings().iter().all(|line| line.contains("waiting for") || line.contains("is over")),
        "{run:?}"
    );
}

#[test]
fn a_nested_init_without_a_handler_ignores_everything() {
    let Some(script) = with_nested_init("") else { return };
    for mode in BOTH {
        let (run, begun) =
            signalled(Init::new(mode).flags(&[LONG]).command(&["sh", "-c", &script]), &["nested", "main"]);
        took(begun, PATIENCE);
        run.exits(4).warns(&[IGNORED, "fake-workload ("]);
    }
}

#[test]
fn a_nested_init_is_known_in_each_stage_of_a_schedule() {
    let Some(script) = with_nested_init("catch=INT:30s:0") else { return };
    for mode in BOTH {
        let flags = ["--ignored-after=300ms", "--stop-schedule=INT/1s/TERM/5m/KILL"];
        let init = Init::new(mode).flags(&flags).command(&["sh", "-c", &script]);
        let (run, begun) = signalled(init, &["nested", "main"]);
        took(begun, Duration::from_millis(1_300));
        run.exits(4);
        assert!(run.warnings().iter().any(|line| line.contains(IGNORED)), "{run:?}");
    }
}

/// A script whose command ends when it is signalled and leaves the first process of another pid namespace behind.
pub(crate) fn with_nested_init(directives: &str) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not run: only root can make a namespace without another one");
        return None;
    }
    Some(format!(
        "unshare --pid sh -c '{WORKLOAD} name=nested {directives} ready hold & wait' & \
         exec {WORKLOAD} name=main catch=INT:1ms:4 catch=TERM:1ms:4 ready hold"
    ))
}

#[test]
fn the_command_s_own_exit_gives_ignoring_processes_no_more_patience() {
    for mode in BOTH {
        let gate = Gate::closed();
        let family = format!("daemon{{ name=daemon ignore=TERM ready hold }} await={} exit=5", gate.path());
        let mut init = Init::new(mode).workload(&family).start();
        init.ready(&["daemon"]);
        let begun = Instant::now();
        gate.open();
        let run = init.finish();
        took(begun, PATIENCE);
        run.exits(5).warns(&[IGNORED, "fake-workload ("]);
        assert!(begun.elapsed() < Duration::from_secs(10), "{run:?}");
    }
}
