//! The words of each level: `-v` for an operator, `-vv` and `-vvv` for a closer look. All of them are words.

use drainit::signal::Signal;

use crate::harness::{BOTH, Finished, Init, WORKLOAD};
use crate::server::closed_port;

/// What was said at this level.
fn at<'a>(run: &'a Finished, level: &str) -> Vec<&'a str> {
    let start = format!("drainit: {level}: ");
    run.stderr.iter().filter_map(|line| line.strip_prefix(&start)).collect()
}

/// A server that a shell started outlives it, after a drain.
fn stopped(flags: &[&str]) -> Finished {
    let script = format!("{WORKLOAD} name=server catch=TERM:300ms ready hold & wait");
    let mut init = Init::pid_one().flags(flags).command(&["sh", "-c", &script]).start();
    init.ready(&["server"]).signal(Signal::TERM);
    init.finish()
}

#[test]
fn v_says_what_remains_after_the_command_and_the_exit_code_after_remapping() {
    let run = stopped(&["-v", "-e", "143:7"]);
    run.exits(7);
    let said = at(&run, "info");
    let expected = [
        "the command (2) died of TERM",
        "still there: fake-workload (3)",
        "sending TERM to fake-workload (3)",
        "exiting with 7, remapped from 143",
    ];
    let mut rest = said.iter();
    for line in expected {
        assert!(rest.any(|seen| *seen == line), "{line:?} is missing or out of order: {said:#?}");
    }
}

#[test]
fn the_exit_code_that_is_said_is_a_rehearsal_s_own() {
    let run = Init::pid_one().flags(&["-v", "--rehearse=200ms"]).workload("ready hold").run();
    run.exits(0);
    assert_eq!(at(&run, "info").last(), Some(&"exiting with 0"), "{run:#?}");
}

#[test]
fn an_idle_port_is_said_to_be_idle() {
    for mode in BOTH {
        let port = closed_port().to_string();
        let mut init = Init::new(mode)
            .flags(&["-v", "--pre-stop-idle", &port])
            .workload("name=main catch=TERM:1ms ready hold")
            .start();
        init.ready(&["main"]).signal(Signal::TERM);
        let run = init.finish();
        let line = format!("pre-stop idle {port}: port {port} is idle");
        assert!(at(&run, "info").contains(&line.as_str()), "{run:#?}");
        let code = format!("idle {port} exited with");
        assert!(run.stderr.iter().all(|line| !line.contains(&code)), "{run:#?}");
    }
}

#[test]
fn what_drainit_carries_out_itself_has_no_exit_code() {
    let url = format!("http://127.0.0.1:{}/", closed_port());
    let mut init = Init::pid_one()
        .flags(&["-v", "--pre-stop-http", &url])
        .workload("name=main catch=TERM:1ms ready hold")
        .start();
    init.ready(&["main"]).signal(Signal::TERM);
    let run = init.finish();
    let failed = |line: &&str| line.starts_with("pre-stop http ") && line.ends_with(" failed");
    assert!(at(&run, "info").iter().any(failed), "{run:#?}");
    assert!(run.stderr.iter().all(|line| !line.contains("exited with 1")), "{run:#?}");
}

/// What `{:?}` makes of Rust's types, and the names of ours.
const OF_RUST: [&str; 14] = [
    "Some(",
    "None",
    "Ok(",
    "Err(",
    "{ ",
    " }",
    "::",
    "Signal(",
    "StepId",
    "Duration",
    "Event",
    "Action",
    "Kept",
    "MainEnded",
];

#[test]
fn no_level_shows_types_of_rust() {
    let flags = [
        "-vvv",
        "--pre-stop=true",
        "--pre-stop-sleep=10ms",
        "--pre-stop=false",
        "--post-exit=true",
        "--stop-schedule=TERM/300ms/INT/300ms/QUIT/300ms/KILL",
        "--report=-",
    ];
    let family = "daemon{ name=daemon catch=TERM hold } child{ name=child ignore=TERM hold } \
                  name=main catch=HUP ignore=TERM ready hold";
    let mut init = Init::pid_one().flags(&flags).workload(family).start();
    init.ready(&["main"]).signal(Signal::HUP).line("main got HUP").signal(Signal::TERM);
    let run = init.finish();
    run.exits(130);
    for level in ["info", "debug", "trace"] {
        let said = at(&run, level);
        assert!(said.len() > 3, "{level}: {run:#?}");
        for line in said {
            let found = OF_RUST.iter().find(|part| line.contains(**part));
            assert!(found.is_none(), "{found:?} in {line:?}");
        }
    }
}
