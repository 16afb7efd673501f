//! What is said, and written, before the runtime's KILL: it leaves no time to.

use std::fs;
use std::path::Path;

use drainit::signal::Signal;
use drainit::sys::kill;
use serde_json::Value;

use crate::harness::{BOTH, Init, WORKLOAD, wait_until};

fn report(path: &Path) -> Option<Value> {
    let text = fs::read_to_string(path).expect("it is there");
    // At every moment it is empty, or whole.
    (!text.is_empty()).then(|| serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

fn signalled(report: &Value) -> bool {
    report["signalled_ms"].is_u64()
}

/// The runtime's KILL: every process at once, drainit first.
fn kill_all(init: crate::harness::Running) {
    let left = init.descendants();
    let _ = kill::send(init.pid(), Signal::KILL);
    for process in left {
        let _ = kill::send(process.pid, Signal::KILL);
    }
    drop(init.finish());
}

#[test]
fn a_warning_names_what_is_waited_for_and_a_line_says_when_it_is_over() {
    let mut init = Init::pid_one().workload("name=main catch=TERM catch=USR1:1ms ready hold").start();
    init.ready(&["main"]).signal(Signal::TERM);
    let line = init.says("waiting for");
    assert!(line.starts_with("drainit: warning: 5.0s after TERM, waiting for fake-workload (2)"), "{line}");
    let line = init.says("waiting for");
    assert!(line.contains("10.0s after TERM"), "{line}");
    init.signal(Signal::USR1);
    let run = init.finish();
    run.exits(0);
    let last = run.stderr.last().expect("a line");
    assert!(last.contains("the stop is over after 1") && last.contains("ended by itself"), "{last}");
}

#[test]
fn a_drain_step_within_its_time_is_no_news() {
    let flags = ["--pre-stop-sleep=6s", "--pre-stop-timeout=10s"];
    let mut init = Init::subreaper().flags(&flags).workload("name=main catch=TERM:1ms ready hold").start();
    init.ready(&["main"]).signal(Signal::TERM);
    init.finish().exits(0).silently();
}

#[test]
fn the_report_and_the_message_survive_the_runtime_s_kill() {
    for mode in BOTH {
        for exists in [false, true] {
            let folder = tempfile::tempdir().expect("a scratch folder");
            let (file, log) = (folder.path().join("report"), folder.path().join("log"));
            if exists {
                fs::write(&file, "of an earlier run").expect("our own folder");
                fs::write(&log, "").expect("our own folder");
            }
            let mut init = Init::new(mode)
                .env("DRAINIT_REPORT", &file)
                .env("DRAINIT_TERMINATION_LOG", &log)
                .workload("child{ name=worker ready hold } name=main catch=TERM ready hold")
                .start();
            init.ready(&["worker", "main"]).signal(Signal::TERM).line("main got TERM");
            let found = wait_until("it is written ahead", || report(&file).filter(signalled));
            assert_eq!(
                (&found["complete"], &found["exit_code"]),
                (&Value::Bool(false), &Value::Null),
                "{found:#}"
            );
            kill_all(init);
            let found = report(&file).expect("it is still there");
            assert_eq!(found["complete"], Value::Bool(false));
            let text = fs::read_to_string(&log).expect("it is there");
            assert!(text.contains("stopped by TERM") && text.contains("fake-workload ("), "{text}");
            assert!(text.contains(", the command, sleeping: catches TERM\n"), "{text}");
            assert_eq!(
                fs::read_dir(folder.path()).expect("our own folder").count(),
                2,
                "nothing else is left"
            );
        }
    }
}

#[test]
fn a_kill_during_the_drain_leaves_word_of_the_step() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let log = folder.path().join("log");
    let mut init = Init::pid_one()
        .env("DRAINIT_TERMINATION_LOG", &log)
        .flags(&["--pre-stop-sleep=1m", "--pre-stop-timeout=2m"])
        .workload("name=main catch=TERM ready hold")
        .start();
    init.ready(&["main"]).signal(Signal::TERM);
    wait_until("it is written ahead", || {
        fs::read_to_string(&log).ok().filter(|text| text.contains("under way"))
    });
    kill_all(init);
    let text = fs::read_to_string(&log).expect("it is there");
    assert!(text.contains("pre-stop step sleep was under way"), "{text}");
}

#[test]
fn after_a_stop_that_went_well_the_log_is_as_it_was() {
    for mode in BOTH {
        for before in [None, Some(""), Some("words of the application\n")] {
            let folder = tempfile::tempdir().expect("a scratch folder");
            let log = folder.path().join("log");
            if let Some(text) = before {
                fs::write(&log, text).expect("our own folder");
            }
            let mut init = Init::new(mode)
                .env("DRAINIT_TERMINATION_LOG", &log)
                .workload("name=main catch=TERM:300ms ready hold")
                .start();
            init.ready(&["main"]).signal(Signal::TERM).line("main got TERM");
            wait_until("it is written ahead", || {
                fs::read_to_string(&log).ok().filter(|text| text.contains("drainit: "))
            });
            init.finish().exits(0).silently();
            assert_eq!(fs::read_to_string(&log).ok().as_deref(), before);
        }
    }
}

#[test]
fn what_the_command_writes_behind_it_stays_and_ends_the_writing() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let log = folder.path().join("log");
    fs::write(&log, "").expect("our own folder");
    let script = format!(
        "trap 'while ! grep -q drainit: {0}; do sleep .01; done; echo application >> {0}; exit 0' TERM; \
         echo main ready $$; while :; do sleep .01; done",
        log.display()
    );
    let mut init =
        Init::pid_one().env("DRAINIT_TERMINATION_LOG", &log).command(&["dash", "-c", &script]).start();
    init.ready(&["main"]).signal(Signal::TERM);
    init.finish().exits(0);
    let text = fs::read_to_string(&log).expect("it is there");
    assert!(text.starts_with("drainit: ") && text.ends_with("\napplication\n"), "{text}");
}

