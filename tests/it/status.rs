//! What `/proc/PID/status` shows of the signals that drainit waits for.
//!
//! Kata's agent passes a TERM on to a container's init only if it is in SigBlk, SigIgn or SigCgt, and sends KILL otherwise.

use std::fs;
use std::time::Duration;

use drainit::signal::{Signal, SignalSet};
use nix::sys::{ptrace, wait};
use nix::unistd::Pid;

use crate::harness::{BOTH, Init, Running, stays, wait_until};
use crate::idle::{Wait, wait_of};
use crate::shells::is_installed;

/// The signals that status shows as blocked, ignored or caught; `None` if the process is gone.
pub(crate) fn shown(pid: i32) -> Option<SignalSet> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let set = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        u64::from_str_radix(line.expect("every status has it"), 16).expect("a set in hexadecimal")
    };
    Some(SignalSet::from_bits(set("SigBlk") | set("SigIgn") | set("SigCgt")))
}

/// Every signal but KILL and STOP is shown, at every look, and drainit waits in this way at least once.
#[track_caller]
fn shows_all(init: &Running, wait: Wait) {
    let all = SignalSet::from_bits(u64::MAX).without(Signal::KILL).without(Signal::STOP);
    stays(Duration::from_millis(200), || shown(init.pid()) == Some(all));
    wait_until("it waits", || (wait_of(init.pid()) == Some(wait)).then_some(()));
    assert_eq!(shown(init.pid()), Some(all));
}

#[test]
fn every_signal_is_shown_while_drainit_is_idle() {
    for mode in BOTH {
        let mut init = Init::new(mode).workload("ready hold").start();
        init.line_after("ready");
        shows_all(&init, Wait::ForEver);
        init.end();
    }
}

#[test]
fn every_signal_is_shown_in_each_phase_of_a_stop() {
    for mode in BOTH {
        let flags = ["--pre-stop-sleep=2s", "--grace-period=5s"];
        let mut init = Init::new(mode).flags(&flags).workload("catch=TERM ready hold").start();
        init.line_after("ready");
        let main = init.descendants().first().expect("the command").pid;
        // Dead, it stays unreaped until its tracer has seen it: drainit goes on killing.
        ptrace::seize(Pid::from_raw(main), ptrace::Options::empty()).expect("it may be traced");
        init.signal(Signal::TERM);
        shows_all(&init, Wait::ForATime);
        wait_until("the command has got it", || {
            go_on(Pid::from_raw(main));
            init.try_line("got TERM").then_some(())
        });
        shows_all(&init, Wait::ForATime);
        init.says("time is up: killing");
        shows_all(&init, Wait::ForATime);
        let ended =
            wait::waitpid(Pid::from_raw(main), Some(wait::WaitPidFlag::__WALL)).expect("it is traced");
        assert!(matches!(ended, wait::WaitStatus::Signaled(..)), "{ended:?}");
        init.finish().exits(137);
    }
}

/// A process that is traced stops at each signal, until its tracer lets it go on with that.
fn go_on(tracee: Pid) {
    let seen = wait::waitpid(tracee, Some(wait::WaitPidFlag::WNOHANG)).expect("it is traced");
    if let wait::WaitStatus::Stopped(_, signal) = seen {
        ptrace::cont(tracee, signal).expect("it is stopped");
    } else if let wait::WaitStatus::PtraceEvent(..) = seen {
        ptrace::cont(tracee, None).expect("it is stopped");
    }
}

#[test]
fn every_signal_is_shown_by_a_pause() {
    for mode in BOTH {
        let mut pause = Init::new(mode).under(&["sh", "-c", "exec \"$1\" --pause", "sh"]).start();
        pause.idle();
        shows_all(&pause, Wait::ForEver);
        pause.signal(Signal::TERM);
        pause.finish().exits(0).silently();
    }
}

/// With one descriptor less than drainit would need.
const WITHOUT_DESCRIPTOR: [&str; 4] = ["sh", "-c", "ulimit -S -n 3; exec \"$@\"", "sh"];

/// Gives the command what it needs itself. It needs no library, because there is no descriptor to open that with.
fn with_descriptors(directives: &str) -> Vec<String> {
    let script = format!("ulimit -S -n 64; exec {} {directives}", crate::harness::WORKLOAD);
    ["busybox", "sh", "-c", &script].map(str::to_owned).to_vec()
}

