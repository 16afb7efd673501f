//! Bad input: one line that names the option and the value, 125, and nothing was started.

use std::process::Stdio;

use crate::harness::{BOTH, DRAINIT, Init};

/// `say=started` in what drainit would have run.
pub(crate) fn refused(flags: &[&str], environment: &[(&str, &str)]) -> String {
    let mut init = Init::subreaper().flags(flags).workload("say=started");
    for (name, value) in environment {
        init = init.env(name, value);
    }
    let run = init.run();
    run.exits(125);
    assert!(run.stdout.is_empty(), "nothing was started: {run:?}");
    run.complaint().to_owned()
}

#[test]
fn a_wrong_option_is_named_with_its_value() {
    for (flags, parts) in [
        (&["--grace-period", "soon"][..], &["--grace-period", "'soon'"][..]),
        (&["--grace-period=-1"], &["--grace-period", "'-1'"]),
        (&["--stop-signal", "TERM,BOGUS"], &["--stop-signal", "'TERM,BOGUS'"]),
        (&["--stop-signal", "KILL"], &["--stop-signal", "'KILL'"]),
        (&["-r", "TERM"], &["--rewrite", "'TERM'"]),
        (&["-r", "TERM:QUIT", "-r", "X:QUIT"], &["--rewrite", "'X:QUIT'"]),
        (&["--forward-to", "some"], &["--forward-to", "'some'"]),
        (&["-e", "300"], &["--remap-exit", "'300'"]),
        (&["-u", "root"], &["--user", "'root'"]),
        (&["-p", "0"], &["--parent-death-signal", "'0'"]),
        (&["--workdir="], &["--workdir", "''"]),
        (&["--unheard-of"], &["--unheard-of"]),
        (&["-Z"], &["-Z"]),
        (&["--grace-period", "a\nb"], &["--grace-period", "'a\\nb'"]),
    ] {
        let line = refused(flags, &[]);
        for part in parts {
            assert!(line.contains(part), "{part} is not in {line:?}");
        }
    }
}

#[test]
fn a_wrong_variable_is_named_with_its_value() {
    for (name, value) in [
        ("DRAINIT_GRACE_PERIOD", "soon"),
        ("DRAINIT_STOP_SIGNAL", "BOGUS"),
        ("DRAINIT_REWRITE", "TERM"),
        ("DRAINIT_FORWARD_TO", "some"),
        ("DRAINIT_WAIT_FOR_ALL", "perhaps"),
        ("DRAINIT_REMAP_EXIT", "x"),
        ("DRAINIT_PARENT_DEATH_SIGNAL", "x"),
        ("DRAINIT_SUBREAPER", "x"),
        ("DRAINIT_USER", "nobody"),
        ("DRAINIT_LOG", "loud"),
    ] {
        let line = refused(&[], &[(name, value)]);
        assert!(line.contains(name) && line.contains(&format!("'{value}'")), "{line}");
    }
    // The flag wins, and then the variable is not read. An empty one is an unset one.
    Init::subreaper()
        .env("DRAINIT_GRACE_PERIOD", "soon")
        .flags(&["--grace-period", "1"])
        .workload("exit=3")
        .run()
        .exits(3);
    Init::subreaper().env("DRAINIT_GRACE_PERIOD", "").workload("exit=3").run().exits(3);
}

/// Tests run nowhere near PID 1 of a machine; `runtimes/vm.rs` has that.
#[test]
fn only_the_machine_s_init_powers_it_off() {
    let line = "drainit: error: --poweroff is only for PID 1 of a machine";
    assert_eq!(refused(&["--poweroff"], &[]), line);
    assert_eq!(refused(&[], &[("DRAINIT_POWEROFF", "1")]), line);
    // The second process of these namespaces looks like the kernel's own, because its process group is one outside; with and
    // without a /proc that tells more.
    for script in ["sleep 60 & exec \"$@\"", "sleep 60 & mount -t tmpfs none /proc && exec \"$@\""] {
        let init = || Init::pid_one().under(&["unshare", "--mount", "sh", "-c", script, "sh"]);
        let run = init().flags(&["--poweroff"]).workload("say=started").run();
        assert_eq!(run.exits(125).complaint(), line);
        assert!(run.stdout.is_empty(), "{run:?}");
        init().workload("exit=3").run().exits(3).silently();
    }
}