#[test]
fn a_link_that_the_command_makes_is_not_followed() {
    for mode in BOTH {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let (log, report, secret) =
            (folder.path().join("log"), folder.path().join("report"), folder.path().join("secret"));
        fs::write(&secret, "secret").expect("our own folder");
        // Both are put in the place of what drainit knows.
        let script = format!(
            "rm -f {0} {1}; ln -s {2} {0}; ln -s {2} {1}; trap '' TERM; echo main ready $$; while :; do sleep 1; done",
            log.display(),
            report.display(),
            secret.display()
        );
        let mut init = Init::new(mode)
            .env("DRAINIT_TERMINATION_LOG", &log)
            .env("DRAINIT_REPORT", &report)
            .flags(&["--grace-period=300ms"])
            .command(&["dash", "-c", &script])
            .start();
        init.ready(&["main"]).signal(Signal::TERM);
        init.finish().exits(137);
        assert_eq!(fs::read_to_string(&secret).ok().as_deref(), Some("secret"));
    }
}

#[test]
fn a_bind_mount_is_written_in_place_and_never_gets_shorter() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not run: only root can mount");
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let (file, mounted) = (folder.path().join("file"), folder.path().join("mounted"));
    fs::write(&file, "").expect("our own folder");
    fs::write(&mounted, "").expect("our own folder");
    let script = format!(
        "mount --bind {} {} && exec {} --report {1} -- {} name=main catch=TERM:500ms ready hold",
        file.display(),
        mounted.display(),
        *crate::harness::DRAINIT,
        WORKLOAD
    );
    let mut child = std::process::Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", &script])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("unshare is there");
    let pid = child.id().cast_signed();
    let init = wait_until("drainit runs", || {
        let below = crate::harness::descendants_of(pid);
        let init = below.iter().find(|process| process.name.to_string() == crate::binary::name())?;
        below.iter().any(|process| process.parent == init.pid).then_some(init.pid)
    });
    wait_until("it has started", || {
        let mut found = false;
        for process in crate::harness::descendants_of(init) {
            found |= process.name.to_string() == "fake-workload" && process.state == b'S';
        }
        found.then_some(())
    });
    kill::send(init, Signal::TERM).expect("it is there");
    let ahead = wait_until("it is written ahead", || report(&file).filter(signalled));
    assert_eq!(ahead["complete"], Value::Bool(false));
    let status = child.wait().expect("our own child");
    assert!(status.success(), "{status:?}");
    assert_eq!(report(&file).expect("it is there")["complete"], Value::Bool(true));
}

