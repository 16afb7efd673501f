//! What the page says of real runs, beside what drainit says of them; and of runs that were cut off.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::page::{FILE, Page, samples};
use super::reports::{huge, process, report, step, with};
use crate::docs;
use crate::harness::{Init, WORKLOAD};

/// Rehearses, and returns the report's file and what was said of it, by its label.
fn rehearsed(page: &mut Page, flags: &[&str], command: &[&str]) -> (PathBuf, Vec<(String, String)>) {
    let file = page.file("report.json", b"");
    let report = format!("--report={}", file.display());
    let run = Init::pid_one().flags(&["--rehearse=500ms", &report]).flags(flags).command(command).run();
    let said = run.stderr.iter().filter_map(|line| line.split_once(": "));
    let said = said.filter(|(label, _)| ["passed", "failed", "advice"].contains(label));
    (file, said.map(|(label, text)| (label.to_owned(), text.to_owned())).collect())
}

/// Times are rounded down, in the report once more, so they may differ in their last digit.
fn normal(text: &str) -> String {
    let is_time = |word: &str| {
        let number = word.trim_end_matches(['s', 'm', 'h', ',', ':']);
        number.len() < word.len() && number.starts_with(|first: char| first.is_ascii_digit())
    };
    text.split(' ').map(|word| if is_time(word) { "TIME" } else { word }).collect::<Vec<_>>().join(" ")
}

#[test]
fn it_judges_and_advises_as_the_rehearsal_does() {
    let Some(mut page) = Page::open() else { return };
    let script = format!("{WORKLOAD} name=server catch=TERM:1200ms hold & wait");
    let ignoring = format!("trap '' TERM; {WORKLOAD} default=TERM ready hold; {WORKLOAD} hold");
    let workload = |directives: &'static str| {
        std::iter::once(WORKLOAD).chain(directives.split_whitespace()).collect::<Vec<_>>()
    };
    let cases: [(&[&str], Vec<&str>); 16] = [
        (
            &["--pre-stop-sleep=200ms", "--post-exit=true"],
            workload("child{ catch=TERM:300ms ready hold } catch=TERM:100ms ready hold"),
        ),
        (&["--pre-stop-sleep=1s"], vec!["sh", "-c", &script]),
        (&["--ignored-after=500ms"], vec!["sh", "-c", &ignoring]),
        (&["--grace-period=500ms"], workload("child*9{ ignore=TERM ready hold } ignore=TERM ready hold")),
        (&["--grace-period=500ms"], workload("daemon{ block=TERM hold } catch=TERM ready hold")),
        (&["--grace-period=0"], workload("ready hold")),
        (
            &[
                "--pre-stop=false",
                "--pre-stop-http=http://127.0.0.1:1/",
                "--pre-stop=no-such-program",
                "--post-exit",
                "sh -c 'kill -9 $$'",
            ],
            workload("catch=TERM:1ms ready hold"),
        ),
        (&["--pre-stop=sleep 30", "--pre-stop-timeout=300ms"], workload("catch=TERM:1ms ready hold")),
        (
            &["--pre-stop-timeout=1m", "--pre-stop", "sh -c 'trap \"\" TERM; sleep 20; true'"],
            workload("catch=TERM:3s ready sleep=1s exit=0"),
        ),
        (
            &["--stop-schedule=INT/500ms/TERM/10s/KILL", "--ignored-after=100ms"],
            workload("ignore=INT catch=TERM:1ms ready hold"),
        ),
        (&[], workload("daemon{ catch=TERM:1500ms ready hold } catch=TERM:1ms ready hold")),
        (&[], workload("exit=3")),
        (&[], vec!["sh", "-c", "trap 'exit 1' TERM; sleep 20 & wait"]),
        (&["--remap-exit=139:7"], vec!["sh", "-c", "trap 'exit 139' TERM; sleep 20 & wait"]),
        (&[], vec!["sh", "-c", "trap 'kill -SEGV $$' TERM; sleep 20 & wait"]),
        (&["--remap-exit=1"], vec!["sh", "-c", "trap 'exit 1' TERM; sleep 20 & wait"]),
    ];
    for (flags, command) in cases {
        let (file, said) = rehearsed(&mut page, flags, &command);
        let report: Value = serde_json::from_str(&docs::read(&file)).expect("a report");
        page.close_all();
        page.choose(&[&file]);
        assert_eq!(page.errors(), [""; 0], "{report}");
        let [(kind, reasons)] = page.verdicts().try_into().expect("one verdict");
        let failed = said.iter().any(|(label, _)| label == "failed");
        if report["stop"].is_null() {
            // A rehearsal has failed then. Any other run that was not stopped has not.
            assert!(kind == "none" && failed, "{kind}: {said:?}");
            continue;
        }
        assert_eq!(
            kind,
            if failed { "failed" } else { "passed" },
            "{flags:?} {command:?}: {said:#?} {reasons:#?} {report}"
        );
        let of = |wanted: &[&str]| {
            let fit = said.iter().filter(|(label, _)| wanted.contains(&&**label));
            fit.map(|(_, text)| normal(text)).collect::<Vec<_>>()
        };
        let normal = |texts: Vec<String>| texts.iter().map(|text| normal(text)).collect::<Vec<_>>();
        assert_eq!(normal(reasons), of(&["passed", "failed"]), "{report}");
        assert_eq!(normal(page.texts(".advice li")), of(&["advice"]), "{report}");
    }
    page.is_quiet();
}

