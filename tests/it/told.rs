//! Processes that may have been told already, that refuse signals, or that are signalled late: what a stop does about each, and how often.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use drainit::signal::Signal;
use drainit::sys::kill;

use crate::harness::{BOTH, Init, Mode, WORKLOAD, wait_until};
use crate::shells::{DASH, Try, once_and_finished, server};
use crate::start::workload_for_all;

fn root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("not run: only root can set this up");
    }
    root
}

/// It runs all the time, so that nothing tells whether it was told.
const BUSY: &str = "dash -c 'trap \"echo server got TERM; exit 0\" TERM; trap : USR1; echo server ready 1; while :; do sleep .02; done'";

#[test]
fn with_endless_patience_an_orphan_that_may_have_been_told_is_signalled_after_two_seconds() {
    // It is woken by something else, and has run since.
    let script = format!("trap 'kill -USR1 $p; exit 0' TERM; {BUSY} & p=$!; wait");
    Try::new(&script).flags(&["--ignored-after", "never"]).shells(&[DASH]).run(|run, took| {
        assert_eq!(run.count("server got TERM"), 1, "{run:#?}");
        assert!(took >= Duration::from_millis(1_900), "{took:?}");
    });
}

#[test]
fn a_command_in_the_foreground_of_an_orphaned_shell_that_was_told_is_not_told_again() {
    // The outer shell tells the whole group and leaves. The server has given its handler up: a second TERM would kill it.
    let once = format!("{WORKLOAD} name=server once=TERM:4s ready hold");
    let script = format!("trap 'trap \"\" TERM; kill 0; exit' TERM; (trap : TERM; {once}; true) & wait");
    Try::new(&script).shells(&[DASH]).run(|run, _| once_and_finished(run));
    // One that it tells nothing hears of it once, and at once.
    let script = format!("trap 'exit 0' TERM; (trap : TERM; {}; true) & wait", server("300ms"));
    Try::new(&script).shells(&[DASH]).run(|run, took| {
        once_and_finished(run);
        assert!(took < Duration::from_secs(10), "{took:?}");
    });
}

#[test]
fn what_is_below_a_process_that_is_signalled_late_is_left_to_it() {
    let master = format!(
        "{WORKLOAD} name=master catch=TERM:500ms 'child{{' name=worker catch=TERM:1ms ready hold '}}' ready hold"
    );
    // The master is an orphan when the first shell has died, and then when the second one has.
    for script in [
        format!("{master} & wait"),
        format!("sh -c '{}; true' & wait", master.replace('\'', "")),
        format!("sh -c \"sh -c '{}; true'; true\"", master.replace('\'', "")),
    ] {
        Try::new(&script).ready(&["worker", "master"]).shells(&[DASH]).run(|run, _| {
            assert_eq!((run.count("master got TERM"), run.count("master finished")), (1, 1), "{run:#?}");
        });
    }
    // While the master lives, its worker hears nothing.
    for mode in BOTH {
        let script = format!("{} & wait", master.replace("500ms", "3s"));
        let mut init = Init::new(mode).command(&["dash", "-c", &script]).start();
        init.ready(&["worker", "master"]).settled();
        init.signal(Signal::TERM).line("master got TERM").line("master finished").line("worker got TERM");
        init.end();
    }
}

#[test]
fn the_last_call_comes_when_a_look_succeeds_again() {
    if !root() {
        return;
    }
    let family = "child{ name=worker catch=TERM:100ms ready hold } name=main catch=TERM ready hold";
    let mut init = Init::pid_one().flags(&["--grace-period", "10s"]).workload(family).start();
    init.ready(&["worker", "main"]);
    init.signal(Signal::TERM).line("main got TERM");
    // Something lies over /proc at the time of the last call.
    let enter = |command: &[&str]| {
        let target = init.pid().to_string();
        let status = std::process::Command::new("nsenter")
            .args(["--target", &target, "--mount", "--"])
            .args(command)
            .status();
        assert!(status.expect("nsenter is part of util-linux").success(), "{command:?}");
    };
    let begun = Instant::now();
    enter(&["mount", "-t", "tmpfs", "tmpfs", "/proc"]);
    wait_until("the last call has failed", || (begun.elapsed() > Duration::from_millis(5_500)).then_some(()));
    // Only the namespace's /proc is missing: the test has its own.
    enter(&["umount", "/proc"]);
    init.line("worker got TERM").line("worker finished");
    let run = init.finish();
    run.exits(137);
    assert!(begun.elapsed() < Duration::from_secs(13), "{run:#?}");
}

#[test]
fn kill_at_a_schedule_s_end_follows_a_freeze_by_two_seconds() {
    for mode in BOTH {
        let flags = ["--stop-schedule", "TERM/1s/KILL"];
        let family = "name=main catch=TERM ready hold";
        let mut init = Init::new(mode).flags(&flags).workload(family).start();
        init.ready(&["main"]);
        init.signal(Signal::TERM).line("main got TERM");
        init.idle();
        // drainit itself is held past the time of KILL, and by more than a second.
        let held = Instant::now();
        init.signal(Signal::STOP);
        wait_until("it is held", || (held.elapsed() > Duration::from_millis(3_500)).then_some(()));
        let woken = Instant::now();
        init.signal(Signal::CONT);
        let run = init.finish();
        run.exits(137);
        let after = woken.elapsed();
        assert!(after >= Duration::from_millis(1_900) && after < Duration::from_secs(10), "{after:?}");
    }
}

