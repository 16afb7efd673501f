//! More entrypoints, with real shells: what a shell captures, scripts in files, other users, pools, and what is in doubt.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use drainit::signal::Signal;

use crate::harness::{BOTH, Gate, Init, WORKLOAD};
use crate::shells::{
    ALL, ASH, AT_ONCE, BASH, DASH, LATER, Try, ZSH, is_installed, once_and_finished, server,
};
use crate::start::workload_for_all;

fn root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("not run: only root can do this");
    }
    root
}

#[test]
fn what_a_shell_captures_is_in_its_foreground() {
    let server = server("300ms");
    // It says what it does beside the pipe that is captured.
    for script in [
        format!("exec 3>&1; x=$({server} 2>&1 >&3); true"),
        format!("exec 3>&1; trap 'echo trap' TERM; x=$({server} 2>&1 >&3); true"),
    ] {
        Try::new(&script).hears_it_once_and_at_once();
    }
}

#[test]
fn a_shell_in_the_background_that_catches_the_signal_does_not_answer_for_its_foreground_command() {
    let script = format!("(trap : TERM; {}; true) & wait", server("300ms"));
    Try::new(&script).shells(&[DASH, ASH, ZSH]).hears_it_once_and_at_once();
}

#[test]
fn bash_with_a_terminal_as_stdin_does_not_answer_for_its_foreground_command() {
    let terminal = || {
        let pty = nix::pty::openpty(None, None).expect("a terminal");
        // The other end stays open for as long as the tests run.
        std::mem::forget::<OwnedFd>(pty.master);
        Stdio::from(pty.slave)
    };
    let script = format!("trap 'echo trap' TERM; {}; true", server("300ms"));
    Try::new(&script).shells(&[BASH]).stdin(terminal).hears_it_once_and_at_once();
}

#[test]
fn in_doubt_and_without_a_limit_the_server_hears_nothing_and_the_warning_names_it() {
    std::thread::scope(|scope| {
        for mode in BOTH {
            scope.spawn(move || {
                let script = format!("trap 'echo trap' TERM; {}; true", server("100ms"));
                let mut init = Init::new(mode).command(&["bash", "-c", &script]).start();
                init.ready(&["server"]).settled();
                init.signal(Signal::TERM);
                let said = init.says("waiting for");
                assert!(said.contains("waits for fake-workload") && said.contains("with exec"), "{said}");
                assert_eq!(init.end().count("server got TERM"), 0);
            });
        }
    });
}

#[test]
fn a_script_in_a_file_is_the_shell_of_its_first_line() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let plain = format!("{WORKLOAD} name=server catch=TERM:300ms ready hold");
    for (at, (first, body)) in [
        ("#!/bin/sh", format!("trap 'echo trap' TERM\n{}\ntrue\n", server("300ms"))),
        ("#!/bin/sh", format!("{} &\nwait\n", server("300ms"))),
        ("#!/bin/bash -e", format!("trap 'echo trap' TERM\n{plain}\ntrue\n")),
        ("#!/bin/bash -e", format!("trap 'kill $p; wait $p' TERM\n{plain} & p=$!\nwait $p\n")),
        ("#!/usr/bin/env -S bash -e", format!("trap 'echo trap' TERM\n{plain}\ntrue\n")),
        ("#!/bin/busybox sh", format!("trap 'echo trap' TERM\n{}\ntrue\n", server("300ms"))),
    ]
    .into_iter()
    .enumerate()
    {
        let file = folder.path().join(format!("entrypoint-{at}.sh"));
        if first.starts_with("#!/bin/busybox") && !Path::new("/bin/busybox").exists() {
            continue;
        }
        fs::write(&file, format!("{first}\n{body}")).expect("our own folder");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("our own file");
        for mode in BOTH {
            let command = [file.to_str().expect("text")];
            let mut init = Init::new(mode).flags(&LATER).command(&command).start();
            init.ready(&["server"]).settled();
            let begun = Instant::now();
            init.signal(Signal::TERM);
            once_and_finished(&init.finish());
            assert!(begun.elapsed() < AT_ONCE, "{first}\n{body}");
        }
    }
}

/// As in a container of Docker with its default capabilities.
const WITHOUT_PTRACE: [&str; 4] = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", "--"];