/// What a stop with every kind of end, written by hand, is judged as; the words are those of the rehearsal.
#[test]
fn every_kind_of_end_has_its_words() {
    let Some(mut page) = Page::open() else { return };
    let killed = json!({ "at_ms": 9_000, "how": "killed", "code": null, "signal": "KILL" });
    let left = json!({ "at_ms": 11_000, "how": "left_behind", "code": null, "signal": null });
    let at_nine = json!({ "at_ms": 9_000, "reason": "timed_out", "signal": null });
    let server = |fields: Value| with(process(7, 1, "server", 1_500), &fields);
    for (fields, expected) in [
        (json!({}), "every process ended by itself 500ms after TERM"),
        (json!({ "killed": at_nine }), "KILL was sent after 8.0s, because time was up"),
        (
            json!({ "killed": at_nine, "processes": [server(json!({ "ended": killed, "signalled": null }))] }),
            "server (7) was killed after 8.0s without having been signalled",
        ),
        (
            json!({ "killed": at_nine, "processes": [server(json!({ "ended": killed, "disposition": "default" }))] }),
            "server (7) has no handler for TERM, had not ended after 8.0s when time was up, and was killed",
        ),
        (
            json!({ "killed": { "at_ms": 9_000, "reason": "ignored", "signal": "INT" }, "processes": [server(json!({ "ended": killed }))] }),
            "server (7) was killed 8.0s after TERM, with the processes that ignored INT",
        ),
        (
            json!({ "processes": [server(json!({ "ended": killed }))] }),
            "server (7) died of a KILL that drainit did not send",
        ),
        (
            json!({ "processes": [server(json!({ "ended": left, "state": "uninterruptible" }))] }),
            "server (7) was left behind: KILL did not end it (uninterruptible)",
        ),
        (
            json!({ "steps": [with(step("post_exit", 0, "http", 1_500, 1_900), &json!({ "outcome": "timed_out" }))] }),
            "the post-exit step 'http' timed out after 400ms",
        ),
        (
            json!({ "steps": [with(step("pre_stop", 0, "http", 1_000, 1_400), &json!({ "outcome": null, "ended_ms": null }))] }),
            "the pre-stop step 'http' was not seen to end",
        ),
        (
            json!({ "signalled_ms": null, "processes": [], "signals": [] }),
            "every process ended by itself 500ms after the stop began; no signal was sent",
        ),
        (
            json!({ "main": { "pid": 7, "ended": { "at_ms": 1_500, "how": "killed", "code": null, "signal": "SEGV" } }, "exit_code": 139 }),
            "server (7) died of SEGV, which the stop did not send",
        ),
        (
            json!({ "main": { "pid": 7, "ended": { "at_ms": 1_500, "how": "exited", "code": 3, "signal": null } }, "exit_code": 4 }),
            "server (7) exited with 3, which --remap-exit makes 4: a good end is 0 or 143 (128 + TERM)",
        ),
        (json!({ "stop": null }), "server exited with 0 by itself after 1.5s"),
        (
            json!({ "stop": { "at_ms": 1_500, "reason": "own_exit", "signal": "TERM", "sender": null } }),
            "server exited with 0 by itself after 1.5s",
        ),
    ] {
        page.show(&with(report(), &fields));
        assert_eq!(page.verdicts()[0].1, [expected], "{fields}");
    }
    page.is_quiet();
}

