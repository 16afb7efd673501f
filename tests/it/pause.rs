//! `--pause`: nothing is run, orphans are reaped, and TERM or INT is the end.

use drainit::signal::Signal;

use crate::harness::{BOTH, DRAINIT, Gate, Init, Mode, Running, WORKLOAD, wait_until};
use crate::idle::{Wait, wait_of};

/// Started by a shell that does something `before` and then becomes drainit: the only way to have children without a command.
fn start(mode: Mode, flags: &[&str], before: &str) -> Running {
    let script = format!("{before} exec \"$@\"");
    Init::new(mode).under(&["sh", "-c", &script, "sh"]).flags(&["--pause"]).flags(flags).start()
}

fn alone(mode: Mode, flags: &[&str]) -> Running {
    start(mode, flags, "")
}

#[test]
fn term_and_int_end_it_with_0_and_other_signals_do_nothing() {
    for mode in BOTH {
        for last in [Signal::TERM, Signal::INT] {
            let mut pause = alone(mode, &[]);
            pause.idle();
            for signal in Signal::all().filter(|signal| signal.can_be_forwarded()) {
                if ![Signal::TERM, Signal::INT].contains(&signal) {
                    pause.signal(signal);
                }
            }
            pause.idle().signal(last);
            pause.finish().exits(0).silently();
        }
    }
}

#[test]
fn it_waits_without_a_timeout() {
    for mode in BOTH {
        let mut pause = alone(mode, &["-v"]);
        assert_eq!(wait_of(pause.idle().pid()), Some(Wait::ForEver));
        pause.signal(Signal::TERM);
        let run = pause.finish();
        assert!(run.exits(0).stderr.iter().any(|line| line.contains("TERM ends the pause")), "{run:?}");
    }
}

#[test]
fn orphans_are_reaped_with_a_warning_if_wanted() {
    for mode in BOTH {
        let gate = Gate::closed();
        let words =
            format!("await={} 'child*20{{' exit=3 '}}' 'orphan{{' sleep=20ms '}}' ready", gate.path());
        let mut pause = start(mode, &["-w"], &format!("{WORKLOAD} {words} &"));
        pause.idle();
        gate.open();
        pause.line_after("ready");
        wait_until("all are reaped", || pause.descendants().is_empty().then_some(()));
        pause.signal(Signal::TERM);
        let run = pause.finish();
        run.exits(0);
        // The fake workload does not reap its own children: they are orphans when it ends, and then it is one itself.
        let warnings = run.warnings();
        assert!(
            warnings.iter().all(|line| line.starts_with("drainit: warning: reaped zombie process with pid=")),
            "{run:?}"
        );
        assert_eq!(warnings.len(), 22, "{run:?}");
    }
}

#[test]
fn it_leaves_at_once_whatever_is_left() {
    let before = format!("{WORKLOAD} ignore=TERM ready hold &");
    let mut pause = start(Mode::Subreaper, &[], &before);
    let left: i32 = pause.line_after("ready").parse().expect("a pid");
    pause.idle().signal(Signal::TERM);
    let code = pause.ended();
    let was_left = drainit::sys::kill::send(left, Signal::KILL);
    assert_eq!(code, 0);
    was_left.expect("it was left alone");
    pause.finish().exits(0).silently();
    let mut pause = start(Mode::PidOne, &[], &before);
    pause.line_after("ready");
    pause.idle().signal(Signal::TERM);
    pause.finish().exits(0).silently();
}

#[test]
fn it_holds_no_directory_and_no_inherited_descriptor() {
    let mut pause = start(Mode::Subreaper, &[], "cd /usr; exec 7</dev/null;");
    let own = format!("/proc/{}", pause.idle().pid());
    assert_eq!(std::fs::read_link(format!("{own}/cwd")).expect("it is there"), std::path::Path::new("/"));
    // The signalfd is the fourth.
    assert_eq!(std::fs::read_dir(format!("{own}/fd")).expect("it is there").count(), 4);
    pause.signal(Signal::INT);
    pause.finish().exits(0).silently();
}

#[test]
fn what_would_have_nothing_to_act_on_is_refused() {
    let refuse = |line: &[&str]| {
        let output = std::process::Command::new(*DRAINIT).args(line).output().expect("it runs");
        assert_eq!(output.status.code(), Some(125), "{line:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(text.lines().count(), 1, "{text}");
        text
    };
    assert!(refuse(&["-P", "true"]).contains("--pause runs no command, got \"true\""));
    assert!(refuse(&["--pause", "--", "true"]).contains("--pause runs no command"));
    for option in ["--grace-period=5", "--pre-stop=true", "--report=-", "--rewrite=TERM:INT", "--user=1"] {
        let name = option.split('=').next().expect("a name");
        for line in [["-P", option], [option, "-P"]] {
            let text = refuse(&line);
            assert!(text.contains("--pause") && text.contains(name), "{text}");
        }
    }
    // Their variables may be there for the other containers of a pod.
    let mut pause =
        start(Mode::Subreaper, &["-gsvq"], "export DRAINIT_GRACE_PERIOD=5 DRAINIT_PRE_STOP=true;");
    pause.idle().signal(Signal::TERM);
    pause.finish().exits(0).silently();
}
