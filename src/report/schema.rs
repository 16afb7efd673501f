//! Checks the output of [`json`] against the schema, and the schema against its description.

#![expect(clippy::indexing_slicing, reason = "a JSON value has null where it has nothing")]

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::Value;

use super::fixtures::{happy, ms, process, timed, unhappy};
use super::generator::records;
use super::json::json;
use super::record::*;
use crate::plan::{StepId, When};
use crate::signal::Signal;

const SCHEMA_TEXT: &str = include_str!("../../docs/report.schema.json");
const DESCRIPTION: &str = include_str!("../../docs/report.md");

fn schema() -> Value {
    serde_json::from_str(SCHEMA_TEXT).expect("the schema is JSON")
}

static VALIDATOR: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::validator_for(&schema()).expect("a valid schema"));

/// What is wrong with this report; empty if it is valid.
fn problem(report: &str) -> String {
    let lines = report.bytes().filter(|&byte| byte == b'\n').count();
    if lines != 1 || !report.ends_with("}\n") || !report.starts_with("{\"schema\":2,\"version\":") {
        return format!("not one line that begins with its version: {report:?}");
    }
    if report.trim_end().chars().any(char::is_control) {
        return format!("a control character: {report:?}");
    }
    match serde_json::from_str(report) {
        Ok(value) => VALIDATOR
            .validate(&value)
            .map_or_else(|error| format!("{}: {error}", error.instance_path()), |()| String::new()),
        Err(error) => format!("{error}: {report}"),
    }
}

/// The report as a value, checked first.
fn checked(record: &Record) -> Value {
    let report = json(record);
    assert_eq!(problem(&report), "");
    serde_json::from_str(&report).expect("it was read before")
}

#[test]
fn the_schema_refuses_what_is_none_of_it() {
    let good = json(&happy());
    assert_eq!(problem(&good), "");
    for (from, to) in [
        ("\"exit_code\":0", "\"exit_code\":256"),
        ("\"exit_code\":0", "\"exit_code\":0,\"more\":1"),
        (",\"exit_code\":0", ""),
        ("\"TERM\"", "\"SIGTERM9\""),
        ("\"caught\"", "\"liked\""),
        ("\"at_ms\":61000", "\"at_ms\":61000.5"),
        ("\"at_ms\":61000", "\"at_ms\":-1"),
        ("\"sleeping\"", "null"),
    ] {
        assert!(good.contains(from), "{from}");
        assert_ne!(problem(&good.replacen(from, to, 1)), "", "{to}");
    }
}

