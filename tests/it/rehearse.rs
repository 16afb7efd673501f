//! `--rehearse`: a stop that drainit begins itself, drawn and judged.

use drainit::signal::Signal;

use crate::generated::part_is_current;
use crate::harness::{BOTH, Finished, Init, WORKLOAD};
use crate::rehearse_text::{example, normal};

/// The page that shows one.
const PAGE: &str = "docs/ci.md";

/// The stop begins when all of them have said that they are ready, and not after a time that may be too short for that.
fn rehearsed(init: Init, directives: &str) -> Finished {
    let mut init = init.flags(&["--rehearse=1h"]).workload(directives).start();
    for _ in 0..lines_of_readiness(directives) {
        init.line_with("ready ");
    }
    init.signal(Signal::TERM);
    init.finish()
}

fn lines_of_readiness(directives: &str) -> usize {
    let (mut lines, mut copies) = (0, vec![1]);
    for word in directives.split_whitespace() {
        let outside = *copies.last().expect("every brace has its other half");
        if word == "ready" {
            lines += outside;
        } else if word == "}" {
            copies.pop();
        } else if let Some(kind) = word.strip_suffix('{') {
            let times = kind.split_once('*').map_or(1, |(_, times)| times.parse().expect("a number"));
            copies.push(outside * times);
        }
    }
    lines
}

fn says(run: &Finished, text: &str) -> bool {
    run.stderr.iter().any(|line| line.contains(text))
}

#[test]
fn a_good_stop_passes_and_is_drawn() {
    for mode in BOTH {
        let family = "daemon{ name=daemon catch=TERM:300ms ready hold } name=main catch=TERM:1ms ready hold";
        let run = rehearsed(Init::new(mode).flags(&["--pre-stop-sleep=200ms"]), family);
        run.exits(0).in_order(&["main got TERM", "main finished", "daemon finished"]);
        assert_eq!(run.count("daemon got TERM"), 1, "{run:?}");
        let bar = |name: &str| run.stderr.iter().find(|line| line.contains(name) && line.contains('|'));
        assert!(bar("sleep").is_some() && bar("fake-workload").is_some(), "{run:?}");
        assert!(says(&run, "passed: ") && !says(&run, "failed: "), "{run:?}");
        // Plain, and in 80 columns: this is no terminal.
        assert!(
            run.stderr.iter().all(|line| line.is_ascii() && line.len() <= 80 || line.contains(": ")),
            "{run:?}"
        );
        assert!(run.stderr.iter().all(|line| !line.contains('\x1b')), "{run:?}");
    }
}

#[test]
fn a_process_that_ignores_the_signal_fails_it_with_advice() {
    for mode in BOTH {
        let run = rehearsed(Init::new(mode), "name=main ignore=TERM ready hold");
        run.exits(124);
        assert!(says(&run, "failed: ") && says(&run, "ignore") && says(&run, "--rewrite"), "{run:?}");
    }
}

#[test]
fn a_kill_fails_it_and_so_does_a_step_that_fails() {
    for mode in BOTH {
        let init = Init::new(mode).flags(&["--grace-period=300ms"]);
        let run = rehearsed(init, "name=main catch=TERM ready hold");
        run.exits(124);
        assert!(says(&run, "failed: ") && says(&run, "was killed"), "{run:?}");
        let run =
            rehearsed(Init::new(mode).flags(&["--pre-stop=false"]), "name=main catch=TERM:1ms ready hold");
        run.exits(124);
        assert!(says(&run, "failed: ") && says(&run, "false"), "{run:?}");
    }
}

#[test]
fn a_step_that_had_to_be_killed_fails_it() {
    for mode in BOTH {
        let flags = ["--pre-stop-timeout=1m", "--pre-stop", "sh -c 'trap \"\" TERM; sleep 20; true'"];
        let init = Init::new(mode).flags(&flags);
        // It ends while the step is under way, and the step has two seconds more.
        let run = rehearsed(init, "catch=TERM:3s ready sleep=1s exit=0");
        run.exits(124);
        assert!(says(&run, "command sh' had to be killed") && !says(&run, "did not send"), "{run:?}");
    }
}

#[test]
fn a_crash_fails_it_and_an_end_by_the_stop_signal_does_not() {
    for mode in BOTH {
        for (flags, command, code, sentence) in [
            (&[][..], "trap 'kill -SEGV $$' TERM", 124, ") died of SEGV, which drainit did not send"),
            (&[], "trap 'exit 1' TERM", 124, ") exited with 1: a good end is 0 or 143 (128 + TERM)"),
            (&[], "trap 'exit 139' TERM", 124, ") exited with 139 (128 + SEGV): a good end is 0 or 143"),
            (&["--remap-exit=1"], "trap 'exit 1' TERM", 0, "passed: "),
            (&[], "trap 'exit 143' TERM", 0, "passed: "),
            (&[], "true", 0, "passed: "),
            (&["--rewrite=TERM:INT"], "trap 'exit 130' INT", 0, "passed: "),
        ] {
            let script = format!("{command}; sleep 60 & echo ready; wait");
            let flags = [&["--rehearse=1h"], flags].concat();
            let mut init = Init::new(mode).flags(&flags).command(&["sh", "-c", &script]).start();
            init.line("ready").signal(Signal::TERM);
            let run = init.finish();
            run.exits(code);
            assert!(says(&run, sentence), "{command}: {run:?}");
        }
    }
}