#[test]
fn a_kill_from_elsewhere_is_said() {
    for mode in BOTH {
        let mut init = Init::new(mode).workload("name=main ready hold").start();
        init.ready(&["main"]);
        let main = init.descendants().first().expect("main").pid;
        kill::send(main, Signal::KILL).expect("it is there");
        init.finish().exits(137).warns(&["died of a KILL that drainit did not send"]);
    }
}

#[test]
fn a_death_by_a_forwarded_signal_is_said() {
    for mode in BOTH {
        let mut init = Init::new(mode).workload("name=main ready hold").start();
        init.ready(&["main"]).signal(Signal::HUP);
        init.finish().exits(129).warns(&["died of HUP, which was forwarded to it"]);
    }
}

#[test]
fn a_command_that_goes_into_the_background_is_told_of_wait_for_all() {
    for mode in BOTH {
        let run = Init::new(mode).workload("daemon{ name=daemon catch=TERM:1ms ready hold } exit=0").run();
        run.exits(0).warns(&["left fake-workload (", "--wait-for-all"]);
        let run = Init::new(mode).workload("orphan{ name=orphan catch=TERM:1ms ready hold } exit=0").run();
        run.exits(0).silently();
    }
}

#[test]
fn a_stop_like_signal_that_begins_no_stop_is_said_once() {
    let mut init = Init::pid_one()
        .flags(&["--grace-period=1m"])
        .workload("name=main catch=WINCH,QUIT catch=TERM:1ms ready hold")
        .start();
    init.ready(&["main"])
        .signal(Signal::WINCH)
        .line("main got WINCH")
        .signal(Signal::QUIT)
        .line("main got QUIT");
    init.signal(Signal::TERM);
    init.finish().exits(0).warns(&["WINCH came from outside and began no stop", "--stop-signal"]);
    let mut init = Init::pid_one().workload("name=main catch=WINCH catch=TERM:1ms ready hold").start();
    init.ready(&["main"]).signal(Signal::WINCH).line("main got WINCH").signal(Signal::TERM);
    init.finish().exits(0).silently();
}

#[test]
fn a_process_that_left_before_the_kill_is_not_said_to_be_killed() {
    for mode in BOTH {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let file = folder.path().join("report");
        let family =
            "child{ name=early catch=TERM:100ms:3 ready hold } name=main ignore=TERM ready wait hold";
        let mut init = Init::new(mode)
            .env("DRAINIT_REPORT", &file)
            .flags(&["--grace-period=1500ms", "--ignored-after=never"])
            .workload(family)
            .start();
        init.ready(&["early", "main"]).signal(Signal::TERM);
        let run = init.finish();
        run.exits(137);
        let warnings = run.warnings();
        let [killing, advice] = warnings.as_slice() else { panic!("{run:#?}") };
        assert!(killing.contains("time is up: killing fake-workload ("), "{run:#?}");
        assert_eq!(killing.matches("fake-workload (").count(), 1, "{run:#?}");
        assert!(advice.contains("advice: "), "{run:#?}");
        let report = report(&file).expect("it is there");
        let ends: Vec<_> =
            report["processes"].as_array().expect("a list").iter().map(|one| one["ended"].clone()).collect();
        assert_eq!(ends.len(), 2, "{report:#}");
        let gone = ends.iter().find(|end| end["how"] == "gone").unwrap_or_else(|| panic!("{report:#}"));
        let killed = report["killed"]["at_ms"].as_u64().expect("it was sent");
        assert!(gone["at_ms"].as_u64().expect("a time") <= killed, "{report:#}");
    }
}

