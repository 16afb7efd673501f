//! What the test suites of tini and dumb-init ask of their programs, asked of drainit: which process gets which signal (see `compat`).

use std::time::Duration;

use drainit::signal::Signal;

use crate::cli::refused;
use crate::harness::{BOTH, Gate, Init, stays, wait_until};

fn signal(name: &str) -> Signal {
    name.parse().expect("a signal")
}

/// tini: the command dies of what was sent to the init, and the status says so.
#[test]
fn the_command_dies_of_each_signal_that_kills() {
    let harmless = ["CHLD", "CONT", "URG", "WINCH", "STOP", "TSTP", "TTIN", "TTOU", "KILL"].map(signal);
    for mode in BOTH {
        for signal in Signal::all().filter(|signal| !harmless.contains(signal)) {
            // The C library of this test ignores 32 and 33 in what it spawns.
            let directives = format!("default={} ready hold", signal.number());
            let mut init = Init::new(mode).flags(&["-s"]).workload(&directives).start();
            init.line_after("ready");
            init.signal(signal);
            let run = init.finish();
            run.exits(128 + signal.number());
            if signal == Signal::TERM {
                run.silently();
            } else {
                run.warns(&[&format!("died of {signal}, which was forwarded to it")]);
            }
        }
    }
}

/// tini: the command ignores the signal and waits for its child, which does not.
#[test]
fn the_group_gets_what_its_leader_ignores() {
    let family = "ignore=USR1 child{ default=USR1 ready hold } wait exit=7";
    for mode in BOTH {
        for init in [
            Init::new(mode),
            Init::new(mode).flags(&["-g"]),
            Init::new(mode).env("TINI_KILL_PROCESS_GROUP", ""),
        ] {
            let mut init = init.workload(family).start();
            init.line_after("ready");
            init.signal(Signal::USR1);
            init.finish().exits(7).silently();
        }
    }
}

/// tini: the init's parent dies, the init gets the signal, and passes it on.
#[test]
fn the_death_of_drainit_s_parent_reaches_the_command() {
    let parent = ["sh", "-c", "\"$@\" & wait", "sh"];
    for spelling in ["SIGUSR1", "USR1", "10"] {
        let mut shell = Init::subreaper()
            .under(&parent)
            .flags(&["-p", spelling])
            .workload("catch=USR1:1ms ready sleep=20s")
            .start();
        shell.line_after("ready");
        shell.signal(Signal::KILL).line("got USR1").line("finished");
        shell.finish().exits(137).silently();
    }
}