#[test]
fn many_processes_that_are_passed_over_fail_it_too() {
    let family = "child*80{ ready hold } name=main ignore=INT ready hold";
    let flags = ["--stop-schedule=INT@all/30s/TERM@all/10s/KILL", "--ignored-after=200ms"];
    let run = rehearsed(Init::pid_one().flags(&flags), family);
    run.exits(124);
}

#[test]
fn a_command_that_ends_before_has_not_been_rehearsed() {
    for mode in BOTH {
        let run = Init::new(mode).flags(&["--rehearse=1h"]).workload("exit=0").run();
        run.exits(124);
        assert!(says(&run, "failed: "), "{run:?}");
    }
}

#[test]
fn a_process_that_only_waiting_saved_is_named() {
    for mode in BOTH {
        let family = "session{ name=daemon catch=TERM:500ms ready hold } name=main ready hold";
        let run = rehearsed(Init::new(mode), family);
        run.exits(0);
        // It may have been signalled before main's end was seen: then it is "needed 500ms more than".
        assert!(says(&run, "advice: ") && says(&run, ": tini would have cut it off "), "{run:?}");
    }
}

#[test]
fn on_a_terminal_it_is_in_colour_and_as_wide_as_that() {
    for (no_colour, columns) in [("", 120), ("1", 100)] {
        let size = nix::pty::Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = nix::pty::openpty(Some(&size), None).expect("a terminal");
        let init = Init::subreaper().stderr(terminal.slave).env("NO_COLOR", no_colour).env("TERM", "xterm");
        rehearsed(init, "name=main catch=TERM:100ms ready hold").exits(0);
        let mut drawn = vec![0; 16 * 1024];
        let length = nix::unistd::read(&terminal.master, &mut drawn).expect("it was drawn");
        let drawn = String::from_utf8_lossy(&drawn[..length]).into_owned();
        assert_eq!(drawn.contains('\x1b'), no_colour.is_empty(), "{drawn}");
        let row = drawn.lines().find(|line| line.contains("exited with 0 at ")).expect("a bar");
        assert_eq!(without_colours(row.trim_end()).len(), usize::from(columns), "{drawn}");
    }
}

fn without_colours(line: &str) -> String {
    let mut parts = line.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').expect("a colour").1)
}

#[test]
fn it_has_a_limit_of_its_own() {
    let mut run =
        Init::pid_one().flags(&["--rehearse=100ms"]).workload("name=main catch=TERM ready hold").start();
    // The harness waits no longer than the limit, so what is left of it is waited for here.
    run.says("20.0s after TERM, waiting for");
    let run = run.finish();
    run.exits(124);
    assert!(says(&run, "when time was up, and was killed"), "{run:?}");
}

#[test]
fn a_wrong_time_starts_nothing() {
    let run = Init::subreaper().flags(&["--rehearse=soon"]).workload("say=started").run();
    run.exits(125);
    assert!(run.stdout.is_empty() && run.complaint().contains("'soon' for --rehearse"), "{run:?}");
}

#[test]
fn the_example_in_docs_ci_is_what_the_program_draws() {
    let script = format!("{WORKLOAD} name=server catch=TERM:1200ms hold & wait");
    let flags = ["--rehearse=1s", "--pre-stop-sleep=500ms"];
    let draw = || {
        let run = Init::pid_one().flags(&flags).command(&["sh", "-c", &script]).run();
        run.exits(0).stderr.join(
            "
",
        ) + "
"
    };
    let page = crate::docs::read(PAGE);
    if std::env::var_os("DRAINIT_BLESS").is_some() {
        return part_is_current(
            PAGE,
            "rehearsal",
            &format!(
                "```text
{}```
",
                draw()
            ),
        );
    }
    // A machine under load is late with what is at once elsewhere; and there the server may be signalled before the shell's end was seen, which is
    // told in other words.
    let normal = |text: &str| normal(text).replace("off at once", "off after TIME");
    let shown = normal(example(&page).expect("it is between the markers"));
    let mut drawn = draw();
    for _ in 0..4 {
        if normal(&drawn) != shown {
            drawn = draw();
        }
    }
    assert_eq!(shown, normal(&drawn), "DRAINIT_BLESS=1 cargo test the_example_in_docs_ci writes it anew");
}
