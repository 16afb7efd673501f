//! Real programs, stopped in the middle of their work, with default options or the recipe in docs/recipes.md.
//!
//! Each is the command of a drainit that is PID 1 of a pid namespace. Asserted is that the work in flight was finished,
//! what drainit exits with, and that no process was killed. A program that is not installed is named, and its test passes;
//! with `DRAINIT_REQUIRE_RUNTIMES=1` it fails.

pub(crate) mod catalog;

use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::harness::DRAINIT;
use crate::runtimes::not_run;

use catalog::{Case, Init, OUTPUT, PROGRAMS, Run, Work};

const REPORT: &str = "report";

/// If it is 1, a program that is missing is a failure.
const REQUIRE: &str = "DRAINIT_REQUIRE_RUNTIMES";

macro_rules! tests_of {
    ($($test:ident: $program:literal,)*) => {
        $(#[test]
        fn $test() {
            work_is_finished($program);
        })*

        #[test]
        fn every_program_has_a_test() {
            let programs: Vec<&str> = PROGRAMS.iter().map(|program| program.name).collect();
            assert_eq!(programs, [$($program),*]);
        }
    };
}

tests_of! {
    nginx: "nginx",
    apache2: "apache2",
    php_fpm: "php-fpm",
    haproxy: "haproxy",
    squid: "squid",
    varnishd: "varnishd",
    postgres: "postgres",
    redis_server: "redis-server",
    celery: "celery",
    gunicorn: "gunicorn",
    uvicorn: "uvicorn",
    uwsgi: "uwsgi",
    multiprocessing_pool: "multiprocessing.Pool",
    node: "node",
    npm: "npm",
    java: "java",
    supervisord: "supervisord",
    runsvdir: "runsvdir",
    sshd: "sshd",
    game_server: "game server",
    ci_runner: "CI runner",
}

#[test]
fn without_a_program_its_test_says_that_it_did_not_run_and_fails_if_it_is_required() {
    let run = |required: &str| {
        Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "programs::gunicorn"])
            .env("PATH", "/nowhere")
            .env("DRAINIT_PROGRAMS", "/nowhere")
            .env(REQUIRE, required)
            .output()
            .expect("it can be run")
    };
    let output = run("");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("programs::gunicorn with gunicorn: not run: gunicorn is not installed"), "{said}");
    let output = run("1");
    assert!(!output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("gunicorn is not installed"), "{output:?}");
}

/// Runs the program's cases side by side.
fn work_is_finished(name: &str) {
    let program = PROGRAMS.iter().find(|program| program.name == name).expect("it is listed");
    if let Some(missing) = program.missing() {
        return not_run(name, &format!("{missing} is not installed"));
    }
    if !nix::unistd::geteuid().is_root() {
        return not_run(name, "this takes root");
    }
    let defects: Vec<String> = thread::scope(|scope| {
        let runs: Vec<_> = program.cases.iter().map(|case| scope.spawn(|| defect(case))).collect();
        runs.into_iter().filter_map(|run| run.join().expect("a run does not panic")).collect()
    });
    assert!(defects.is_empty(), "{}", defects.join("\n\n"));
}

/// What is wrong with the end of this case, if anything.
fn defect(case: &Case) -> Option<String> {
    let options = [case.options, &["--report", "@FOLDER@/report"]].concat();
    let init =
        Init { program: (*DRAINIT).into(), options: options.iter().map(|&option| option.into()).collect() };
    let found = match catalog::run(case, &init) {
        Ok(run) => found_in(case, &run).map(|what| format!("{what}\n{}", run.read(OUTPUT))),
        Err(error) => Some(error.to_string()),
    };
    found.map(|what| format!("{} ({}), {}: {what}", case.entrypoint, case.work, case.signal))
}

fn found_in(case: &Case, run: &Run) -> Option<String> {
    match &run.work {
        Work::Finished => {}
        Work::Lost(how) => return Some(format!("the work was lost: {how}")),
        Work::NotBegun => return Some("it ended before there was work".into()),
    }
    if run.code != Some(case.code) {
        return Some(format!("the exit code is {:?}, not {}", run.code, case.code));
    }
    let report = run.read(REPORT);
    let Ok(report) = serde_json::from_str::<Value>(&report) else {
        return Some(format!("this is no report: {report:?}"));
    };
    let processes = report["processes"].as_array().map_or(&[][..], Vec::as_slice);
    let was_killed = processes.iter().any(|process| process["ended"]["signal"] == "KILL");
    (was_killed || !report["killed"].is_null()).then(|| format!("processes were killed: {report:#}"))
}