#[test]
fn a_forward_that_is_refused_is_said_once() {
    if !root() {
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let main = workload_for_all(&folder, "name=main catch=USR1 ready hold");
    let without = ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill", "--"];
    let mut init = Init::pid_one()
        .under(&without)
        .flags(&["--user=64321:64321", "--ignored-after=200ms"])
        .command(&main)
        .start();
    init.ready(&["main"]);
    init.signal(Signal::USR1);
    let said = init.says("was refused");
    assert!(said.contains("USR1 to workload (") && said.contains("CAP_KILL"), "{said}");
    init.signal(Signal::USR1).idle();
    init.signal(Signal::TERM);
    let run = init.finish();
    assert_eq!(run.stderr.iter().filter(|line| line.contains("was refused")).count(), 1, "{run:#?}");
    assert_eq!(run.count("main got USR1"), 0);
}

/// A copy of setpriv that makes a process another user's, whoever starts it.
fn other_user(folder: &tempfile::TempDir) -> String {
    let copy = folder.path().join("become");
    fs::copy("/usr/bin/setpriv", &copy).expect("setpriv is part of util-linux");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o4755)).expect("our own file");
    format!("{} --reuid=64322 --regid=64322 --clear-groups", copy.display())
}

#[test]
fn of_a_group_those_that_refuse_the_signal_count_as_ignoring_it() {
    if !root() {
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let other = workload_for_all(&folder, "name=other catch=TERM ready hold").join(" ");
    let main = workload_for_all(&folder, "name=main catch=TERM:100ms ready hold").join(" ");
    let script = format!("{} {other} & exec {main}", other_user(&folder));
    let report = folder.path().join("report");
    fs::write(&report, "").expect("our own folder");
    fs::set_permissions(&report, fs::Permissions::from_mode(0o666)).expect("our own file");
    // drainit may signal main, and not the other one, which is in the same group.
    let user = ["setpriv", "--reuid=64321", "--regid=64321", "--clear-groups", "--"];
    for target in ["group", "auto"] {
        let mut init = Init::new(Mode::Subreaper)
            .under(&user)
            .env("DRAINIT_REPORT", &report)
            .flags(&["--forward-to", target, "--ignored-after=300ms"])
            .command(&["sh", "-c", &script])
            .start();
        init.ready(&["other", "main"]);
        let mine = |process: &drainit::plan::processes::Process| process.parent != init.pid();
        let left = init.descendants().into_iter().find(mine).expect("the other one is main's child").pid;
        let begun = Instant::now();
        init.signal(Signal::TERM).line("main finished");
        let said = init.says("was refused");
        assert!(said.contains("TERM to workload ("), "{target}: {said}");
        init.says("waiting cannot help");
        init.says("left behind");
        let code = init.ended();
        assert!(begun.elapsed() < Duration::from_secs(15), "{target}");
        let text = fs::read_to_string(&report).expect("it is there");
        let value: serde_json::Value = serde_json::from_str(&text).expect("a report");
        let refused =
            value["processes"].as_array().expect("a list").iter().filter(|it| !it["refused"].is_null());
        assert_eq!(refused.count(), 1, "{target}, {code}: {value:#}");
        // What drainit had to leave behind.
        kill::send(left, Signal::KILL).expect("it is there");
    }
}

#[test]
fn cont_goes_to_stopped_processes_alone_at_once_or_a_moment_later() {
    for mode in BOTH {
        let family =
            "child{ name=worker catch=CONT ready hold } name=main catch=CONT catch=TERM:1s ready hold";
        let mut init = Init::new(mode).flags(&["--forward-to=group"]).workload(family).start();
        init.ready(&["worker", "main"]);
        init.signal(Signal::TERM);
        let run = init.finish();
        assert_eq!((run.count("main got CONT"), run.count("worker got CONT")), (0, 0), "{run:#?}");

        // It stops itself when it has been signalled.
        let script = "trap 'echo told; kill -STOP $$; echo going; exit 4' TERM; echo main ready $$; \
                      while :; do sleep .05; done";
        let mut init = Init::new(mode).command(&["dash", "-c", script]).start();
        init.ready(&["main"]);
        let begun = Instant::now();
        init.signal(Signal::TERM);
        init.finish().exits(4).in_order(&["told", "going"]);
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn a_main_in_another_group_is_signalled_all_the_same() {
    // It joins drainit's own group, or makes one of its own later than drainit has done.
    for how in
        ["os.setpgid(0, os.getpgid(os.getppid()))", "os.setsid() if os.getpid() != os.getpgid(0) else None"]
    {
        let text = format!(
            "import os, signal, sys
def stop(*_):
    print('main got TERM', flush=True)
    sys.exit(4)
signal.signal(signal.SIGTERM, stop)
{how}
print('main ready', os.getpid(), flush=True)
while True: signal.pause()"
        );
        for target in ["auto", "group", "main", "all"] {
            let mut init =
                Init::subreaper().flags(&["--forward-to", target]).command(&["python3", "-c", &text]).start();
            init.ready(&["main"]);
            init.signal(Signal::TERM);
            let run = init.finish();
            run.exits(4).silently();
            assert_eq!(run.count("main got TERM"), 1, "{target}");
        }
    }
}

#[test]
fn without_proc_kill_reaches_a_main_that_has_left_its_group() {
    if !root() {
        return;
    }
    let text = "import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.setpgid(0, os.getpgid(os.getppid()))
print('main ready', os.getpid(), flush=True)
while True: signal.pause()";
    let hide = "mount -t tmpfs tmpfs /proc && exec \"$@\"";
    let mut init = Init::subreaper()
        .under(&["unshare", "--mount", "sh", "-c", hide, "sh"])
        .flags(&["--grace-period=300ms"])
        .command(&["python3", "-c", text])
        .start();
    init.ready(&["main"]);
    let begun = Instant::now();
    init.signal(Signal::TERM);
    init.finish().exits(137);
    assert!(begun.elapsed() < Duration::from_secs(10));
}
