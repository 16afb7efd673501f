//! The exit status is the command's own, or says why there is none.

use drainit::signal::Signal;

use crate::harness::{BOTH, Init, WORKLOAD};

#[test]
fn every_exit_status_passes_through() {
    for code in 0..=255 {
        Init::subreaper().workload(&format!("exit={code}")).run().exits(code).silently();
    }
}

/// Those that kill by default (signal(7)): the others are ignored, or stop.
pub(crate) fn deadly() -> impl Iterator<Item = Signal> {
    let harmless = [Signal::CHLD, Signal::CONT, Signal::URG, Signal::WINCH, Signal::STOP];
    Signal::all().filter(move |signal| !harmless.contains(signal) && !signal.is_of_terminal())
}

#[test]
fn a_death_by_signal_is_128_and_its_number() {
    for mode in BOTH {
        for signal in deadly() {
            let run = Init::new(mode).workload(&format!("die={}", signal.number())).run();
            run.exits(128 + signal.number());
            if signal == Signal::KILL {
                run.warns(&["died of a KILL that drainit did not send"]);
            } else {
                run.silently();
            }
        }
    }
}

#[test]
fn codes_are_remapped() {
    for (flags, status, expected) in [
        (&["-e", "143"][..], "exit=143", 0),
        (&["--remap-exit", "7:9"], "exit=7", 9),
        (&["-e", "7:9", "-e", "9:1"], "exit=7", 9),
        (&["-e", "143"], "die=TERM", 0),
        (&["-e", "1"], "exit=2", 2),
    ] {
        Init::subreaper().flags(flags).workload(status).run().exits(expected).silently();
    }
    Init::subreaper().env("DRAINIT_REMAP_EXIT", "143,130:3").workload("die=INT").run().exits(3);
    // A failure to start is drainit's own and stays what it is.
    Init::subreaper().flags(&["-e", "127"]).command(&["/nowhere/to/be/found"]).run().exits(127);
}

#[test]
fn a_stop_that_needed_kill_is_not_remapped() {
    for mode in BOTH {
        for (flags, command, code) in [
            (&["-e", "137"][..], "name=main catch=TERM ready hold", 137),
            // Main ended well, but what it left behind did not.
            (&["-e", "7"], "child{ ignore=TERM hold } name=main catch=TERM:1ms:7 ready hold", 7),
        ] {
            let flags = [&["--grace-period=500ms", "--ignored-after=never"], flags].concat();
            let mut init = Init::new(mode).flags(&flags).workload(command).start();
            init.ready(&["main"]).signal(Signal::TERM);
            init.finish().exits(code);
        }
    }
}

#[test]
fn main_s_status_wins_over_later_ones() {
    for mode in BOTH {
        let run = Init::new(mode).workload("orphan{ catch=TERM:50ms:9 ready hold } exit=3").run();
        run.exits(3);
    }
}

#[test]
fn not_found_is_127_and_not_executable_126() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "x").expect("a file");
    for (command, code, part) in [
        ("no-such-command-anywhere", 127, "not found in PATH"),
        ("/nowhere/x", 127, "no such file"),
        ("/etc/passwd/x", 127, "not a directory"),
        ("", 127, "the name is empty"),
        (plain.to_str().expect("text"), 126, "is not executable"),
        ("/", 126, "is a directory"),
    ] {
        for mode in BOTH {
            let run = Init::new(mode).command(&[command]).run();
            run.exits(code);
            assert!(run.complaint().contains(part) && run.complaint().contains(command), "{run:?}");
            assert!(run.stdout.is_empty());
        }
    }
}

#[test]
fn a_missing_interpreter_is_named_as_the_reason() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let script = folder.path().join("script");
    std::fs::write(&script, "#!/nowhere/interpreter\n").expect("a file");
    make_executable(&script);
    let run = Init::subreaper().command(&[&script]).run();
    run.exits(127);
    assert!(run.complaint().contains("interpreter"), "{run:?}");
}

#[test]
fn a_script_without_an_interpreter_line_runs_under_sh() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let script = folder.path().join("script");
    std::fs::write(&script, "echo \"$0 got $1 and $2\"; exit 5\n").expect("a file");
    make_executable(&script);
    let run = Init::subreaper().command(&[script.to_str().expect("text"), "one", "two words"]).run();
    run.exits(5).silently();
    assert_eq!(run.stdout, [format!("{} got one and two words", script.display())]);
}

#[test]
fn a_program_is_found_along_the_path() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let hidden = folder.path().join("hidden");
    std::fs::create_dir(&hidden).expect("a folder");
    // Not executable in the first folder, so the second one counts, as with execvp(3).
    std::fs::write(hidden.join("workload-by-name"), "x").expect("a file");
    std::os::unix::fs::symlink(WORKLOAD, folder.path().join("workload-by-name")).expect("a link");
    let path = format!("{}:{}", hidden.display(), folder.path().display());
    Init::subreaper().env("PATH", &path).command(&["workload-by-name", "exit=4"]).run().exits(4).silently();
    // An entry that is too long for a path is passed over.
    let long = format!("/{}:{path}", "x/".repeat(3000));
    Init::subreaper().env("PATH", &long).command(&["workload-by-name", "exit=4"]).run().exits(4).silently();
    let denied = Init::subreaper().env("PATH", &hidden).command(&["workload-by-name"]).run();
    denied.exits(126);
    let beside = Init::subreaper().env("PATH", "").in_directory(folder.path());
    beside.command(&["workload-by-name", "exit=6"]).run().exits(6).silently();
}

fn make_executable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("our own file");
}
