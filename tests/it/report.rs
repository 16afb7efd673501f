//! The report and the termination message: written whatever happened, and never in the way of a process.

use std::fs;
use std::path::PathBuf;

use drainit::signal::Signal;
use serde_json::{Value, json};

use crate::drain::hook;
use crate::escalate::with_nested_init;
use crate::harness::{BOTH, Finished, Gate, Init, WORKLOAD, wait_until};

/// A scratch folder, for files that drainit writes.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a scratch folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn flag(&self, option: &str, name: &str) -> String {
        format!("--{option}={}", self.path(name).display())
    }

    /// The report, which is one line.
    fn report(&self) -> Value {
        let text = fs::read_to_string(self.path("report")).expect("it was written");
        assert_eq!(text.lines().count(), 1, "{text}");
        serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}"))
    }
}

/// Starts it with a report, stops it when these are ready, and returns the report and the run.
fn reported(init: Init, names: &[&str]) -> (Value, Finished) {
    let scratch = Scratch::new();
    let mut init = init.flags(&[&scratch.flag("report", "report")]).start();
    init.ready(names).signal(Signal::TERM);
    let run = init.finish();
    (scratch.report(), run)
}

#[test]
fn a_good_stop_is_reported_whole() {
    for mode in BOTH {
        let family = "daemon{ name=daemon catch=TERM:300ms:2 ready hold } orphan{ exit=0 } \
                      name=main catch=TERM:1ms:4 ready hold";
        let flags =
            ["--pre-stop", &hook("exit=0"), "--pre-stop-sleep=100ms", "--post-exit", "no-such-program"];
        let (report, run) = reported(Init::new(mode).flags(&flags).workload(family), &["daemon", "main"]);
        run.exits(4);
        assert_eq!((&report["schema"], &report["exit_code"]), (&json!(2), &json!(4)));
        assert_eq!(report["command"], "fake-workload");
        assert_eq!((&report["complete"], &report["grace_ms"]), (&json!(true), &Value::Null));
        assert_eq!(
            (&report["stop"]["reason"], &report["stop"]["signal"]),
            (&json!("signal"), &json!("TERM"))
        );
        assert_eq!(report["stop"]["sender"]["uid"], json!(nix::unistd::getuid().as_raw()));
        let steps = report["steps"].as_array().expect("a list");
        let told: Vec<_> =
            steps.iter().map(|step| (step["kind"].as_str(), step["outcome"].as_str())).collect();
        let expected = [("command", "succeeded"), ("sleep", "succeeded"), ("command", "not_started")];
        assert_eq!(told, expected.map(|(kind, outcome)| (Some(kind), Some(outcome))));
        assert!(steps[1]["duration_ms"].as_u64().is_some_and(|slept| slept >= 100), "{report:#}");
        let processes = report["processes"].as_array().expect("a list");
        let [main, daemon] = processes.as_slice() else { panic!("not two: {report:#}") };
        assert_eq!(
            (&main["main"], &main["ended"]["code"], &main["disposition"]),
            (&json!(true), &json!(4), &json!("caught"))
        );
        assert_eq!((&daemon["main"], &daemon["ended"]["code"]), (&json!(false), &json!(2)));
        assert!(daemon["waited_ms"].as_u64().is_some_and(|waited| waited >= 300), "{report:#}");
        for process in [main, daemon] {
            assert_eq!(process["signalled"]["signal"], "TERM");
            assert_eq!(
                (&process["refused"], &process["group"]),
                (&Value::Null, &process["pid"]),
                "{report:#}"
            );
            assert!(process["last_seen_ms"].as_u64() >= process["first_seen_ms"].as_u64(), "{report:#}");
        }
        assert_eq!((&report["main"]["pid"], &report["main"]["ended"]), (&main["pid"], &main["ended"]));
        assert!(main["parent"].is_i64() && daemon["parent"].is_i64(), "{report:#}");
        let sent: Vec<_> =
            report["signals"].as_array().expect("a list").iter().map(|one| one["to"].as_str()).collect();
        assert_eq!(sent, [Some("main"), Some("process")]);
        assert_eq!((&report["killed"], &report["orphans_reaped"]), (&Value::Null, &json!(1)), "{report:#}");
    }
}

#[test]
fn a_bad_one_says_which_processes_were_killed_and_why() {
    for mode in BOTH {
        let family = "daemon{ name=daemon ignore=TERM ready hold } name=main ignore=TERM ready hold";
        let (report, run) =
            reported(Init::new(mode).flags(&["--grace-period=300ms"]).workload(family), &["daemon", "main"]);
        run.exits(137);
        assert_eq!((&report["killed"]["reason"], &report["exit_code"]), (&json!("timed_out"), &json!(137)));
        assert_eq!(report["grace_ms"], 300);
        for process in report["processes"].as_array().expect("a list") {
            assert_eq!(
                (&process["ended"]["how"], &process["ended"]["signal"]),
                (&json!("killed"), &json!("KILL"))
            );
        }
        let (report, _) = reported(
            Init::new(mode).flags(&["--ignored-after=200ms"]).workload("name=main ignore=TERM ready hold"),
            &["main"],
        );
        assert_eq!(
            (&report["killed"]["reason"], &report["killed"]["signal"]),
            (&json!("ignored"), &json!("TERM"))
        );
    }
}

