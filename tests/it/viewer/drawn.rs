//! What is drawn of a report.

use std::path::Path;

use serde_json::{Value, json};

use super::page::{Page, samples};
use super::reports::{exited, huge, process, report, step, with, without};

fn count(report: &Value, list: &str) -> usize {
    report[list].as_array().expect("a list").len()
}

/// Names and outcomes do not run into each other, and the page is not wider than the window.
#[track_caller]
fn is_laid_out(page: &Page, what: &str) {
    for width in [360, 800, 1280, 1920] {
        page.size(width, 900);
        assert_eq!(page.script(include_str!("look/layout.js")), json!([]), "{what} at {width}");
    }
}

/// Each sample, and how its verdict begins.
const VERDICTS: [(&str, &str, &str); 6] = [
    ("1-drained.json", "passed", "every process ended by itself 1.7s after TERM"),
    ("1-ignoring-shell.json", "failed", "entrypoint.sh (2) ignores TERM and was killed after 7.9s"),
    ("1-shell-in-front.json", "passed", "every process ended by itself 1.2s after TERM"),
    ("1-step-failed.json", "failed", "fake-workload (2) ignores TERM and was killed after 1.2s"),
    ("2-after.json", "passed", "every process ended by itself 1.7s after TERM"),
    ("2-before.json", "failed", "entrypoint.sh (2) ignores TERM and was killed after 8.0s"),
];

#[test]
fn every_sample_is_drawn() {
    let Some(page) = Page::open() else { return };
    for (file, report) in samples() {
        let what = file.display().to_string();
        page.close_all();
        page.choose(&[&file]);
        assert_eq!(page.errors(), [""; 0], "{what}");
        let [(kind, reasons)] = page.verdicts().try_into().expect("one verdict");
        let expected = VERDICTS.iter().find(|(name, ..)| file.ends_with(name)).expect("it has a verdict");
        assert_eq!((expected.0, &*kind, &*reasons[0]), *expected, "{what}");
        let listed = |caption: &str| {
            let body = "return [...document.querySelectorAll('table')].filter((one) => one.caption.textContent === arguments[0])
                .map((one) => one.tBodies[0].rows.length)[0] ?? 0";
            let rows = page.browser.script(body, &json!([caption]));
            rows.as_u64().expect("a number") as usize
        };
        assert_eq!(listed("processes"), count(&report, "processes"), "{what}");
        assert_eq!(listed("Signals that drainit sent"), count(&report, "signals"), "{what}");
        assert_eq!(listed("pre-stop steps") + listed("post-exit steps"), count(&report, "steps"), "{what}");
        let rows = page.rows();
        for process in report["processes"].as_array().expect("a list") {
            let name = format!("{} ({})", process["name"].as_str().expect("text"), process["pid"]);
            assert!(rows.iter().any(|row| row.starts_with(&name)), "{what}: {name} is not in {rows:#?}");
        }
        is_laid_out(&page, &what);
    }
    page.is_quiet();
}

/// A field that is missing, or null, takes no other with it.
#[test]
fn a_report_with_gaps_is_drawn_too() {
    let Some(mut page) = Page::open() else { return };
    // One of each version.
    let is_meant = |file: &Path| file.ends_with("1-step-failed.json") || file.ends_with("2-after.json");
    for (_, report) in samples().into_iter().filter(|(file, _)| is_meant(file)) {
        for field in report.as_object().expect("an object").keys() {
            if !["schema", "exit_code", "ended_ms", "processes"].contains(&field.as_str()) {
                page.show(&without(&report, field));
                page.show(&with(report.clone(), &json!({ field: null })));
            }
        }
        for field in [
            "at_ms", "signal", "how", "code", "name", "pid", "ended", "parent", "group", "step", "when",
            "state",
        ] {
            page.show(&without(&report, field));
        }
    }
    page.is_quiet();
}

