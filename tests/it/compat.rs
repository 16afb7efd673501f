//! What the test suites of tini and dumb-init ask of their programs, asked of drainit: flags, variables and names.
//!
//! What other modules ask already is not asked again. `exit_code`: statuses and deaths by signals pass through. `forward`: every
//! signal reaches the command and its group, and is rewritten. `reap`: a hundred orphans leave no zombie. `start`: mask,
//! ignored signals and directory as they were given, the parent death signal, the group of its own. `tests/it/compat_signals.rs` has
//! what is sent where in dumb-init's two modes.

use std::os::unix::process::CommandExt;
use std::process::Command;

use drainit::cli::InvokedAs;
use drainit::signal::Signal;

use crate::forward::they_get_it;
use crate::harness::{BOTH, DRAINIT, Finished, Init, Mode, WORKLOAD, wait_until};

fn warned_of(run: &Finished) -> Vec<i32> {
    let warnings = run.warnings().into_iter();
    let pids = warnings.map(|line| {
        let rest = line.strip_prefix("drainit: warning: reaped zombie process with pid=");
        let pid = rest.and_then(|rest| rest.split(',').next());
        pid.and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("another warning: {line}"))
    });
    pids.collect()
}

/// tini: each of the 256 codes is remapped by its own `-e`, and by no other.
#[test]
fn every_exit_code_is_remapped_by_its_own_number_alone() {
    for code in 0..=255 {
        let own = code.to_string();
        Init::subreaper().flags(&["-e", &own]).workload(&format!("exit={code}")).run().exits(0).silently();
        let others: Vec<String> =
            (0..=255).filter(|&other| other != code).map(|other| format!("-e{other}")).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        Init::subreaper().flags(&others).workload(&format!("exit={code}")).run().exits(code).silently();
    }
}

/// tini: `-w` warns of each orphan, and of the command itself never.
#[test]
fn a_hundred_orphans_are_a_hundred_warnings() {
    for mode in BOTH {
        for flag in ["-w", "--warn-on-reap", "-gw"] {
            let mut init = Init::new(mode).flags(&[flag]).workload("orphan*100{ exit=1 } ready hold").start();
            let main: i32 = init.line_after("ready").parse().expect("a pid");
            wait_until("all orphans are reaped", || (init.descendants().len() == 1).then_some(()));
            init.signal(Signal::TERM);
            let run = init.finish();
            let mut pids = warned_of(run.exits(143));
            pids.sort_unstable();
            pids.dedup();
            assert!(pids.len() == 100 && !pids.contains(&main), "{run:?}");
        }
    }
    let from_environment = Init::subreaper().env("DRAINIT_WARN_ON_REAP", "1");
    assert_eq!(warned_of(&from_environment.workload("orphan{ } exit=0").run()).len(), 1);
}

/// tini's own words, under its name; and what ends beside a pause is warned of too, although no command runs.
#[test]
fn a_reaped_orphan_is_said_as_tini_says_it() {
    for (name, start) in [("tini", "Reaped"), ("/usr/bin/docker-init", "Reaped"), ("drainit", "reaped")] {
        let output = run_as(name, &["-s", "-w", "--", WORKLOAD, "orphan{", "}", "exit=0"], &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(&format!(": {start} zombie process with pid=")), "{name}: {said:?}");
    }
}

/// tini: without `-w` nothing is said of orphans; `-q` and `TINI_VERBOSITY=0` are below warnings.
#[test]
fn no_warning_is_given_unless_wanted() {
    let orphan = "orphan{ } exit=0";
    Init::subreaper().flags(&["-s"]).workload(orphan).run().exits(0).silently();
    Init::subreaper().env("TINI_SUBREAPER", "").workload(orphan).run().exits(0).silently();
    Init::subreaper().flags(&["-wq"]).workload(orphan).run().exits(0).silently();
    Init::subreaper().flags(&["-w"]).env("TINI_VERBOSITY", "0").workload(orphan).run().exits(0).silently();
}

/// A step is expected to end, and is not warned of.
#[test]
fn steps_are_not_warned_of() {
    let flags = ["-w", "--post-exit", "true", "--pre-stop", "true"];
    let mut init = Init::subreaper().flags(&flags).workload("orphan{ } ready hold").start();
    init.line_after("ready");
    init.signal(Signal::TERM);
    let run = init.finish();
    assert_eq!(warned_of(run.exits(143)).len(), 1, "{run:?}");
}

/// What the tests themselves were started with is not to change which way the settings are read.
const NOTHING_ELSE: &[&str] = &["env", "-i"];

