//! Steps and schedules that make no sense: one line that names the option and the value, 125, and nothing was started.

use crate::cli::refused;
use crate::harness::{BOTH, Init};

/// Option, value, and what else the line says.
const WRONG: &[(&str, &str, &str)] = &[
    ("pre-stop", "sh -c 'x", ""),
    ("pre-stop", "sh -c \"x", ""),
    ("pre-stop", "x \\", ""),
    ("pre-stop", " ", ""),
    ("pre-stop", "''", ""),
    ("pre-stop", "'' x", ""),
    ("pre-stop-sleep", "soon", ""),
    ("pre-stop-sleep", "-1", ""),
    ("pre-stop-sleep", "5x", ""),
    ("pre-stop-http", "https://127.0.0.1/", "curl"),
    ("pre-stop-http", "POST https://localhost/", "curl"),
    ("pre-stop-http", "http://example.org/", ""),
    ("pre-stop-http", "http://my-service:80/", ""),
    ("pre-stop-http", "http://127.0.0.1:0/", ""),
    ("pre-stop-http", "http://127.0.0.1:65536/", ""),
    ("pre-stop-http", "http://127.0.0.1:http/", ""),
    ("pre-stop-http", "http://127.0.0.1:/", ""),
    ("pre-stop-http", "http://::1/", ""),
    ("pre-stop-http", "http://[::1/", ""),
    ("pre-stop-http", "127.0.0.1:80", ""),
    ("pre-stop-http", "localhost", ""),
    ("pre-stop-http", "/drain", ""),
    ("pre-stop-http", "ftp://127.0.0.1/", ""),
    ("pre-stop-http", "http://", ""),
    ("pre-stop-http", "http:///drain", ""),
    ("pre-stop-http", "http://127.0.0.1/a b", ""),
    ("pre-stop-http", "http://user:word@127.0.0.1/", ""),
    ("pre-stop-idle", "0", ""),
    ("pre-stop-idle", "65536", ""),
    ("pre-stop-idle", "x", ""),
    ("pre-stop-idle", "-1", ""),
    ("pre-stop-timeout", "soon", ""),
    ("pre-stop-timeout", "5 parsecs", ""),
    ("stop-schedule", "TERM", ""),
    ("stop-schedule", "TERM/", ""),
    ("stop-schedule", "TERM/KILL", ""),
    ("stop-schedule", "TERM/5x", ""),
    ("stop-schedule", "FOO/5s", ""),
    ("stop-schedule", "5s/TERM", ""),
    ("stop-schedule", "KILL", ""),
    ("stop-schedule", "KILL@main", ""),
    ("stop-schedule", "TERM/5s/KILL@main", ""),
    ("stop-schedule", "TERM@nobody/5s", ""),
    ("stop-schedule", "TERM/5s/KILL/5s", ""),
    ("stop-schedule", "TERM/5s/KILL/TERM/5s", ""),
    ("stop-schedule", "TERM/forever/KILL", ""),
    ("stop-schedule", "TERM/5s/", ""),
    ("ignored-after", "soon", ""),
    ("ignored-after", "-1", ""),
    ("stop-after", "later", ""),
    ("stop-after", "-5s", ""),
    ("post-exit", "sh -c 'x", ""),
    ("post-exit", " ", ""),
    ("post-exit-sleep", "1x", ""),
    ("post-exit-http", "https://127.0.0.1/", "curl"),
    ("post-exit-http", "http://example.org/", ""),
];

#[test]
fn a_wrong_step_or_schedule_is_named_with_its_value() {
    for (option, value, part) in WRONG {
        let line = refused(&[&format!("--{option}"), value], &[]);
        for part in [&format!("--{option}"), &format!("'{value}'"), *part] {
            assert!(line.contains(part), "{part:?} is not in {line:?}");
        }
    }
    for option in
        ["pre-stop", "pre-stop-sleep", "pre-stop-http", "pre-stop-idle", "stop-schedule", "post-exit"]
    {
        let line = refused(&[&format!("--{option}=")], &[]);
        assert!(line.contains(&format!("--{option}")) && line.contains("''"), "{line:?}");
    }
}

#[test]
fn so_it_is_in_a_variable() {
    for (option, value, part) in WRONG {
        // A list's entries are taken apart before they are read, and blanks around them do not count.
        if value.trim().is_empty() {
            continue;
        }
        let name = format!("DRAINIT_{}", option.to_uppercase().replace('-', "_"));
        let line = refused(&[], &[(&name, value)]);
        for part in [&name, *value, *part] {
            assert!(line.contains(part), "{part:?} is not in {line:?}");
        }
    }
}

#[test]
fn the_second_of_several_is_named_too() {
    for (flags, parts) in [
        (&["--pre-stop", "true", "--pre-stop", "x 'y"][..], ["--pre-stop", "'x 'y'"]),
        (&["--pre-stop-sleep=1s", "--pre-stop-sleep=x"], ["--pre-stop-sleep", "'x'"]),
        (&["--pre-stop-idle=80", "--pre-stop-idle=0"], ["--pre-stop-idle", "'0'"]),
    ] {
        let line = refused(flags, &[]);
        assert!(parts.iter().all(|part| line.contains(part)), "{parts:?} is not in {line:?}");
    }
    for (name, value, wrong) in [
        ("DRAINIT_PRE_STOP", "true\nx 'y", "x 'y"),
        ("DRAINIT_PRE_STOP_SLEEP", "1s,x", "'x'"),
        ("DRAINIT_PRE_STOP_IDLE", "80,0", "'0'"),
        ("DRAINIT_PRE_STOP_HTTP", "http://127.0.0.1/\nhttp://there/", "'http://there/'"),
        ("DRAINIT_POST_EXIT", "true\n'", "'''"),
    ] {
        let line = refused(&[], &[(name, value)]);
        assert!(line.contains(name) && line.contains(wrong), "{line:?}");
    }
}

#[test]
fn a_value_with_a_newline_is_shown_in_one_line() {
    let line = refused(&["--pre-stop", "sh -c 'a\nb"], &[]);
    assert!(line.contains("--pre-stop") && line.contains("a\\nb"), "{line:?}");
}

#[test]
fn an_empty_variable_is_an_unset_one() {
    for mode in BOTH {
        let mut init = Init::new(mode);
        for (option, ..) in WRONG {
            init = init.env(format!("DRAINIT_{}", option.to_uppercase().replace('-', "_")), "");
        }
        init.workload("exit=3").run().exits(3).silently();
    }
}
