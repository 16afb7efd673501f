//! Reports made by hand: what no run of a test would write, and what a file from a stranger may hold.

use serde_json::{Map, Value, json};

/// A stop by TERM at one second that ended well: a server alone.
pub(super) fn report() -> Value {
    json!({
        "schema": 2, "version": "0.1.0", "complete": true, "command": "server", "grace_ms": 10_000,
        "stop": { "at_ms": 1_000, "reason": "signal", "signal": "TERM", "sender": { "pid": 0, "uid": 0 } },
        "signalled_ms": 1_000, "target": "main", "unheeded": null, "steps": [],
        "signals": [{ "at_ms": 1_000, "signal": "TERM", "to": "main", "pid": null, "step": null }],
        "earlier_signals": 0, "main": { "pid": 7, "ended": exited(1_500, 0) },
        "processes": [process(7, 1, "server", 1_500)], "out_of_memory": false, "more_processes": 0, "orphans_reaped": 0, "foreign_kills": 0, "killed": null,
        "ended_ms": 1_500, "stop_ms": 500, "exit_code": 0, "advice": [],
    })
}

pub(super) fn exited(at: u64, code: u8) -> Value {
    json!({ "at_ms": at, "how": "exited", "code": code, "signal": null })
}

/// One that catches TERM; 7 is main.
pub(super) fn process(pid: i32, parent: i32, name: &str, ended: u64) -> Value {
    json!({
        "pid": pid, "parent": parent, "group": 7, "name": name, "main": pid == 7, "first_seen_ms": 0,
        "last_seen_ms": 1_000, "state": "sleeping", "disposition": "caught",
        "signalled": { "at_ms": 1_000, "signal": "TERM" }, "refused": null, "ended": exited(ended, 0),
        "waited_ms": ended.saturating_sub(1_000),
    })
}

pub(super) fn step(when: &str, index: usize, kind: &str, began: u64, ended: u64) -> Value {
    json!({
        "when": when, "index": index, "kind": kind, "name": null, "began_ms": began, "ended_ms": ended,
        "duration_ms": ended - began, "outcome": "succeeded", "code": null, "signal": null,
    })
}

/// The report with these fields in the place of its own.
pub(super) fn with(mut report: Value, fields: &Value) -> Value {
    let fields = fields.as_object().expect("an object");
    report.as_object_mut().expect("an object").extend(fields.clone());
    report
}

/// As large as a report can be: 256 processes and more, 64 signals, steps, the longest names.
pub(super) fn huge() -> Value {
    let name = |at: usize| match at % 4 {
        0 => "worker".to_owned(),
        1 => "\\xff".repeat(15),
        2 => format!("job-{at}"),
        _ => "WWWWWWWWWWWWWWW".to_owned(),
    };
    // A chain, a crowd below one, and brothers and sisters with the same story.
    let parent = |pid: i32| if pid < 40 { pid - 1 } else { 7 };
    let mut processes: Vec<Value> = (7..263)
        .map(|pid| process(pid, parent(pid), &name(pid as usize), 1_400 + u64::from(pid.unsigned_abs()) * 17))
        .collect();
    processes[9]["ended"] = json!({ "at_ms": 9_900, "how": "left_behind", "code": null, "signal": null });
    let steps: Vec<Value> = (0..20).map(|at| step("pre_stop", at, &"x".repeat(300), 1_000, 1_900)).collect();
    let signals: Vec<Value> = (0..64_u64)
        .map(|at| json!({ "at_ms": 1_000 + at * 100, "signal": "RTMAX-2", "to": "all", "pid": null, "step": null }))
        .collect();
    let fields = json!({
        "command": "c".repeat(4_096), "processes": processes, "more_processes": 10_000, "steps": steps,
        "signals": signals, "earlier_signals": u64::MAX, "ended_ms": 9_900, "stop_ms": 8_900,
        "killed": { "at_ms": 7_400, "reason": "timed_out", "signal": null },
    });
    with(report(), &fields)
}

/// Texts that harm what takes them for more than text.
pub(super) const HOSTILE: [&str; 12] = [
    "<img src=x onerror=\"window.hacked = 1\">",
    "</script><script>window.hacked = 1</script>",
    "\"><svg onload='window.hacked = 1'><a href=\"javascript:window.hacked = 1\">x</a>",
    "<style>* { display: none }</style>",
    "&lt;b&gt;&#x202e;&amp;",
    "__proto__",
    "constructor",
    "\u{202e}\u{2066}gnp.exe\u{2069}",
    "\u{7}\u{1b}[2J\u{9b}31m\r\n\u{0}",
    "a\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}\u{308}",
    "\u{200b}\u{feff}\u{2028}\u{3000}",
    "\u{5d0}\u{5d1} (1) \u{627}\u{644}",
];

/// A report in which every text is this one, as are the words that are none of ours.
pub(super) fn hostile(text: &str) -> Value {
    let mut report = report();
    for path in [
        "/version",
        "/command",
        "/stop/signal",
        "/signals/0/signal",
        "/processes/0/name",
        "/processes/0/state",
        "/processes/0/signalled/signal",
    ] {
        *report.pointer_mut(path).expect("it is there") = text.into();
    }
    let killed = |signal: &str| json!({ "at_ms": 1_400, "how": "killed", "code": null, "signal": signal });
    let mut other = process(8, 7, text, 1_300);
    other["disposition"] = "ignored".into();
    other["signalled"]["signal"] = text.into();
    other["refused"] = json!({ "at_ms": 1_100, "signal": text });
    let mut third = process(9, 7, text, 1_300);
    (third["disposition"], third["ended"]) = (text.into(), killed(text));
    let mut failed = step("pre_stop", 0, text, 1_000, 1_200);
    (failed["name"], failed["outcome"], failed["signal"]) = (text.into(), "failed".into(), text.into());
    let mut unknown = step(text, 1, text, 1_000, 1_200);
    unknown["outcome"] = text.into();
    let sent =
        json!({ "at_ms": 1_200, "signal": text, "to": text, "pid": 8, "step": { "when": text, "index": 0 } });
    report["processes"].as_array_mut().expect("a list").extend([other, third]);
    report["signals"].as_array_mut().expect("a list").push(sent);
    let fields = json!({
        "steps": [failed, unknown], "killed": { "at_ms": 1_350, "reason": "ignored", "signal": text },
        "main": { "pid": 7, "ended": killed(text) }, text: text,
    });
    with(report, &fields)
}

/// The report without this field, at any depth.
pub(super) fn without(report: &Value, field: &str) -> Value {
    match report {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| *name != field);
            Value::Object(
                kept.map(|(name, value)| (name.clone(), without(value, field))).collect::<Map<_, _>>(),
            )
        }
        Value::Array(all) => Value::Array(all.iter().map(|one| without(one, field)).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => report.clone(),
    }
}