fn with(variables: &[&str]) -> Init {
    Init::subreaper().under(&[NOTHING_ELSE, variables].concat())
}

fn says(init: Init, level: &str) -> bool {
    let run = init.workload("exit=0").run();
    run.exits(0).stderr.iter().any(|line| line.starts_with(&format!("drainit: {level}: ")))
}

#[test]
fn the_variables_that_make_others_talk_make_drainit_talk() {
    for (variable, info, debug) in [
        ("TINI_VERBOSITY=1", false, false),
        ("TINI_VERBOSITY=2", true, false),
        ("TINI_VERBOSITY=3", true, true),
        ("TINI_VERBOSITY=loud", false, false),
        ("DUMB_INIT_DEBUG=1", true, true),
        ("DUMB_INIT_DEBUG=yes", false, false),
        ("CATATONIT_DEBUG=", true, true),
        ("CATATONIT_LOG=x", false, false),
    ] {
        let said = ["info", "debug"].map(|level| says(with(&[variable]), level));
        assert_eq!(said, [info, debug], "{variable}");
    }
    let quiet = with(&["DUMB_INIT_DEBUG=1", "DRAINIT_LOG=warn"]);
    assert!(!says(quiet, "info"), "drainit's own variable wins");
    assert!(says(with(&["TINI_VERBOSITY=0"]).flags(&["-v"]), "info"), "the flag wins");
}

fn run_as(name: &str, line: &[&str], environment: &[(&str, &str)]) -> std::process::Output {
    let mut command = Command::new(*DRAINIT);
    crate::gate::without_test_variables(&mut command);
    command.arg0(name).args(line).envs(environment.iter().copied());
    command.output().expect("it runs")
}

/// What dockerd makes of the answer: the version behind `tini version `, and the commit behind ` - git.`.
fn as_dockerd_reads_it(text: &str) -> Option<(String, String)> {
    let mut parts = text.trim().split(" - ");
    let version = parts.next()?.strip_prefix("tini version ")?.to_owned();
    let commit = parts.next().and_then(|rest| rest.strip_prefix("git.")).unwrap_or_default();
    Some((version, commit.to_owned()))
}

#[test]
fn dockerd_understands_the_version() {
    for name in InvokedAs::TINI_LIKE {
        let output = run_as(&format!("/usr/bin/{name}"), &["--version"], &[]);
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
        let read = as_dockerd_reads_it(&String::from_utf8_lossy(&output.stdout));
        // Docker up to 20.10 warns if the commit is not the one that it was built with. A version without a commit is never wrong.
        assert_eq!(read, Some((concat!(env!("CARGO_PKG_VERSION"), "_drainit").to_owned(), String::new())));
    }
    for name in ["drainit", "dumb-init", "init"] {
        let output = run_as(name, &["-V"], &[]);
        assert!(String::from_utf8_lossy(&output.stdout).starts_with("drainit "), "{name}");
    }
}

/// Podman calls `podman-init -- COMMAND`, Docker `docker-init -- COMMAND`.
#[test]
fn under_a_peer_s_name_the_command_alone_gets_the_signal() {
    let (alone, both) = (&["main"][..], &["main", "worker"][..]);
    for name in InvokedAs::TINI_LIKE {
        let script = format!("exec -a /sbin/{name} \"$@\"");
        let named = |mode, variables: &[&str]| {
            Init::new(mode).under(&[NOTHING_ELSE, variables, &["bash", "-c", &script, "bash"]].concat())
        };
        for mode in BOTH {
            they_get_it(named(mode, &[]), alone);
        }
        they_get_it(named(Mode::Subreaper, &[]).flags(&["-v"]), alone);
        they_get_it(named(Mode::Subreaper, &[]).flags(&["-g"]), both);
        they_get_it(named(Mode::Subreaper, &["TINI_KILL_PROCESS_GROUP="]), both);
        they_get_it(named(Mode::Subreaper, &["DRAINIT_FORWARD_TO=group"]), both);
    }
    they_get_it(with(&["DUMB_INIT_SETSID=0"]), alone);
    they_get_it(with(&["DUMB_INIT_SETSID=1"]), alone);
    let dumb_init = |variables: &[&str]| {
        let script = "exec -a /usr/bin/dumb-init \"$@\"";
        Init::subreaper().under(&[NOTHING_ELSE, variables, &["bash", "-c", script, "bash"]].concat())
    };
    they_get_it(dumb_init(&[]), both);
    they_get_it(dumb_init(&["DUMB_INIT_SETSID=0"]), alone);
    they_get_it(with(&["DUMB_INIT_SETSID=0", "DRAINIT_FORWARD_TO=group"]), both);
}