#[test]
fn a_parent_that_has_ended_before_its_death_could_be_told_is_as_good_as_the_signal() {
    if std::process::Command::new("strace").arg("--version").output().is_err() {
        return crate::runtimes::not_run("strace", "strace is not installed");
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let (trace, report) = (folder.path().join("trace"), folder.path().join("report"));
    // drainit is held in the call that asks for the signal, until its parent has gone.
    let script = format!(
        "strace -D -qq -o {trace} -e trace=prctl -e inject=prctl:delay_enter=3000000:when=2 \"$@\" & \
         until grep -q SUBREAPER {trace} 2>/dev/null; do sleep .01; done",
        trace = trace.display()
    );
    let run = Init::subreaper()
        .under(&["sh", "-c", &script, "sh"])
        .env("DRAINIT_REPORT", &report)
        .flags(&["-p", "TERM"])
        .workload("name=main hold")
        .run();
    assert!(run.stderr.iter().any(|line| line.contains("parent ended before TERM")), "{run:#?}");
    let text = std::fs::read_to_string(&report).expect("it is there");
    assert!(text.contains("\"reason\":\"signal\""), "{text}");
}

/// dumb-init: each signal arrives in single-child mode too.
#[test]
fn every_signal_reaches_a_single_child() {
    for mode in BOTH {
        for init in [Init::new(mode).flags(&["-c"]), Init::new(mode).env("DUMB_INIT_SETSID", "0")] {
            // QUIT asks for a stop here, so that TERM is a signal like the others.
            let mut init = init.flags(&["--stop-signal", "QUIT"]).workload("take=all ready hold").start();
            init.line_after("ready");
            for signal in Signal::all().filter(|one| one.can_be_forwarded() && *one != Signal::QUIT) {
                init.signal(signal).line(&format!("got {signal}"));
            }
            init.end().silently();
        }
    }
}

/// dumb-init: what is sent, and what arrives, in its own spelling. Its tests send the same.
#[test]
fn signals_are_rewritten_by_number() {
    let four = ["TERM", "QUIT", "CONT", "INT"];
    for (rewrites, sent, got) in [
        (&[][..], &four[..], &four[..]),
        (&["15:2"], &four, &["INT", "QUIT", "CONT", "INT"]),
        (&["15:2", "2:15", "3:3"], &four, &["INT", "QUIT", "CONT", "TERM"]),
        (&["1:31", "31:1"], &["HUP", "SYS"], &["SYS", "HUP"]),
        (&["21:15", "22:2", "20:1"], &["TTIN", "TTOU", "TSTP"], &["TERM", "INT", "HUP"]),
    ] {
        for mode in BOTH {
            for flag in ["-r", "--rewrite"] {
                let flags: Vec<&str> = rewrites.iter().flat_map(|&rule| [flag, rule]).collect();
                let mut init = Init::new(mode).flags(&flags).workload("take=all ready hold").start();
                init.line_after("ready");
                for (sent, got) in sent.iter().zip(got) {
                    init.signal(signal(sent)).line(&format!("got {got}"));
                }
                init.end();
            }
        }
    }
}

/// dumb-init: rewritten to 0, a signal is dropped.
#[test]
fn signals_that_are_rewritten_to_0_do_not_arrive() {
    for mode in BOTH {
        let flags = ["-r15:3", "-r2:0", "-r28:0"];
        let mut init = Init::new(mode).flags(&flags).workload("take=all ready hold").start();
        init.line_after("ready");
        init.signal(signal("INT")).signal(signal("TERM")).line("got QUIT");
        init.signal(Signal::WINCH).signal(signal("HUP")).line("got HUP");
        let seen = init.end().stdout;
        assert!(!seen.iter().any(|line| line == "got INT" || line == "got WINCH"), "{seen:?}");
    }
}

/// dumb-init: what comes of a signal is that signal. A program that catches CONT sees none with every stop.
#[test]
fn no_cont_comes_with_a_stop() {
    for mode in BOTH {
        for flags in [&[][..], &["-g"], &["-c"], &["--forward-to=all"], &["--stop-schedule=TERM/1m/KILL"]] {
            let mut init = Init::new(mode).flags(flags).workload("take=all ready hold").start();
            init.line_after("ready");
            init.signal(Signal::TERM).line("got TERM");
            // While drainit looks for processes that have to be continued.
            stays(Duration::from_millis(300), || !init.try_line("got CONT"));
            let seen = init.end().stdout;
            assert!(!seen.iter().any(|line| line == "got CONT"), "{flags:?}: {seen:?}");
        }
    }
}

/// One that is stopped only when it has got the signal, by itself or by another, is continued all the same.
#[test]
fn a_process_that_is_stopped_a_moment_later_is_continued() {
    for mode in BOTH {
        for flags in [&[][..], &["-g"], &["-c"]] {
            let script =
                "trap 'kill -STOP $$; echo continued; exit 5' TERM; echo ready; while :; do sleep 0.1; done";
            let mut init = Init::new(mode).flags(flags).command(&["bash", "-c", script]).start();
            init.line("ready").signal(Signal::TERM).line("continued");
            let run = init.finish();
            assert!(run.exits(5).warnings().is_empty(), "{run:?}");
        }
    }
}

/// dumb-init: what is no rewrite is refused. It refuses real-time signals too, which drainit takes.
#[test]
fn a_wrong_rewrite_is_refused() {
    for flags in [
        &["-r"][..],
        &["-r", ""],
        &["-r", "herp"],
        &["-r", "herp:derp"],
        &["-r", "15"],
        &["-r", "15::12"],
        &["-r", "15:derp"],
        &["-r", "15:12", "-r", "0"],
        &["-r", "0:15"],
        &["-r", "15:65"],
    ] {
        assert!(refused(flags, &[]).contains("--rewrite"), "{flags:?}");
    }
    Init::subreaper().flags(&["-r", "1:32"]).workload("exit=0").run().exits(0).silently();
}

const TWO: &str = "name=main catch=TERM child{ name=worker catch=TERM ready hold } ready hold";

/// dumb-init: the whole group is signalled, or in single-child mode the command alone.
#[test]
fn a_stop_goes_to_the_group_or_to_the_single_child() {
    for mode in BOTH {
        let mut init = Init::new(mode).flags(&["-g"]).workload(TWO).start();
        init.ready(&["main", "worker"]).signal(Signal::TERM).begins(&["main got TERM", "worker got TERM"]);
        init.end();
        for init in [Init::new(mode).flags(&["--single-child"]), Init::new(mode).env("DUMB_INIT_SETSID", "0")]
        {
            let mut init = init.workload(TWO).start();
            init.ready(&["main", "worker"]).signal(Signal::TERM).line("main got TERM");
            stays(Duration::from_millis(100), || !init.try_line("worker got TERM"));
            init.end();
        }
    }
}

/// dumb-init signals its group when the command has exited, and leaves at once; in single-child mode it signals no process. drainit signals
/// what is left in both modes, and waits for it.
#[test]
fn what_is_left_is_signalled_and_waited_for_in_both_modes() {
    for mode in BOTH {
        for flags in [&[][..], &["-c"]] {
            let gate = Gate::closed();
            let family =
                format!("orphan{{ name=left catch=TERM:50ms ready hold }} await={} exit=5", gate.path());
            let mut init = Init::new(mode).flags(flags).workload(&family).start();
            init.ready(&["left"]);
            gate.open();
            let run = init.finish();
            run.exits(5).silently();
            assert_eq!(
                (run.count("left got TERM"), run.count("left finished")),
                (1, 1),
                "{flags:?}: {run:?}"
            );
        }
    }
}

/// dumb-init: a whole pipeline is gone after a TERM.
#[test]
fn a_pipeline_ends_as_one() {
    for mode in BOTH {
        let script = "yes 'oh, hi' | tail & yes error | tail >&2";
        let mut init = Init::new(mode).command(&["sh", "-c", script]).start();
        wait_until("the pipelines are there", || {
            let names: Vec<String> = init.descendants().iter().map(|one| one.name.to_string()).collect();
            (names.iter().filter(|name| *name == "yes" || *name == "tail").count() == 4).then_some(())
        });
        init.signal(Signal::TERM);
        init.finish().exits(143);
    }
}
