//! What is set and does nothing is said at the start; a slip is answered with the nearest word.

use crate::cli::refused;
use crate::harness::{BOTH, Init};

#[test]
fn a_slip_in_an_option_or_a_value_names_the_nearest_word() {
    for (flags, end) in [
        (
            &["--grace-peroid", "5"][..],
            "unknown option '--grace-peroid'; did you mean --grace-period? (see drainit --help)",
        ),
        (
            &["--grace_period=5"],
            "unknown option '--grace_period'; did you mean --grace-period? (see drainit --help)",
        ),
        (&["--grace"], "; did you mean --grace-period? (see drainit --help)"),
        (&["--sleep", "3"], "; did you mean --pre-stop-sleep? (see drainit --help)"),
        (&["--frobnicate"], "unknown option '--frobnicate' (see drainit --help)"),
        (&["-Z"], "unknown option '-Z' (see drainit --help)"),
        (&["--forward-to", "grp"], "not one of auto, group, main, all; did you mean group?"),
        (&["--stop-signal", "SIGQIUT"], "; did you mean QUIT?"),
        (&["--parent-death-signal", "KIL"], "; did you mean KILL?"),
        (&["-r", "TERM:QIUT"], "; did you mean QUIT?"),
        (&["-r", "HUP:HUP@mian"], "; did you mean main?"),
        (&["--stop-schedule", "TERM/forevr"], "; did you mean forever?"),
        (&["--stop-schedule", "TERM/5s/KIL"], "; did you mean KILL?"),
        (&["--log-format", "jsno"], "not one of text, json; did you mean json?"),
        (&["--ignored-after", "nevr"], "; did you mean never?"),
    ] {
        let said = refused(flags, &[]);
        assert!(said.ends_with(end), "{said:?} does not end with {end:?}");
    }
    let said = refused(&[], &[("DRAINIT_LOG", "warning")]);
    assert!(said.ends_with("not one of off, error, warn, info, debug, trace; did you mean warn?"), "{said}");
}

#[test]
fn a_wrong_duration_is_answered_in_our_own_words() {
    for value in ["5x", "5 parsecs", "1.5.5s", "-1", "5m30", "99999999999999999999h"] {
        let said = refused(&[&format!("--grace-period={value}")], &[]);
        let expected = format!(
            "drainit: error: invalid value '{value}' for --grace-period: not a duration such as 500ms, 10s, 1m30s or 2h, nor a whole number of seconds"
        );
        assert_eq!(said, expected);
    }
}

#[test]
fn a_variable_that_nothing_reads_is_warned_of_with_the_nearest_one() {
    for mode in BOTH {
        let run = Init::new(mode).env("DRAINIT_GRACE_PEROID", "5s").workload("exit=3").run();
        run.exits(3).warns(&["unknown variable DRAINIT_GRACE_PEROID; did you mean DRAINIT_GRACE_PERIOD?"]);
        let run = Init::new(mode).env("DRAINIT_XYZZY_FROB", "1").workload("exit=3").run();
        run.exits(3).warns(&["unknown variable DRAINIT_XYZZY_FROB"]);
        assert!(!run.complaint().contains("did you mean"), "{run:?}");
        // Quiet is quiet, and a pause has an environment too.
        let quiet = Init::new(mode).env("DRAINIT_GRACE_PEROID", "5s").flags(&["-q"]);
        quiet.workload("exit=3").run().exits(3).silently();
    }
    let mut pause = std::process::Command::new(*crate::harness::DRAINIT);
    crate::gate::without_test_variables(&mut pause);
    pause.arg("--pause").env("DRAINIT_PUASE", "1").stderr(std::process::Stdio::piped());
    let mut pause = pause.spawn().expect("it runs");
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(pause.stderr.take().expect("a pipe")),
        &mut line,
    )
    .expect("a line");
    drainit::sys::kill::send(pause.id().cast_signed(), drainit::signal::Signal::TERM).expect("our own child");
    assert!(pause.wait().expect("our own child").success());
    assert_eq!(line, "drainit: warning: unknown variable DRAINIT_PUASE\n");
}