#[test]
fn processes_are_a_tree_and_steps_are_beside_them() {
    let Some(mut page) = Page::open() else { return };
    let processes = json!([
        process(9, 8, "grandchild", 1_200),
        process(8, 7, "child", 1_300),
        process(7, 1, "server", 1_500)
    ]);
    let steps =
        json!([step("pre_stop", 0, "sleep", 1_000, 1_100), step("post_exit", 0, "http", 1_500, 1_700)]);
    page.show(&with(report(), &json!({ "processes": processes, "steps": steps })));
    let body = "return [...document.querySelectorAll('[role=treeitem]')].map((row) =>
        row.getAttribute('aria-level') + ' ' + row.getAttribute('aria-label').split(/[.:]/)[0])";
    let levels = page.script(body);
    let expected = [
        "1 pre-stop steps",
        "2 sleep",
        "1 processes",
        "2 server (7), the command itself",
        "3 child (8)",
        "4 grandchild (9)",
        "1 post-exit steps",
        "2 http",
    ];
    assert_eq!(levels, json!(expected));

    // Its own ancestor, its own parent, two with one number: nothing hangs and nothing is lost.
    let odd = json!([
        process(7, 9, "server", 1_500),
        process(8, 7, "child", 1_300),
        process(9, 8, "grandchild", 1_200),
        process(10, 10, "own", 1_200),
        process(11, 7, "a", 1_200),
        process(11, 11, "b", 1_200),
    ]);
    page.show(&with(report(), &json!({ "processes": odd })));
    assert_eq!(page.rows().len(), 1 + 6, "{:#?}", page.rows());
    page.is_quiet();
}

#[test]
fn a_huge_report_stays_usable() {
    let Some(mut page) = Page::open() else { return };
    let huge = huge();
    page.show(&huge);
    assert_eq!(page.texts("table caption").len(), 3);
    let rows = page.rows();
    // Those with the same story are one row, and it says how many they are.
    assert!(rows.len() < 250 && rows.iter().any(|row| row.starts_with("worker × ")), "{}", rows.len());
    assert!(rows.iter().any(|row| row.contains("10000 processes more")), "{rows:#?}");
    assert_eq!(page.script("return document.querySelectorAll('tbody tr').length"), json!(256 + 64 + 20));
    is_laid_out(&page, "huge");
    let [(kind, reasons)] = page.verdicts().try_into().expect("one");
    assert!(kind == "failed" && reasons.len() < 12, "{reasons:#?}");

    // More than a report can hold, and times that no clock shows.
    let all = huge["processes"].as_array().expect("a list");
    let mut processes: Vec<Value> = std::iter::repeat_n(all, 20).flatten().cloned().collect();
    processes[3]["first_seen_ms"] = json!(-5);
    processes[4]["signalled"]["at_ms"] = json!(f64::MAX);
    processes[5]["ended"]["at_ms"] = json!(u64::MAX);
    page.show(&with(huge, &json!({ "processes": processes, "ended_ms": 1.5e300 })));
    assert!(page.rows().iter().any(|row| row.contains("14096 processes more")), "{:#?}", page.rows().last());
    is_laid_out(&page, "too much");
    page.is_quiet();
}

/// The same time is the same length in both, however long the names are.
#[test]
fn two_reports_are_side_by_side_on_one_scale() {
    let Some(mut page) = Page::open() else { return };
    let long = process(7, 1, "a-long-name-xyz", 9_000);
    let ended = json!({ "processes": [long], "main": { "pid": 7, "ended": exited(9_000, 0) }, "ended_ms": 9_000, "stop_ms": 8_000 });
    let slow = page.file("slow.json", with(report(), &ended).to_string().as_bytes());
    let quick = page.file("quick.json", report().to_string().as_bytes());
    page.choose(&[&slow, &quick]);
    assert_eq!(page.texts("h2")[..2], ["Before: server", "After: server"]);
    for width in [1400, 1280, 700, 400] {
        page.size(width, 900);
        let drawn = page.script(include_str!("look/scale.js"));
        let lines = drawn[0]["lines"].as_array().expect("a list");
        assert!(lines.len() > 2 && drawn[0]["lines"] == drawn[1]["lines"], "{drawn}");
        let beside = drawn[0]["top"] == drawn[1]["top"];
        assert_eq!(beside, width > 1_040, "side by side if there is room: {drawn}");
    }
    let compared = page.texts("#compared tbody tr");
    for part in
        ["the stop took8.0s500ms7.5s less", "longest wait8.0s, a-long-name-xyz (7)500ms, server (7)7.5s less"]
    {
        assert!(compared.iter().any(|row| row == part), "{compared:#?}");
    }
    page.browser.click("#compared button");
    assert_eq!(page.texts(".report .file"), ["quick.json", "slow.json"]);
    page.browser.click(".report .button");
    assert_eq!(
        (page.texts(".report .file"), page.texts("#compared table").len()),
        (vec!["slow.json".to_owned()], 0)
    );
    // One more joins it.
    page.choose(&[&quick]);
    assert_eq!(page.texts(".report .file"), ["slow.json", "quick.json"]);
    page.is_quiet();
}