#[test]
fn without_a_descriptor_signals_are_taken_all_the_same() {
    if !is_installed("busybox") {
        return;
    }
    for mode in BOTH {
        let command = with_descriptors("name=main take=USR1 catch=TERM:1ms:4 ready hold");
        let mut init = Init::new(mode).under(&WITHOUT_DESCRIPTOR).flags(&["-v"]).command(&command).start();
        let said = init.says("no signalfd (");
        assert!(!said.contains("os error"), "{said}");
        init.ready(&["main"]).signal(Signal::USR1).line("main got USR1");
        wait_until("it waits", || (wait_of(init.pid()) == Some(Wait::WithoutDescriptor)).then_some(()));
        init.signal(Signal::TERM);
        init.finish().exits(4).in_order(&["main got USR1", "main got TERM", "main finished"]);
    }
}

/// The kernel has the lowest number first, and as many as are queued of one real-time signal.
#[test]
fn a_stop_signal_is_taken_before_a_flood_of_others() {
    if !is_installed("busybox") {
        return;
    }
    let flood = Signal::new(34).expect("RTMIN");
    let stop = Signal::new(37).expect("RTMIN+3");
    let taken = "name=main ignore=RTMIN catch=RTMIN+3:1ms:4 ready hold";
    let workload =
        [&[crate::harness::WORKLOAD.to_owned()], &*taken.split(' ').map(str::to_owned).collect::<Vec<_>>()];
    for mode in BOTH {
        for (wrapper, command) in
            [(&[][..], workload.concat()), (&WITHOUT_DESCRIPTOR[..], with_descriptors(taken))]
        {
            let flags = ["-v", "--stop-signal=RTMIN+3"];
            let mut init = Init::new(mode).under(wrapper).flags(&flags).command(&command).start();
            init.ready(&["main"]).idle().signal(Signal::STOP);
            for _ in 0..500 {
                init.signal(flood);
            }
            init.signal(stop).signal(Signal::CONT);
            let run = init.finish();
            run.exits(4);
            let received = run.stderr.iter().filter(|line| line.contains("received "));
            let place = received.clone().position(|line| line.contains("received RTMIN+3 "));
            // The wait that was held up takes one, and CONT has a lower number.
            assert!(place.is_some_and(|place| place <= 2), "{run:#?}");
        }
    }
}

/// A STOP takes back a CONT that is waiting to be read, even where it stops nothing: as PID 1, and here by its tracer's word.
#[test]
fn a_signal_that_is_taken_back_before_it_is_read_holds_no_deadline_up() {
    for mode in BOTH {
        let directives = "name=main catch=TERM:1ms:4 ready hold";
        let mut init = Init::new(mode).flags(&["--stop-after=1s"]).workload(directives).start();
        init.ready(&["main"]);
        wait_until("it waits", || (wait_of(init.pid()) == Some(Wait::ForATime)).then_some(()));
        let tracee = Pid::from_raw(init.pid());
        ptrace::seize(tracee, ptrace::Options::PTRACE_O_TRACESYSGOOD).expect("it may be traced");
        ptrace::interrupt(tracee).expect("it is traced");
        next_stop(tracee);
        // The wait is left, and entered again.
        while !is_at(tracee, ENTRY) {
            ptrace::syscall(tracee, None).expect("it is stopped");
            next_stop(tracee);
        }
        init.signal(Signal::CONT);
        ptrace::syscall(tracee, None).expect("it is stopped");
        next_stop(tracee);
        assert!(is_at(tracee, EXIT), "the signal ends the wait");
        init.signal(Signal::STOP);
        // Before it is to be delivered, CONT is announced.
        let stop = wait::WaitStatus::Stopped(tracee, nix::sys::signal::Signal::SIGSTOP);
        loop {
            ptrace::cont(tracee, None).expect("it is stopped");
            if next_stop(tracee) == stop {
                break;
            }
        }
        ptrace::detach(tracee, None).expect("it is stopped");
        init.finish().exits(4).in_order(&["main got TERM", "main finished"]);
    }
}

const ENTRY: u8 = libc::PTRACE_SYSCALL_INFO_ENTRY;
const EXIT: u8 = libc::PTRACE_SYSCALL_INFO_EXIT;

/// Whether the process is stopped as it enters or leaves its wait for a time.
fn is_at(tracee: Pid, place: u8) -> bool {
    let info = ptrace::syscall_info(tracee).expect("it is stopped");
    info.op == place && wait_of(tracee.as_raw()) == Some(Wait::ForATime)
}

fn next_stop(tracee: Pid) -> wait::WaitStatus {
    wait::waitpid(tracee, Some(wait::WaitPidFlag::__WALL)).expect("it is traced")
}