#[test]
fn variables_of_services_and_of_an_outer_drainit_are_no_slips() {
    for mode in BOTH {
        let mut init = Init::new(mode);
        for (name, value) in [
            ("DRAINIT_SERVICE_HOST", "10.0.0.1"),
            ("DRAINIT_SERVICE_PORT", "80"),
            ("DRAINIT_SERVICE_PORT_HTTP", "80"),
            ("DRAINIT_PORT", "tcp://10.0.0.1:80"),
            ("DRAINIT_PORT_80_TCP", "tcp://10.0.0.1:80"),
            ("DRAINIT_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("DRAINIT_WEB_SERVICE_HOST", "10.0.0.2"),
            ("DRAINIT_MAIN_PID", "7"),
            ("DRAINIT_RECEIVED_SIGNAL", "TERM"),
            ("DRAINIT_DEADLINE_MS", "100"),
            ("DRAINIT_GRACE_PERIOD", ""),
        ] {
            init = init.env(name, value);
        }
        init.workload("exit=3").run().exits(3).silently();
    }
}

/// Flags, and what the one warning says.
const FUTILE: [(&[&str], &str); 4] = [
    (
        &["--pre-stop-sleep=5s", "--pre-stop-idle=8080"],
        "pre-stop idle 8080 never begins: the sleeps before it take 5s, and the drain has 5s (--pre-stop-timeout)",
    ),
    (
        &["--grace-period=4s", "--pre-stop-sleep=1s", "--pre-stop-sleep=1s", "--pre-stop=true"],
        "pre-stop command true never begins: the sleeps before it take 2s, and --grace-period 4s leaves the drain 2s",
    ),
    (
        &["--grace-period=0", "--pre-stop=true"],
        "pre-stop command true never begins: --grace-period 0s leaves the drain 0s",
    ),
    (
        &["--post-exit-sleep=30", "--post-exit=true"],
        "post-exit command true never begins: the sleeps before it take 30s, and the grace period leaves 30s",
    ),
];

#[test]
fn a_step_that_can_never_begin_is_warned_of_and_no_rehearsal_is_begun() {
    for (flags, said) in FUTILE {
        let mut rehearsal = vec!["--rehearse=1s"];
        rehearsal.extend(flags);
        assert_eq!(refused(&rehearsal, &[]), format!("drainit: error: cannot rehearse: {said}"));
        if flags.iter().any(|flag| flag.starts_with("--post-exit")) {
            continue;
        }
        for mode in BOTH {
            let run = Init::new(mode).flags(flags).workload("exit=3").run();
            run.exits(3).warns(&[said]);
            Init::new(mode).flags(flags).flags(&["-q"]).workload("exit=3").run().exits(3).silently();
        }
    }
    let fits = ["--pre-stop-sleep=4s", "--pre-stop-idle=8080", "--grace-period=10s"];
    Init::subreaper().flags(&fits).workload("exit=3").run().exits(3).silently();
}

#[test]
fn a_step_s_program_that_is_not_there_is_warned_of_at_the_start() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let place = folder.path().to_str().expect("text");
    std::fs::write(folder.path().join("text"), "x").expect("a file");
    std::os::unix::fs::symlink("/bin/true", folder.path().join("hook")).expect("a link");
    for (program, why) in [
        ("no-such-program-anywhere", "not found in PATH"),
        ("/nowhere/hook", "no such file"),
        ("./missing", "no such file"),
        ("./text", "it is not executable"),
        ("/etc", "it is not executable"),
    ] {
        for mode in BOTH {
            let step = format!("{program} --token secret");
            let run =
                Init::new(mode).flags(&["--workdir", place, "--pre-stop", &step]).workload("exit=3").run();
            run.exits(3).warns(&[&format!("pre-stop command {program} would fail: {why}")]);
            assert!(!run.complaint().contains("secret"), "{run:?}");
        }
    }
    // Looked up in the command's directory, along PATH; no word about a program that is there.
    for (directory, step) in [(place, "./hook"), (place, "hook"), ("/", "./bin/true"), ("/", "true")] {
        let path = format!(".:{}", std::env::var("PATH").expect("the tests have one"));
        let init = Init::subreaper().env("PATH", path).flags(&["--workdir", directory, "--pre-stop", step]);
        init.workload("exit=3").run().exits(3).silently();
    }
    let quiet = ["-q", "--pre-stop", "no-such-program-anywhere"];
    Init::subreaper().flags(&quiet).workload("exit=3").run().exits(3).silently();
}

#[test]
fn a_user_whom_drainit_cannot_signal_is_warned_of_at_the_start() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not run: only root can become another user");
        return;
    }
    let without_kill = ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill"];
    for mode in BOTH {
        let run =
            Init::new(mode).under(&without_kill).flags(&["--user", "64321:64321"]).command(&["true"]).run();
        run.exits(0).warns(&["--user 64321:64321 without CAP_KILL: drainit could not signal the command"]);
        Init::new(mode).flags(&["--user", "64321:64321"]).command(&["true"]).run().exits(0).silently();
        let own = Init::new(mode).under(&without_kill).flags(&["--user", "0:0"]);
        own.command(&["true"]).run().exits(0).silently();
        let quiet = Init::new(mode).under(&without_kill).flags(&["-q", "--user", "64321:64321"]);
        quiet.command(&["true"]).run().exits(0).silently();
    }
}