#[test]
fn a_process_whose_parent_reaps_it_is_seen_to_end_when_it_does() {
    for mode in BOTH {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let file = folder.path().join("report");
        // Main catches the signal, so that drainit need not look at any other process.
        let family = "child{ name=early catch=TERM:1ms:3 ready hold } name=main catch=TERM ready wait hold";
        let mut init = Init::new(mode)
            .env("DRAINIT_REPORT", &file)
            .flags(&["--grace-period=3s", "--forward-to=group"])
            .workload(family)
            .start();
        init.ready(&["early", "main"]).signal(Signal::TERM);
        let run = init.finish();
        run.exits(137);
        let killing = run.warnings().into_iter().find(|line| line.contains("time is up")).expect("a warning");
        assert_eq!(killing.matches("fake-workload (").count(), 1, "{run:#?}");
        let report = report(&file).expect("it is there");
        let early = &report["processes"][1];
        assert_eq!(early["ended"]["how"], "gone", "{report:#}");
        let ended = early["ended"]["at_ms"].as_u64().expect("a time");
        let signalled = early["signalled"]["at_ms"].as_u64().expect("a time");
        let killed = report["killed"]["at_ms"].as_u64().expect("it was sent");
        // At one of the looks, which come every quarter of a second at least; the machine may be slow.
        assert!(signalled <= ended && ended + 1_000 < killed, "{report:#}");
    }
}

#[test]
fn what_was_not_signalled_is_said_to_be_so() {
    let family =
        "child{ name=worker catch=TERM:1ms ready hold } name=main catch=TERM catch=USR1:1ms ready hold";
    let mut init = Init::pid_one().workload(family).start();
    init.ready(&["worker", "main"]).signal(Signal::TERM);
    let line = init.says("waiting for");
    let expected = "waiting for fake-workload (2): sleeping, catches TERM; fake-workload (3): sleeping, was not sent TERM";
    assert!(line.ends_with(expected), "{line}");
    init.signal(Signal::USR1);
    init.finish().exits(0);
}

#[test]
fn a_child_that_another_party_kills_is_counted_and_said_if_wanted() {
    for mode in BOTH {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let file = folder.path().join("report");
        let mut init = Init::new(mode)
            .env("DRAINIT_REPORT", &file)
            .flags(&["-v"])
            .workload("orphan{ name=orphan ready hold } name=main catch=TERM:1ms ready hold")
            .start();
        init.ready(&["orphan", "main"]);
        let orphan = wait_until("it is adopted", || {
            init.descendants().into_iter().find(|one| one.parent == init.pid() && one.group != one.pid)
        });
        kill::send(orphan.pid, Signal::KILL).expect("it is there");
        init.says("died of a KILL that drainit did not send");
        init.signal(Signal::TERM);
        init.finish().exits(0);
        let report = report(&file).expect("it is there");
        assert_eq!((&report["foreign_kills"], &report["killed"]), (&1.into(), &Value::Null), "{report:#}");
    }
}

#[test]
fn what_begins_the_stop_is_said_if_wanted() {
    for (flag, said) in [
        ("--stop-after=100ms", "drainit: info: --stop-after elapsed: the stop begins"),
        ("--rehearse=100ms", "drainit: info: --rehearse elapsed: the stop begins"),
    ] {
        let run = Init::subreaper().flags(&["-v", flag]).workload("hold").run();
        assert!(run.stderr.iter().any(|line| line == said), "{run:#?}");
    }
}

#[test]
fn a_refused_signal_is_said_once_and_counts_as_ignored() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not run: only root can give capabilities up");
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let file = folder.path().join("report");
    let without = ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill", "--"];
    let mut init = Init::pid_one()
        .under(&without)
        .env("DRAINIT_REPORT", &file)
        .flags(&["--user=65534:65534", "--ignored-after=200ms"])
        .command(&["sh", "-c", "trap 'echo heard' TERM; echo main ready 2; while :; do sleep 1; done"])
        .start();
    init.ready(&["main"]).signal(Signal::TERM);
    let run = init.finish();
    let refused: Vec<_> = run.warnings().into_iter().filter(|line| line.contains("was refused")).collect();
    assert!(!refused.is_empty() && refused.iter().all(|line| line.contains("CAP_KILL")), "{run:#?}");
    assert_eq!(run.count("heard"), 0);
    let report = report(&file).expect("it is there");
    assert_eq!(report["processes"][0]["refused"]["signal"], "TERM", "{report:#}");
    assert_eq!(report["processes"][0]["signalled"], Value::Null, "{report:#}");
}