#[test]
fn the_command_s_own_exit_is_reported_too() {
    for mode in BOTH {
        let scratch = Scratch::new();
        Init::new(mode)
            .flags(&[&scratch.flag("report", "report")])
            .workload("exit=3")
            .run()
            .exits(3)
            .silently();
        let report = scratch.report();
        assert_eq!(
            (&report["stop"], &report["main"]["ended"]["code"], &report["exit_code"]),
            (&Value::Null, &json!(3), &json!(3))
        );
        let scratch = Scratch::new();
        let flags = [&*scratch.flag("report", "report"), "-e", "140:7"];
        Init::new(mode).flags(&flags).workload("die=12").run().exits(7);
        let report = scratch.report();
        assert_eq!((&report["main"]["ended"]["signal"], &report["exit_code"]), (&json!("USR2"), &json!(7)));
    }
}

#[test]
fn a_report_goes_where_it_was_named_from_and_a_bad_place_is_an_error_up_front() {
    for mode in BOTH {
        let scratch = Scratch::new();
        fs::create_dir(scratch.path("elsewhere")).expect("our own folder");
        fs::write(scratch.path("report"), "an older one that is longer than\nthe new one".repeat(500))
            .expect("our own");
        let flags = ["--report=report", "--workdir=elsewhere"];
        let init = Init::new(mode).in_directory(scratch.0.path()).flags(&flags);
        let run = init.workload("cwd").run();
        let elsewhere = format!("cwd {}", scratch.path("elsewhere").display());
        run.exits(0).in_order(&[&elsewhere]);
        assert_eq!(scratch.report()["exit_code"], 0);

        let run = Init::new(mode).flags(&["--report=/no/such/folder/report"]).workload("say=started").run();
        run.exits(125);
        assert!(
            run.stdout.is_empty() && run.complaint().contains("--report \"/no/such/folder/report\""),
            "{run:?}"
        );
    }
}

#[test]
fn a_report_on_stderr_is_one_line_among_the_others() {
    for mode in BOTH {
        let family =
            format!("child*200{{ name={} hold }} name=main catch=TERM:1ms ready hold", "x".repeat(60));
        let mut init = Init::new(mode).flags(&["--report", "-"]).workload(&family).start();
        init.ready(&["main"]).signal(Signal::TERM);
        let run = init.finish();
        run.exits(0);
        // Longer than what a pipe takes in one piece.
        let report: Value =
            serde_json::from_str(run.complaint()).unwrap_or_else(|why| panic!("{why}: {run:?}"));
        assert!(
            run.complaint().len() > 4096 && report["processes"].as_array().is_some_and(|all| all.len() > 100)
        );
    }
}

#[test]
fn a_report_into_the_application_s_file_leaves_its_text_alone() {
    for mode in BOTH {
        let scratch = Scratch::new();
        fs::write(scratch.path("log"), "precious\n").expect("our own folder");
        let log = || fs::OpenOptions::new().append(true).open(scratch.path("log")).expect("our own file");
        let init = Init::new(mode).stderr(log()).flags(&["--report=/dev/stderr"]);
        init.workload("exit=3").run().exits(3);
        let text = fs::read_to_string(scratch.path("log")).expect("it is there");
        assert!(text.starts_with("precious\n{\"schema\":2,"), "{text}");
    }
}

#[test]
fn with_stderr_closed_the_report_is_the_report() {
    for mode in BOTH {
        let scratch = Scratch::new();
        let init = Init::new(mode).under(&["sh", "-c", "exec \"$@\" 2>&-", "sh"]);
        init.flags(&["-vv", &scratch.flag("report", "report")]).workload("exit=3").run().exits(3);
        assert_eq!(scratch.report()["exit_code"], 3);
    }
}

#[test]
fn processes_past_the_limit_are_counted_once() {
    let scratch = Scratch::new();
    let family = "session*300{ catch=TERM:1ms ready hold } name=main catch=TERM:1ms ready hold";
    let mut init = Init::pid_one().flags(&[&scratch.flag("report", "report")]).workload(family).start();
    for _ in 0..301 {
        let _ = init.line_with("ready ");
    }
    init.signal(Signal::TERM);
    init.finish().exits(0);
    let report = scratch.report();
    let named = report["processes"].as_array().map_or(0, Vec::len);
    assert_eq!((named, &report["more_processes"]), (256, &json!(45)));
}

#[test]
fn a_report_that_there_is_no_room_for_is_not_half_a_report() {
    for mode in BOTH {
        let scratch = Scratch::new();
        let mut init = Init::new(mode)
            .under(&["prlimit", "--fsize=300"])
            .flags(&[&scratch.flag("report", "report")])
            .workload("name=main catch=TERM:1ms:4 ready hold")
            .start();
        init.ready(&["main"]).signal(Signal::TERM);
        init.finish().exits(4).warns(&["cannot write the report: file too large"]);
        assert_eq!(fs::read_to_string(scratch.path("report")).expect("it was made"), "");
    }
}