#[test]
fn files_can_be_dropped() {
    let Some(page) = Page::open() else { return };
    page.drop_files(&json!([["dropped.json", report().to_string()], ["other.txt", "no"]]));
    assert_eq!(page.texts(".report .file"), ["dropped.json"]);
    assert!(page.errors().len() == 1 && page.errors()[0].starts_with("other.txt: "), "{:?}", page.errors());
    page.is_quiet();
}

#[test]
fn the_grace_period_and_the_moments_are_named() {
    let Some(mut page) = Page::open() else { return };
    let marks = |page: &Page| page.texts(".chart g[aria-hidden] text");
    let has = |page: &Page, part: &str| marks(page).iter().any(|mark| mark == part);
    page.show(&report());
    assert!(
        has(&page, "the grace period ends at 10.0s →") && has(&page, "the last process is gone"),
        "{:?}",
        marks(&page)
    );
    page.show(&with(report(), &json!({ "grace_ms": 600 })));
    assert!(has(&page, "the grace period ends") && !has(&page, "KILL: time is up"), "{:?}", marks(&page));
    let killed =
        json!({ "grace_ms": 400, "killed": { "at_ms": 1_400, "reason": "timed_out", "signal": null } });
    page.show(&with(report(), &killed));
    assert!(has(&page, "KILL: time is up"), "{:?}", marks(&page));
    let ignored =
        json!({ "killed": { "at_ms": 1_300, "reason": "ignored", "signal": "TERM" }, "signalled_ms": 1_100 });
    page.show(&with(report(), &ignored));
    for part in ["the stop begins", "TERM is sent", "KILL: TERM was ignored", "the last process is gone"] {
        assert!(has(&page, part), "{part}: {:?}", marks(&page));
    }
    page.is_quiet();
}

#[test]
fn a_log_with_reports_in_it_is_read_too() {
    let Some(mut page) = Page::open() else { return };
    // As drainit writes it, which begins with the version.
    let fields = without(&report(), "schema").to_string();
    let line = format!("{{\"schema\":2,{}", &fields[1..]);
    let log = format!("server: up\n2026-01-01T00:00:00Z {line}\ndrainit: warning: x {{\"schema\":\n");
    let file = page.file("container.log", log.as_bytes());
    page.choose(&[&file]);
    assert_eq!((page.errors(), page.texts(".report .file")), (vec![], vec!["container.log".to_owned()]));
    // A line of another program that begins as ours do, before and behind it.
    let other = format!(
        "{{\"schema\":\"app/1\"}}\n{line}\n{{\"schema\":3,\"exit_code\":0,\"ended_ms\":1,\"processes\":[]}}\n"
    );
    let other = page.file("other.log", other.as_bytes());
    page.close_all();
    page.choose(&[&other]);
    assert_eq!((page.errors(), page.verdicts().len()), (vec![], 1));
    // Runs of a day: the last ones are drawn, and it is said.
    let many = page.file("many.log", format!("{line}\n").repeat(300).as_bytes());
    page.choose(&[&many]);
    assert_eq!(page.errors(), ["300 reports are too many at once: the last 16 are shown"]);
    assert_eq!(page.verdicts().len(), 16);
    // As it is written ahead into a file that must not shrink.
    let padded =
        page.file("padded.json", format!("\u{feff}{}\n{}", report(), " \n\0".repeat(3_000)).as_bytes());
    page.close_all();
    page.choose(&[Path::new(&padded)]);
    assert_eq!((page.errors(), page.verdicts().len()), (vec![], 1));
    page.is_quiet();
}