#[test]
fn nothing_happened() {
    let report = checked(&Record::default());
    assert_eq!(
        (&report["stop"], &report["main"]["ended"], &report["stop_ms"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_report_of_a_run_that_goes_on_is_incomplete() {
    let mut record = Record { ended_at: None, main_ended: None, exit_code: None, ..happy() };
    record.processes.iter_mut().for_each(|process| process.ended = None);
    let report = checked(&record);
    assert_eq!((&report["complete"], &report["main"]["pid"]), (&false.into(), &7.into()));
    let process = &report["processes"][0];
    for unknown in [&report["exit_code"], &report["ended_ms"], &report["stop_ms"], &process["waited_ms"]] {
        assert_eq!(unknown, &Value::Null, "{report:#}");
    }
    assert_eq!(checked(&happy())["complete"], true);
}

#[test]
fn a_process_is_told_with_its_relations_and_what_it_was_refused() {
    let mut record = happy();
    let other = record.process(ms(61_100), &process(9, b"daemon", b'S'), false).expect("room");
    other.refused = Some(timed(61_200, Signal::TERM));
    other.parent = 0;
    let report = checked(&record);
    let [main, daemon] = [0, 1].map(|at| &report["processes"][at]);
    assert_eq!((&main["parent"], &main["group"], &main["refused"]), (&1.into(), &7.into(), &Value::Null));
    assert_eq!((&daemon["parent"], &daemon["last_seen_ms"]), (&Value::Null, &61_100.into()));
    assert_eq!(daemon["refused"], serde_json::json!({"at_ms": 61_200, "signal": "TERM"}));
}

#[test]
fn the_documented_example_is_what_is_written() {
    let mut record = happy();
    let drained = StepId { when: When::PreStop, at: 0 };
    record.begin_step(ms(61_000), drained, "sleep".to_owned());
    record.end_step(ms(64_001), drained, StepOutcome::Succeeded);
    let later = |time: Duration| time + ms(3_000);
    record.signalled_at = Some(ms(64_002));
    record.ended_at = record.ended_at.map(later);
    record.main_ended = record.main_ended.map(|end| Timed { at: later(end.at), ..end });
    for sent in &mut record.sent.last {
        sent.at = ms(64_002);
    }
    for process in &mut record.processes {
        process.first_seen = ms(64_002);
        process.last_seen = Some(ms(64_002));
        process.signalled = process.signalled.map(|sent| Timed { at: ms(64_002), ..sent });
        process.ended = process.ended.map(|end| Timed { at: later(end.at), ..end });
    }
    let example = DESCRIPTION.lines().find_map(|line| line.strip_prefix("    ")).expect("an example");
    assert_eq!(json(&record).trim_end(), example);
}

#[test]
fn everything_happened() {
    let report = checked(&unhappy());
    assert_eq!(report["stop"]["sender"], serde_json::json!({"pid": 0, "uid": 0}));
    assert_eq!(report["killed"], serde_json::json!({"at_ms": 63_300, "reason": "ignored", "signal": "TERM"}));
    assert_eq!(report["stop_ms"], 4_300);
    assert_eq!(report["main"]["ended"]["signal"], "KILL");
    let process = &report["processes"][0];
    assert_eq!(
        (&process["name"], &process["disposition"], &process["waited_ms"]),
        (&"bash".into(), &"ignored".into(), &2_310.into())
    );
    let step = &report["steps"][0];
    assert_eq!(
        (&step["kind"], &step["name"], &step["outcome"], &step["code"], &step["duration_ms"]),
        (&"command".into(), &"drain.sh".into(), &"failed".into(), &1.into(), &200.into())
    );
}

#[test]
fn main_among_the_processes_ends_when_main_did() {
    let mut record = happy();
    record.processes.iter_mut().for_each(|process| process.ended = None);
    let report = checked(&record);
    assert_eq!(report["processes"][0]["ended"], report["main"]["ended"]);
    assert_eq!(report["processes"][0]["waited_ms"], 500);
}

#[test]
fn any_name_is_good() {
    for (name, written) in [
        (&b"a\"b"[..], "a\\\"b"),
        (b"a\\b", "a\\\\b"),
        (b"a\nb", "a\\nb"),
        (b"\x1b[31m", "\\x1b[31m"),
        (b"\xff\xc3", "\\xff\\xc3"),
        (b"caf\xc3\xa9", "caf\\xc3\\xa9"),
        (b") R (", ") R ("),
        (b"", ""),
    ] {
        let mut record = happy();
        record.command = String::from_utf8_lossy(name).into_owned();
        record.process(ms(0), &process(9, name, b'S'), false).expect("room");
        assert_eq!(checked(&record)["processes"][1]["name"], written);
    }
}

#[test]
fn the_longest_times_are_as_long_as_can_be_written() {
    let stop = happy().stop.map(|stop| StopRecord { at: Duration::MAX, ..stop });
    let report = checked(&Record {
        stop,
        ended_at: Some(Duration::MAX),
        more_processes: u64::MAX,
        orphans_reaped: u64::MAX,
        ..happy()
    });
    assert_eq!((&report["ended_ms"], &report["stop_ms"]), (&u64::MAX.into(), &0.into()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happened_fits_the_schema(record in records()) {
        prop_assert_eq!(problem(&json(&record)), "");
    }
}

/// The schema that a `$ref` leads to, together with the keywords beside it.
fn resolved<'a>(root: &'a Value, part: &'a Value) -> Vec<&'a Value> {
    let mut parts = vec![part];
    if let Some(reference) = part["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        parts.extend(resolved(root, root.pointer(reference).expect("a reference leads somewhere")));
    }
    parts
}

/// Every field as `a.b[].c`, and every word that a field may have.
fn fields<'a>(root: &'a Value, object: &'a Value, at: &str, into: &mut Vec<(String, Vec<&'a str>)>) {
    let Some(properties) = object["properties"].as_object() else { return };
    let required: BTreeSet<&str> =
        object["required"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(
        required,
        properties.keys().map(String::as_str).collect(),
        "every field of {at:?} is always there"
    );
    assert_eq!(object["additionalProperties"], false, "{at:?}");
    for (name, part) in properties {
        let field = format!("{at}{name}");
        let parts = resolved(root, part);
        let words = parts.iter().filter_map(|part| part["enum"].as_array()).flatten();
        into.push((field.clone(), words.filter_map(Value::as_str).collect()));
        fields(root, part, &format!("{field}."), into);
        fields(root, &part["items"], &format!("{field}[]."), into);
    }
}

#[test]
fn every_field_is_described_and_nothing_else() {
    let root = schema();
    let mut in_schema = Vec::new();
    fields(&root, &root, "", &mut in_schema);
    let rows: Vec<(&str, &str)> =
        DESCRIPTION.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).collect();
    let described: BTreeSet<&str> = rows.iter().map(|(field, _)| *field).collect();
    assert_eq!(described.len(), rows.len(), "each once");
    assert_eq!(described, in_schema.iter().map(|(field, _)| field.as_str()).collect());
    for (field, words) in &in_schema {
        let (_, row) = rows.iter().find(|(described, _)| described == field).expect("it is described");
        for word in words {
            assert!(row.contains(&format!("`{word}`")), "{field} may be {word}");
        }
    }
}

#[test]
fn whether_a_field_may_be_null_is_described() {
    let root = schema();
    let mut in_schema = Vec::new();
    fields(&root, &root, "", &mut in_schema);
    for (field, _) in &in_schema {
        let pointer = field.replace("[]", "/items").split('.').fold(String::new(), |at, name| {
            let (name, items) = name.split_once('/').map_or((name, ""), |(name, _)| (name, "/items"));
            format!("{at}/properties/{name}{items}")
        });
        let part = root.pointer(&pointer).expect("a field");
        let has_null = |values: &Value| {
            values
                .as_array()
                .is_some_and(|values| values.iter().any(|value| *value == Value::Null || value == "null"))
        };
        // All parts of a reference must allow a value.
        let parts = resolved(&root, part);
        let nullable = parts.iter().all(|part| {
            let limits = [&part["type"], &part["enum"]].into_iter().filter(|limit| !limit.is_null());
            part["const"].is_null() && limits.into_iter().all(has_null)
        });
        let row = DESCRIPTION
            .lines()
            .find_map(|line| line.strip_prefix(&format!("| `{field}` | ")))
            .expect("a row");
        let never = row.split(" | ").nth(1) == Some("never");
        assert_eq!(never, !nullable, "{field}");
    }
}
