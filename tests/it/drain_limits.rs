//! Steps that take too long, that fail, or that cannot be started: a warning each, and the stop goes on.

use std::time::{Duration, Instant};

use drainit::signal::Signal;

use crate::drain::{MAIN, hook, stopped};
use crate::harness::{BOTH, Gate, Init, look_again, took, wait_until};
use crate::start::workload_for_all;

#[test]
fn a_hook_that_takes_too_long_gets_term_and_the_stop_goes_on() {
    for mode in BOTH {
        let slow = hook("catch=TERM:1ms ready hold");
        let begun = Instant::now();
        for init in [
            Init::new(mode).flags(&["--pre-stop-timeout=1s"]),
            Init::new(mode).env("DRAINIT_PRE_STOP_TIMEOUT", "1s"),
        ] {
            let run = stopped(init.flags(&["--pre-stop", &slow]));
            run.warns(&["pre-stop command ", "fake-workload timed out"]);
            assert_eq!(run.count("hook got TERM"), 1, "{run:?}");
        }
        took(begun, Duration::from_secs(2));
    }
}

#[test]
fn five_seconds_are_the_default() {
    for mode in BOTH {
        let begun = Instant::now();
        stopped(Init::new(mode).flags(&["--pre-stop", &hook("hold")])).warns(&["fake-workload timed out"]);
        took(begun, Duration::from_secs(5));
    }
}

#[test]
fn the_time_is_for_all_steps_together() {
    for mode in BOTH {
        let flags = [
            "--pre-stop-timeout=2s",
            "--pre-stop",
            &hook("sleep=1s say=first"),
            "--pre-stop",
            &hook("sleep=1h say=second"),
            "--pre-stop",
            &hook("say=third"),
        ];
        let begun = Instant::now();
        let run = stopped(Init::new(mode).flags(&flags));
        run.in_order(&["hook first", "main got TERM"]).warns(&["fake-workload timed out"]);
        took(begun, Duration::from_secs(2));
        assert_eq!((run.count("hook second"), run.count("hook third")), (0, 0), "{run:?}");
    }
}

#[test]
fn a_sleep_that_is_longer_than_the_time_ends_with_it() {
    for mode in BOTH {
        let begun = Instant::now();
        let run = stopped(Init::new(mode).flags(&["--pre-stop-timeout=300ms", "--pre-stop-sleep=1h"]));
        took(begun, Duration::from_millis(300));
        let cut_off = "drainit: warning: pre-stop sleep is cut off: the drain has 300ms (--pre-stop-timeout)";
        assert_eq!(run.warnings().first(), Some(&cut_off), "{run:?}");
        assert!(run.warnings().len() <= 2, "{run:?}");
    }
}

#[test]
fn a_hook_s_whole_group_is_killed_two_seconds_later() {
    let stubborn = hook("ignore=TERM child{ name=kid ignore=TERM ready hold } ready hold");
    for mode in BOTH {
        let flags = ["--pre-stop-timeout=1s", "--pre-stop", &stubborn];
        let family = "name=main catch=TERM catch=USR1:1ms:4 ready hold";
        let mut init = Init::new(mode).flags(&flags).workload(family).start();
        init.ready(&["main"]);
        let begun = Instant::now();
        // The command is signalled at once, and not when the hook has ended at last.
        init.signal(Signal::TERM).begins(&["hook ready ", "kid ready ", "main got TERM"]);
        let family = init.descendants();
        assert_eq!(family.len(), 3, "{family:?}");
        wait_until("the hook's group is gone", || (init.descendants().len() == 1).then_some(()));
        took(begun, Duration::from_millis(3_000));
        init.signal(Signal::USR1);
        let run = init.finish();
        run.exits(4).in_order(&["main got TERM", "main got USR1", "main finished"]);
        run.warns(&["pre-stop command ", "fake-workload timed out"]);
        assert!(family.iter().all(|process| look_again(process).is_none()), "{family:?}");
    }
}