#[test]
fn what_others_have_killed_is_told() {
    let Some(mut page) = Page::open() else { return };
    let kill = "died of a KILL that drainit did not send";
    for (fields, expected) in [
        (json!({}), String::new()),
        (json!({ "out_of_memory": false, "foreign_kills": 0 }), String::new()),
        (json!({ "out_of_memory": true }), format!(" server {kill}: its control group ran out of memory.")),
        (json!({ "foreign_kills": 1 }), format!(" 1 process that it had started {kill}.")),
        (json!({ "foreign_kills": 3 }), format!(" 3 processes that it had started {kill}.")),
    ] {
        page.show(&with(report(), &fields));
        let told = format!("with TERM from outside the container, and took 500ms.{expected}");
        assert!(page.texts(".story")[0].ends_with(&told), "{:?}", page.texts(".story"));
    }
    page.is_quiet();
}

#[test]
fn an_unfinished_report_says_what_it_was_cut_off_in() {
    let Some(mut page) = Page::open() else { return };
    let cut = json!({ "complete": false, "main": { "pid": 7, "ended": null }, "ended_ms": null, "stop_ms": null, "exit_code": null });
    let cut = with(report(), &cut);
    let alive = |pid, name| {
        with(process(pid, 7, name, 0), &json!({ "ended": null, "waited_ms": null, "last_seen_ms": 3_000 }))
    };
    let open =
        with(step("pre_stop", 0, "sleep", 1_200, 1_300), &json!({ "ended_ms": null, "outcome": null }));
    for (fields, expected) in [
        (
            json!({ "stop": null, "signalled_ms": null, "signals": [], "processes": [] }),
            "before a stop had begun",
        ),
        (
            json!({ "steps": [open], "signalled_ms": null, "signals": [], "processes": [] }),
            "while the pre-stop step 'sleep' was under way, 200ms after the stop began",
        ),
        (
            json!({ "processes": [alive(7, "server")] }),
            "while server (7) was waited for, 2.0s after the stop began",
        ),
        (
            json!({ "processes": [alive(7, "server"), process(8, 7, "gone", 1_100), alive(9, "worker")] }),
            "while server (7) and worker (9) were waited for, 2.0s after the stop began",
        ),
        (
            json!({ "processes": [alive(9, "worker")], "killed": { "at_ms": 3_500, "reason": "timed_out", "signal": null } }),
            "while worker (9) had not ended after KILL, 2.5s after the stop began",
        ),
        (
            json!({ "processes": [], "signals": [], "signalled_ms": null }),
            "while drainit drained, 0ms after the stop began",
        ),
        (json!({ "processes": [] }), "while drainit waited for its processes, 0ms after the stop began"),
    ] {
        page.show(&with(cut.clone(), &fields));
        assert_eq!(page.verdicts(), [("cut".to_owned(), vec![format!("the run was cut off {expected}")])]);
    }
    page.show(&with(cut, &json!({ "processes": [alive(7, "server")] })));
    assert!(page.rows()[1].starts_with("server (7), the command itself: still there. "), "{:?}", page.rows());
    assert!(
        page.texts(".story")[0].contains("and was not over when this was written: "),
        "{:?}",
        page.texts(".story")
    );
    assert!(page.texts(".chart g[aria-hidden] text").iter().any(|text| text == "the report ends here"));
    page.is_quiet();
}

/// The example in the page is what two real runs have written, which are checked in.
#[test]
fn the_example_is_real() {
    let source = docs::read(FILE);
    let examples: Vec<&str> = source
        .split("class=\"example\">")
        .skip(1)
        .filter_map(|rest| rest.split_once("</script>"))
        .map(|(text, _)| text)
        .collect();
    let files = ["before", "after"].map(|name| docs::read(format!("tests/it/viewer/samples/2-{name}.json")));
    assert_eq!(examples, files.each_ref().map(|text| text.trim_end()));
}

/// Of those that are of the version that drainit writes.
#[test]
fn the_reports_made_by_hand_could_be_real() {
    let schema: Value = serde_json::from_str(&docs::read("docs/report.schema.json")).expect("JSON");
    let version = schema["properties"]["schema"]["const"].clone();
    let validator = jsonschema::validator_for(&schema).expect("it is a schema");
    let made = samples().into_iter().map(|(_, report)| report).chain([report(), huge()]);
    let made: Vec<Value> = made.filter(|report| report["schema"] == version).collect();
    assert!(made.len() >= 4, "{version}: {}", made.len());
    for report in made {
        validator.validate(&report).unwrap_or_else(|why| panic!("{why}: {report}"));
    }
}