#[test]
fn no_command_is_an_error() {
    for line in [&[][..], &["--"], &["-g"], &["--grace-period", "5", "--"]] {
        let output = std::process::Command::new(*DRAINIT).args(line).output().expect("it runs");
        assert_eq!(output.status.code(), Some(125));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("no command given") && text.lines().count() == 1, "{text}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn everything_after_the_command_is_the_command_s() {
    let run = Init::subreaper().workload("argv -g --help -- --version x").run();
    run.exits(0).silently();
    assert_eq!(run.stdout, [r#"argv ["-g", "--help", "--", "--version", "x"]"#]);
    let without_dashes = std::process::Command::new(*DRAINIT)
        .args(["-g", crate::harness::WORKLOAD, "argv", "--", "-v"])
        .output()
        .expect("it runs");
    assert_eq!(String::from_utf8_lossy(&without_dashes.stdout), "argv [\"--\", \"-v\"]\n");
}

#[test]
fn help_and_version_go_to_stdout() {
    for (flag, part) in [
        ("--help", "--grace-period"),
        ("-h", "Usage: drainit"),
        ("--version", "drainit 0."),
        ("-V", "drainit 0."),
        ("--license", "MIT OR Apache-2.0"),
        ("-l", "MIT OR Apache-2.0"),
        ("-L", "MIT OR Apache-2.0"),
    ] {
        let output = std::process::Command::new(*DRAINIT).arg(flag).output().expect("it runs");
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8_lossy(&output.stdout).contains(part));
        assert!(output.stderr.is_empty());
    }
}

#[test]
fn help_that_cannot_be_written_is_an_error_and_help_without_a_reader_is_none() {
    let (reader, unread) = crate::harness::pipe();
    drop(reader);
    let full = std::fs::File::create("/dev/full").expect("Linux has it");
    for (stdout, code) in [(Stdio::from(full), 125), (Stdio::from(unread), 0)] {
        let run =
            std::process::Command::new(*DRAINIT).arg("--help").stdout(stdout).output().expect("it runs");
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!((run.status.code(), said.lines().count()), (Some(code), usize::from(code != 0)), "{said}");
        assert!(code == 0 || said.contains("cannot write to stdout: no space left on device"), "{said}");
    }
}

#[test]
fn each_help_fits_eighty_columns() {
    for flag in ["-h", "--help"] {
        let output = std::process::Command::new(*DRAINIT).arg(flag).output().expect("it runs");
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn the_short_help_is_short() {
    let output = std::process::Command::new(*DRAINIT).arg("-h").output().expect("it runs");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(help.lines().count() <= 50, "{help}");
    let is_option = |line: &&str| line.trim_start().starts_with('-');
    assert_eq!(help.lines().filter(is_option).count(), 10, "{help}");
    for part in ["Usage: drainit", "Examples:", "  drainit -- ./entrypoint.sh", "drainit --help"] {
        assert!(help.contains(part), "{part} is not in {help}");
    }
    // Whatever else was typed, as long as it is an option.
    let output = std::process::Command::new(*DRAINIT).args(["-gh", "--", "true"]).output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), help);
}

#[test]
fn help_has_every_option_in_one_group() {
    let output = std::process::Command::new(*DRAINIT).arg("--help").output().expect("it runs");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    let groups: Vec<&str> =
        help.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).collect();
    assert_eq!(
        groups,
        [
            "Arguments:",
            "Signals:",
            "Drain:",
            "Stop:",
            "After the end:",
            "Process:",
            "What happened:",
            "General:"
        ]
    );
    for option in drainit::cli::definition().get_arguments().filter(|option| !option.is_positional()) {
        assert!(option.get_help_heading().is_some(), "{option} is in no group");
        let short = option.get_short().map(|short| format!("-{short}"));
        let long = option.get_long().map(|long| format!("--{long}"));
        let typed = [short, long].into_iter().flatten().collect::<Vec<_>>().join(", ");
        let lines = help.lines().filter(|line| {
            let rest = line.trim_start().strip_prefix(&typed);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '[', '.']))
        });
        assert_eq!(lines.count(), 1, "{typed} is not in the help once");
    }
}

#[test]
fn the_log_says_more_with_v_and_nothing_otherwise() {
    for mode in BOTH {
        Init::new(mode).workload("exit=0").run().exits(0).silently();
        let run = Init::new(mode).flags(&["-vv"]).workload("exit=4").run();
        run.exits(4);
        assert!(
            run.stderr
                .iter()
                .any(|line| line.starts_with("drainit: info: ") && line.contains("exited with 4")),
            "{run:?}"
        );
        let run = Init::new(mode).env("DRAINIT_LOG", "info").workload("exit=4").run();
        assert!(run.stderr.iter().any(|line| line.contains("exited with 4")), "{run:?}");
    }
}