#[test]
fn a_report_that_cannot_be_written_any_more_changes_nothing() {
    for mode in BOTH {
        let run = Init::new(mode).flags(&["--report=/dev/full"]).workload("exit=3").run();
        run.exits(3).warns(&["cannot write the report", "no space left"]);
    }
}

#[test]
fn a_good_end_leaves_no_message() {
    for mode in BOTH {
        let scratch = Scratch::new();
        let flag = scratch.flag("termination-log", "message");
        let mut init =
            Init::new(mode).flags(&[&flag]).workload("name=main catch=TERM:1ms:4 ready hold").start();
        init.ready(&["main"]).signal(Signal::TERM);
        init.finish().exits(4).silently();
        assert!(!scratch.path("message").exists());
    }
}

#[test]
fn a_bad_end_adds_a_message_behind_what_the_application_wrote() {
    for mode in BOTH {
        for there in [0, 100, 4_000, 4_096, 9_000] {
            let scratch = Scratch::new();
            let own = "x".repeat(there);
            fs::write(scratch.path("message"), &own).expect("our own folder");
            let init = Init::new(mode)
                .env("DRAINIT_TERMINATION_LOG", scratch.path("message"))
                .flags(&["--grace-period=200ms"])
                .workload("name=main ignore=TERM ready hold")
                .start();
            let mut init = init;
            init.ready(&["main"]).signal(Signal::TERM);
            init.finish().exits(137);
            let text = fs::read_to_string(scratch.path("message")).expect("it is there");
            assert!(text.starts_with(&own), "what was there stays");
            assert!(text.len() <= there.max(4096), "{}", text.len());
            let said = &text[there..];
            assert!(
                there > 3_900 || (said.starts_with("drainit: ") && said.contains("fake-workload (")),
                "{said}"
            );
            assert!(said.is_empty() || said.ends_with('\n'), "{said}");
        }
    }
}

#[test]
fn a_message_that_cannot_be_written_is_one_warning() {
    for mode in BOTH {
        let flags = ["--termination-log=/no/such/folder/message", "--pre-stop=false"];
        let mut init =
            Init::new(mode).flags(&flags).workload("name=main catch=TERM:1ms:4 ready hold").start();
        init.ready(&["main"]).signal(Signal::TERM);
        let run = init.finish();
        run.exits(4);
        let complaints = run.warnings().into_iter().filter(|line| line.contains("/no/such/folder/message"));
        assert_eq!(complaints.count(), 1, "{run:?}");
    }
}

#[test]
fn a_name_can_break_nothing() {
    let scratch = Scratch::new();
    let odd = scratch.path("\"\n\x1b[31m\\\u{7f}");
    fs::copy(WORKLOAD, &odd).expect("a copy");
    let flags = [
        &*scratch.flag("report", "report"),
        &scratch.flag("termination-log", "message"),
        "--grace-period=200ms",
    ];
    let words = [odd.to_str().expect("text"), "name=main", "ignore=TERM", "ready", "hold"];
    let mut init = Init::pid_one().flags(&flags).command(&words).start();
    init.ready(&["main"]).signal(Signal::TERM);
    init.finish().exits(137);
    let report = scratch.report();
    assert!(
        report["processes"][0]["name"].as_str().is_some_and(|name| name.contains("x1b[31m")),
        "{report:#}"
    );
    let message = fs::read_to_string(scratch.path("message")).expect("it was written");
    assert!(message.chars().all(|character| character == '\n' || !character.is_control()), "{message:?}");
}

#[test]
fn many_orphans_are_counted_and_not_kept() {
    let scratch = Scratch::new();
    let gate = Gate::closed();
    let family = format!("orphan*300{{ exit=0 }} name=main ready await={} exit=0", gate.path());
    let mut init = Init::pid_one().flags(&[&scratch.flag("report", "report")]).workload(&family).start();
    init.ready(&["main"]);
    wait_until("the orphans are gone", || (init.descendants().len() == 1).then_some(()));
    gate.open();
    init.finish().exits(0);
    let report = scratch.report();
    assert_eq!((&report["orphans_reaped"], &report["processes"]), (&json!(300), &json!([])));
}

#[test]
fn a_nested_init_is_said_to_ignore_what_it_has_no_handler_for() {
    let Some(script) = with_nested_init("") else { return };
    for mode in BOTH {
        let init = Init::new(mode).flags(&["--ignored-after=300ms"]).command(&["sh", "-c", &script]);
        let (report, run) = reported(init, &["nested", "main"]);
        run.exits(4);
        let processes = report["processes"].as_array().expect("a list");
        let ignoring: Vec<_> =
            processes.iter().filter(|process| process["disposition"] == "ignored").collect();
        let [nested] = ignoring.as_slice() else { panic!("not one: {report}") };
        assert_eq!(nested["name"], "fake-workload");
    }
}
