//! A defect of drainit itself: it runs into an instruction that does not exist, as where a panic has no words.

#![cfg(target_arch = "x86_64")]

use std::process::Command;

use nix::sys::ptrace;
use nix::sys::wait::waitpid;

use drainit::signal::Signal;
use drainit::sys::kill;

use crate::binary::entry_point;
use crate::harness::{BOTH, DRAINIT, Init, Running, wait_until};
use crate::start::mask;

/// What the kernel sends for it.
const TELLS: Signal = Signal::ILL;

/// Has drainit run into such an instruction, where its entry point was. Returns the words for that.
fn break_it(init: &mut Running) -> String {
    let pid = nix::unistd::Pid::from_raw(init.idle().pid());
    let entry = entry_point(DRAINIT);
    ptrace::attach(pid).expect("our own process");
    waitpid(pid, None).expect("it stops");
    let mut registers = ptrace::getregs(pid).expect("it is stopped");
    registers.rip = entry;
    // It waits for no answer any more.
    registers.orig_rax = u64::MAX;
    ptrace::setregs(pid, registers).expect("it is stopped");
    ptrace::write(pid, entry as ptrace::AddressType, UD2.into())
        .expect("code can be written to by who traces");
    ptrace::detach(pid, None).expect("it is stopped");
    format!("a defect of drainit at {entry:#x}")
}

/// `ud2`, the lower byte first.
const UD2: u16 = 0x0b0f;

/// Where drainit is not PID 1 the command would outlive it.
fn held(init: Init) -> Init {
    init.flags(&["--parent-death-signal=KILL"]).workload("name=main take=all ready hold")
}

fn started(init: Init) -> Running {
    let mut init = held(init).start();
    init.ready(&["main"]);
    init
}

#[test]
fn a_defect_is_a_line_and_125() {
    for mode in BOTH {
        let mut init = started(Init::new(mode));
        let words = break_it(&mut init);
        assert_eq!(init.finish().exits(125).stderr, [format!("drainit: error: {words}")]);

        let mut init = started(Init::new(mode).flags(&["--log-format=json"]));
        let words = break_it(&mut init);
        assert_eq!(
            init.finish().exits(125).stderr,
            [format!("{{\"level\":\"error\",\"message\":\"{words}\"}}")]
        );
    }
}

/// By default the signal would have ended drainit; blocked before the exec, it is there before drainit can wait for anything.
#[test]
fn the_signal_that_tells_of_one_is_forwarded_like_any_other() {
    let signal = TELLS;
    let (block, send) = (format!("--block-signal={signal}"), format!("kill -{signal} $PPID"));
    let before = ["env", &block, "bash", "-c", &format!("sh -c '{send}'; exec \"$@\""), "bash"];
    let got = format!("main got {signal}");
    for mode in BOTH {
        let mut init = held(Init::new(mode).under(&before)).start();
        init.begins(&["main ready ", &got]);
        for _ in 0..20 {
            init.signal(signal).line(&got);
        }
        // Nor is a defect taken for one that was sent, afterwards.
        let words = break_it(&mut init);
        assert_eq!(init.finish().exits(125).stderr, [format!("drainit: error: {words}")]);
    }
}

#[test]
fn the_command_ignores_that_signal_where_drainit_was_told_to() {
    let signal = TELLS;
    let ignoring = ["env", &format!("--ignore-signal={signal}")];
    for mode in BOTH {
        let mut init = Init::new(mode).under(&ignoring).workload("name=main state ready hold").start();
        let state = init.line_after("main state");
        assert_eq!(mask(&state, "SigIgn"), signal.bit(), "{state}");
        // It is not lost on the way for that: who has a handler gets it.
        init.end();
        let mut init = started(Init::new(mode).under(&ignoring));
        init.signal(signal).line(&format!("main got {signal}"));
        init.end().silently();
    }
}

/// Which holds drainit up in the middle of the system call that makes the command's process.
#[test]
fn the_signal_does_not_come_between_the_command_and_its_start() {
    if Command::new("strace").arg("--version").output().is_err() {
        assert!(std::env::var_os("DRAINIT_REQUIRE_RUNTIMES").is_none(), "strace cannot be run");
        eprintln!("not run: strace is not installed");
        return;
    }
    let slowly = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=clone"];
    let slowly = [&slowly[..], &["-e", "inject=clone:delay_enter=1000000:when=1"]].concat();
    let mut tracer = Init::subreaper().under(&slowly).workload("exit=5").start();
    let making = format!("{} ", libc::SYS_clone);
    let init = wait_until("drainit is about to make a process", || {
        let below = tracer.descendants();
        let calls = |pid| std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        below.iter().map(|process| process.pid).find(|&pid| calls(pid).starts_with(&making))
    });
    kill::send(init, TELLS).expect("it is there");
    let code = tracer.ended();
    // The command may have come to its end first, or may have got the signal.
    assert!(code == 5 || code == 128 + TELLS.number(), "{code}");
    tracer.finish().silently();
}