#[test]
fn a_hook_that_ignores_everything_does_not_outlive_the_stop() {
    let stubborn = hook(
        "ignore=all child{ name=kid ignore=all ready hold } session{ name=far ignore=all ready hold } ready hold",
    );
    for mode in BOTH {
        let begun = Instant::now();
        let flags = ["--pre-stop-timeout=300ms", "--pre-stop", &stubborn];
        // The end of the output, which stopped() waits for, is the end of all that hold it.
        let run = stopped(Init::new(mode).flags(&flags));
        took(begun, Duration::from_millis(300));
        let warnings = run.warnings();
        assert_eq!(warnings.iter().filter(|line| line.contains("timed out")).count(), 1, "{run:?}");
    }
}

#[test]
fn a_hook_that_fails_is_one_warning() {
    for mode in BOTH {
        for (directives, parts) in [
            ("exit=1", "fake-workload exited with 1"),
            ("exit=255", "fake-workload exited with 255"),
            ("die=SEGV", "fake-workload died of SEGV"),
            ("die=KILL", "fake-workload died of KILL"),
            ("die=TERM", "fake-workload died of TERM"),
            ("die=RTMIN+3", "fake-workload died of RTMIN+3"),
        ] {
            let run = stopped(Init::new(mode).flags(&["--pre-stop", &hook(directives)]));
            run.warns(&["pre-stop command ", parts]);
            assert!(!run.complaint().contains(directives), "arguments may hold secrets: {run:?}");
        }
    }
}

#[test]
fn a_hook_that_cannot_be_started_is_a_warning_at_the_start_and_one_at_the_stop() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let text = folder.path().join("text");
    std::fs::write(&text, "no program\n").expect("our own folder");
    let text = text.to_str().expect("text");
    for mode in BOTH {
        for name in ["/nowhere/at/all", "nowhere-to-be-found", "/dev", text] {
            let run = stopped(Init::new(mode).flags(&["--pre-stop", &format!("{name} --with secrets")]));
            let warnings = run.warnings();
            let [at_the_start, then] = warnings.as_slice() else { panic!("not two warnings: {run:#?}") };
            assert!(at_the_start.contains(&format!("pre-stop command {name} would fail: ")), "{run:?}");
            assert!(then.contains(&format!("pre-stop command {name} cannot be started: ")), "{run:?}");
            assert!(run.stderr.iter().all(|line| !line.contains("secrets")), "{run:?}");
        }
    }
}

#[test]
fn each_step_that_fails_has_a_warning_of_its_own() {
    for mode in BOTH {
        let flags =
            ["--pre-stop", &hook("exit=1"), "--pre-stop", "/nowhere/at/all", "--pre-stop", &hook("exit=2")];
        let run = stopped(Init::new(mode).flags(&flags));
        let warnings = run.warnings();
        let [at_the_start, first, second, third] = warnings.as_slice() else {
            panic!("not four warnings: {run:#?}")
        };
        assert!(at_the_start.contains("/nowhere/at/all would fail: no such file"), "{run:?}");
        assert!(first.ends_with("exited with 1") && third.ends_with("exited with 2"), "{run:?}");
        assert!(second.contains("/nowhere/at/all cannot be started: "), "{run:?}");
    }
}

#[test]
fn if_no_process_can_be_made_the_stop_goes_on() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not run: only root can become a user who has no other processes");
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let main = workload_for_all(&folder, MAIN);
    let copy = crate::binary::copy_in(folder.path());
    // Users that no other run of the tests has, either.
    for (mode, user) in BOTH.into_iter().zip(std::process::id() * 2 + 100_000..) {
        // drainit and the command, and no others.
        let limited = format!(
            "shift; exec setpriv --reuid={user} --clear-groups prlimit --nproc=2 {} \"$@\"",
            copy.display()
        );
        let flags = ["--pre-stop", "/bin/true", "--pre-stop-http", "http://127.0.0.1:9/"];
        let mut init =
            Init::new(mode).under(&["sh", "-c", &limited, "sh"]).flags(&flags).command(&main).start();
        init.ready(&["main"]).signal(Signal::TERM);
        let run = init.finish();
        run.exits(4).in_order(&["main got TERM", "main finished"]);
        let warnings = run.warnings();
        let [command, http] = warnings.as_slice() else { panic!("not two warnings: {run:#?}") };
        assert!(command.contains("pre-stop command /bin/true cannot be started: "), "{run:?}");
        assert!(http.contains("pre-stop http 127.0.0.1:9"), "{run:?}");
    }
}