#[test]
fn another_user_s_processes_are_told_apart_without_the_right_to_trace_them() {
    if !root() {
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let server = workload_for_all(&folder, "name=server catch=TERM:3s catch=INT,QUIT ready hold").join(" ");
    let drop = "/usr/bin/setpriv --reuid=64321 --clear-groups";
    let quick = server.replace("TERM:3s", "TERM:300ms");
    // Below a shell of root, and with the shell as the other user's, too.
    let as_root: &[&str] = &[];
    let as_user: &[&str] = &["--user", "64321:64321"];
    for (flags, script, shells) in [
        (as_root, format!("{drop} {server} & wait"), &ALL[..]),
        (as_root, format!("trap 'kill $p; wait $p' TERM; {drop} {server} & p=$!; wait $p"), &ALL),
        (as_root, format!("trap 'kill $p; exit' TERM; {drop} {quick} & p=$!; wait $p"), &ALL),
        (as_root, format!("trap 'echo trap' TERM; {drop} {quick}; true"), &[DASH, ASH, ZSH]),
        (as_root, format!("{drop} tini-static -s -- {quick} & wait"), &[DASH]),
        (as_root, format!("exec {drop} tini-static -s -- {quick}"), &[DASH]),
        (as_user, format!("{server} & wait"), &ALL),
        (as_user, format!("trap 'kill $p; wait $p' TERM; {server} & p=$!; wait $p"), &ALL),
        (as_user, format!("trap 'echo trap' TERM; {quick}; true"), &[DASH, ASH, ZSH]),
        (as_user, format!("exec tini-static -s -- {quick}"), &[DASH]),
    ] {
        if script.contains("tini-static") && !is_installed("tini-static") {
            continue;
        }
        Try::new(&script).under(&WITHOUT_PTRACE).flags(flags).shells(shells).hears_it_once();
    }
}

#[test]
fn node_behind_a_trap_that_relays_hears_it_once() {
    if !is_installed("node") {
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let file = folder.path().join("server.js");
    let text = "process.on('SIGINT', () => {});
process.on('SIGTERM', () => {
    console.log('server got TERM');
    setTimeout(() => { console.log('server finished'); process.exit(0); }, 3000);
});
setInterval(() => {}, 1000);
console.log('server ready ' + process.pid);
";
    fs::write(&file, text).expect("our own folder");
    let file = file.display();
    for script in
        [format!("node {file} & wait"), format!("trap 'kill $p; wait $p' TERM; node {file} & p=$!; wait $p")]
    {
        Try::new(&script).hears_it_once();
    }
}

/// A master that ends its own workers, which die of TERM.
fn pool() -> String {
    format!(
        "{WORKLOAD} name=master catch=TERM:3s 'child{{' name=worker sleep=2500ms say=done '}}' \
         'child{{' name=worker sleep=2500ms say=done '}}' ready hold"
    )
}

#[test]
fn the_workers_of_a_pool_finish_behind_every_kind_of_shell() {
    for script in [
        format!("exec {}", pool()),
        format!("{}; true", pool()),
        format!("setsid {} & wait", pool()),
        format!("trap 'kill $p; wait $p' TERM; {} & p=$!; wait $p", pool()),
        format!("trap 'exit 0' TERM; {} & wait", pool()),
    ] {
        Try::new(&script).ready(&["master"]).run(|run, _| {
            assert_eq!((run.count("master got TERM"), run.count("master finished")), (1, 1), "{run:#?}");
            assert_eq!(run.count("worker done"), 2, "{script}: {run:#?}");
        });
    }
}

#[test]
fn the_workers_of_a_daemon_finish() {
    let family = "daemon{ name=master catch=TERM:3s child{ name=worker sleep=2500ms say=done } ready hold } name=main exit=0";
    for mode in BOTH {
        let mut init = Init::new(mode).flags(&["--wait-for-all"]).workload(family).start();
        init.ready(&["master"]).idle();
        init.signal(Signal::TERM);
        init.finish().exits(0).in_order(&["master got TERM", "worker done", "master finished"]).silently();
    }
}

#[test]
fn a_daemon_that_was_adopted_before_the_stop_is_signalled_with_main() {
    // What started it handles the signal, and is main itself or has long gone.
    let gate = Gate::closed();
    let family = format!(
        "child{{ name=starter catch=TERM daemon{{ name=daemon catch=TERM:300ms ready hold }} await={} }} \
         name=main catch=TERM:3s ready hold",
        gate.path()
    );
    gate.open();
    for mode in BOTH {
        let mut init = Init::new(mode).flags(&LATER).workload(&family).start();
        init.ready(&["daemon", "main"]).idle();
        init.signal(Signal::TERM);
        let run = init.finish();
        run.exits(0).in_order(&["daemon got TERM", "daemon finished", "main finished"]).silently();
        assert_eq!((run.count("daemon got TERM"), run.count("main got TERM")), (1, 1), "{run:#?}");
    }
}

#[test]
fn a_shell_that_never_stands_still_ends() {
    // No command of it lasts as long as a look does.
    let script = "trap 'echo trap; exit 3' TERM; echo server ready 1; while :; do /bin/true; done";
    Try::new(script).shells(&[DASH, BASH, ZSH]).moving().run(|run, took| {
        run.exits(3);
        assert!(run.count("trap") == 1 && took < Duration::from_secs(10), "{took:?}: {run:#?}");
    });
}

#[test]
fn a_poll_in_the_foreground_answers_for_a_server_in_the_background() {
    // The shell sleeps for one command after the other.
    let server = server("3s");
    let script = format!(
        "trap 'kill $p; wait $p; exit' TERM; {server} & p=$!; while kill -0 $p; do sleep .01; done; wait"
    );
    Try::new(&script).moving().hears_it_once();
}
