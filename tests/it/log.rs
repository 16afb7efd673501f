//! What is said on stderr, and that saying it never gets in the way.

use std::io::Read;

use drainit::signal::Signal;
use serde_json::Value;

use crate::harness::{BOTH, Init, Mode, WORKLOAD, pipe};

fn objects(lines: &[String]) -> Vec<Value> {
    lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect()
}

#[test]
fn as_json_every_line_is_an_object() {
    for mode in BOTH {
        for init in
            [Init::new(mode).flags(&["--log-format=json"]), Init::new(mode).env("DRAINIT_LOG_FORMAT", "json")]
        {
            let run = init.flags(&["-vv"]).workload("exit=4").run();
            run.exits(4);
            let objects = objects(&run.stderr);
            let says = |level: &str, text: &str| {
                objects.iter().any(|line| {
                    line["level"] == level && line["message"].as_str().is_some_and(|m| m.contains(text))
                })
            };
            assert!(says("info", "exited with 4") && says("debug", "started"), "{run:?}");
        }
        // An error at the start, too.
        let run = Init::new(mode).flags(&["--log-format=json"]).command(&["/no/such\n\"thing\""]).run();
        run.exits(127);
        let [error] = &objects(&run.stderr)[..] else { panic!("{run:?}") };
        assert_eq!(error["level"], "error");
        let is_escaped = |text: &str| text.contains("cannot run \"/no/such\\n\"thing\"\": ");
        assert!(error["message"].as_str().is_some_and(is_escaped), "{run:?}");
    }
}

#[test]
fn a_name_can_break_neither_the_line_nor_the_terminal() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    // The kernel takes the first 15 bytes as the name.
    let odd = folder.path().join("\"\n\x1b[31m'\\\u{e9}");
    std::fs::copy(WORKLOAD, &odd).expect("a copy");
    for format in ["text", "json"] {
        let words = [odd.to_str().expect("text"), "name=main", "ignore=TERM", "ready", "hold"];
        let flags = ["--grace-period=200ms", "--log-format", format];
        let mut init = Init::pid_one().flags(&flags).command(&words).start();
        init.ready(&["main"]).signal(Signal::TERM);
        let run = init.finish();
        run.exits(137);
        let line = run.complaint();
        assert!(line.chars().all(|character| !character.is_control()), "{line:?}");
        assert!(line.contains("killing") && line.contains("x1b[31m"), "{line:?}");
        assert!(format == "text" || objects(&run.stderr).len() == 1);
    }
}

#[test]
fn the_sender_is_logged() {
    let mut init = Init::pid_one().flags(&["-v"]).workload("catch=TERM:1ms ready hold").start();
    init.line_after("ready");
    init.signal(Signal::TERM);
    let run = init.finish();
    let line = "drainit: info: received TERM from outside the container (uid 0)";
    assert!(!nix::unistd::geteuid().is_root() || run.stderr.iter().any(|said| said == line), "{run:?}");
    let mut init = Init::subreaper().flags(&["-v"]).workload("catch=TERM:1ms ready hold").start();
    init.line_after("ready");
    init.signal(Signal::TERM);
    let run = init.finish();
    let sender = format!("received TERM from process {} (uid {})", std::process::id(), nix::unistd::getuid());
    assert!(run.stderr.iter().any(|line| line.contains(&sender)), "{sender}: {run:?}");
}

#[test]
fn what_was_sent_and_where_is_logged() {
    for mode in BOTH {
        let family =
            "daemon{ name=daemon catch=TERM:1ms ready hold } name=main catch=HUP catch=TERM:1ms ready hold";
        let mut init = Init::new(mode).flags(&["-v"]).workload(family).start();
        init.ready(&["daemon", "main"]).signal(Signal::HUP).line("main got HUP").signal(Signal::TERM);
        let run = init.finish();
        let said: Vec<&str> = run.warnings().into_iter().filter(|line| line.contains("ing ")).collect();
        let parts = ["forwarding HUP to the command", "sending TERM to fake-workload ("];
        let mut rest = said.iter();
        assert!(parts.iter().all(|part| rest.any(|line| line.contains(part))), "{run:?}");
    }
}

#[test]
fn what_is_waited_for_is_logged_after_a_while() {
    let mut init =
        Init::pid_one().flags(&["-v"]).workload("name=main catch=TERM catch=USR1:1ms ready hold").start();
    init.ready(&["main"]).signal(Signal::TERM);
    let line = init.says("waiting for ");
    assert!(line.contains("fake-workload (2): sleeping, catches TERM"), "{line}");
    init.signal(Signal::USR1);
    init.finish().exits(0);
}