#[test]
fn the_grace_period_leaves_the_processes_their_time() {
    // Half of a short one, and all but two seconds of a longer one.
    for (grace, drained) in [("3s", Duration::from_millis(1_500)), ("5s", Duration::from_secs(3))] {
        for mode in BOTH {
            let flags = [
                "--grace-period",
                grace,
                "--pre-stop-timeout=1h",
                "--pre-stop",
                &hook("catch=TERM:1ms hold"),
            ];
            let mut init = Init::new(mode).flags(&flags).workload(MAIN).start();
            init.ready(&["main"]);
            let begun = Instant::now();
            init.signal(Signal::TERM).line("main got TERM");
            took(begun, drained);
            let run = init.finish();
            run.exits(4).in_order(&["main finished"]).warns(&["fake-workload timed out"]);
        }
    }
}

#[test]
fn the_time_left_is_what_the_grace_period_leaves() {
    for mode in BOTH {
        let flags =
            ["--grace-period=10s", "--pre-stop-timeout=1h", "--pre-stop", &hook("env=DRAINIT_DEADLINE_MS")];
        let run = stopped(Init::new(mode).flags(&flags));
        run.silently();
        let start = "hook env DRAINIT_DEADLINE_MS=";
        let left = run.stdout.iter().find_map(|line| line.strip_prefix(start)).expect("the hook ran");
        assert!((1..=8_000).contains(&left.parse::<u64>().expect("a number of milliseconds")), "{left}");
    }
}

#[test]
fn the_grace_period_includes_the_drain() {
    for mode in BOTH {
        let flags = ["--grace-period=2s", "--ignored-after=never", "--pre-stop-sleep=700ms"];
        let mut init = Init::new(mode).flags(&flags).workload("name=main ignore=TERM ready hold").start();
        init.ready(&["main"]);
        let begun = Instant::now();
        init.signal(Signal::TERM);
        init.finish().exits(137).warns(&["time is up: killing"]);
        took(begun, Duration::from_secs(2));
    }
}

#[test]
fn without_any_grace_nothing_is_drained() {
    for mode in BOTH {
        let flags = ["--grace-period=0", "--pre-stop", &hook("say=ran"), "--pre-stop-sleep=1h"];
        let mut init = Init::new(mode).flags(&flags).workload(MAIN).start();
        init.ready(&["main"]).signal(Signal::TERM);
        let run = init.finish();
        run.exits(137);
        assert_eq!((run.count("hook ran"), run.count("main got TERM")), (0, 0), "{run:?}");
    }
}

#[test]
fn what_a_hook_leaves_behind_is_signalled_with_the_rest() {
    for mode in BOTH {
        let gate = Gate::closed();
        let leaving =
            hook(&format!("daemon{{ name=left catch=TERM:200ms ready hold }} await={}", gate.path()));
        let flags = ["--pre-stop-timeout=1h", "--pre-stop", &leaving];
        let mut init = Init::new(mode).flags(&flags).workload(MAIN).start();
        init.ready(&["main"]).signal(Signal::TERM).ready(&["left"]);
        gate.open();
        let run = init.finish();
        run.exits(4).in_order(&["main got TERM", "main finished"]).silently();
        run.in_order(&["left got TERM", "left finished"]);
        assert_eq!(run.count("left got TERM"), 1, "{run:?}");
    }
}