#[test]
fn a_shell_s_trap_that_waits_for_a_command_is_named_when_the_schedule_goes_on() {
    for mode in BOTH {
        let script = format!("trap 'exit 6' TERM; {WORKLOAD} name=job ignore=TERM ready hold");
        let flags = ["--stop-schedule=TERM/500ms/INT/10s"];
        let mut init = Init::new(mode).flags(&flags).command(&["sh", "-c", &script]).start();
        init.ready(&["job"]).signal(Signal::TERM);
        let run = init.finish();
        run.exits(130).warns(&[
            "going on to INT",
            "sh (",
            "catches TERM, waits for its foreground command fake-workload (",
        ]);
    }
}

#[test]
fn arguments_are_not_logged() {
    for mode in BOTH {
        let flags = ["-vvv", "--grace-period=300ms", "--pre-stop", "false --token hunter2"];
        let mut init = Init::new(mode).flags(&flags).workload("name=hunter2 ignore=TERM ready hold").start();
        init.ready(&["hunter2"]).signal(Signal::TERM);
        let run = init.finish();
        run.exits(137);
        assert!(run.stderr.len() > 3 && run.stderr.iter().all(|line| !line.contains("hunter2")), "{run:?}");
    }
}

#[test]
fn lines_that_are_not_read_are_counted_and_the_count_is_logged() {
    for mode in BOTH {
        let (read, write) = pipe();
        fill(&write);
        let copy = write.try_clone().expect("a descriptor");
        let mut init = Init::new(mode)
            .flags(&["-v"])
            .stderr(copy)
            .workload("catch=HUP catch=TERM:1ms ready hold")
            .start();
        init.line_after("ready");
        for _ in 0..3 {
            init.signal(Signal::HUP).line("got HUP");
        }
        // Now it is read.
        let mut read = std::fs::File::from(read);
        let mut filled = vec![0; FILLED.load(std::sync::atomic::Ordering::SeqCst)];
        read.read_exact(&mut filled).expect("what it was filled with");
        init.signal(Signal::TERM);
        init.finish().exits(0);
        drop(write);
        let mut said = String::new();
        read.read_to_string(&mut said).expect("until the last writer has ended");
        let first = said.lines().next().expect("a line");
        assert_eq!(first, "drainit: warning: 6 lines of this log could not be written", "{said}");
        assert!(said.contains("received TERM"), "{said}");
    }
}

static FILLED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// Writes until the pipe takes no more.
fn fill(pipe: &std::os::fd::OwnedFd) {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_truncate(fcntl(pipe, FcntlArg::F_GETFL).expect("its flags"));
    fcntl(pipe, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).expect("a pipe can be non-blocking");
    let mut filled = 0;
    while let Ok(written) = nix::unistd::write(pipe, &[b'.'; 4096]) {
        filled += written;
    }
    fcntl(pipe, FcntlArg::F_SETFL(flags)).expect("as it was");
    FILLED.store(filled, std::sync::atomic::Ordering::SeqCst);
}

#[test]
fn a_reader_that_is_gone_or_stuck_changes_nothing() {
    for mode in [Mode::PidOne, Mode::Subreaper] {
        for stuck in [true, false] {
            let (read, write) = pipe();
            fill(&write);
            let kept = stuck.then_some(read);
            let flags = ["-vvv", "--grace-period=300ms", "--pre-stop=false", "--report=-"];
            let mut init = Init::new(mode)
                .flags(&flags)
                .stderr(write)
                .workload("name=main ignore=TERM ready hold")
                .start();
            init.ready(&["main"]).signal(Signal::TERM);
            init.finish().exits(137);
            drop(kept);
        }
    }
}

#[test]
fn a_terminal_with_tostop_stops_nothing() {
    use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
    // TOSTOP: a background process that writes to its terminal is sent TTOU.
    let terminal = nix::pty::openpty(None, None).expect("a terminal");
    let mut modes = tcgetattr(&terminal.slave).expect("its modes");
    modes.local_flags |= LocalFlags::TOSTOP;
    tcsetattr(&terminal.slave, SetArg::TCSANOW, &modes).expect("a terminal of this test");
    let mut init = Init::subreaper()
        .under(&["setsid", "--ctty", "bash", "-mc", "\"$@\" & wait $!", "bash"])
        .stdin(terminal.slave.try_clone().expect("a descriptor"))
        .stderr(terminal.slave)
        .flags(&["-v"])
        .workload("catch=TERM:1ms:5 ready hold")
        .start();
    init.line_after("ready");
    let drainit =
        init.descendants().into_iter().find(|process| process.name.to_string() == crate::binary::name());
    let drainit = drainit.expect("it is below the shell");
    assert_ne!(drainit.group, init.pid(), "it is in the background");
    drainit::sys::kill::send(drainit.pid, Signal::TERM).expect("it is there");
    init.finish().exits(5);
    // What it said has come through.
    let mut said = [0; 256];
    let length = nix::unistd::read(&terminal.master, &mut said).expect("the terminal is there");
    assert!(String::from_utf8_lossy(&said[..length]).contains("drainit: info: received TERM"));
}
