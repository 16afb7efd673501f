//! Every signal reaches the processes that it is for.

use drainit::signal::Signal;

use crate::harness::{BOTH, Init, WORKLOAD, wait_until};
use crate::shells::is_installed;

#[test]
fn every_signal_that_can_be_received_is_forwarded() {
    for mode in BOTH {
        // QUIT asks for a stop here, so that TERM is a signal like the others.
        let mut init =
            Init::new(mode).flags(&["--stop-signal", "QUIT"]).workload("take=all ready hold").start();
        init.line_after("ready");
        for signal in Signal::all().filter(|signal| signal.can_be_forwarded() && *signal != Signal::QUIT) {
            init.signal(signal).line(&format!("got {signal}"));
        }
        init.end().silently();
    }
}

#[test]
fn a_child_signal_from_outside_is_not_forwarded_and_does_no_harm() {
    for mode in BOTH {
        let mut init = Init::new(mode).workload("take=all ready hold").start();
        init.line_after("ready");
        init.signal(Signal::CHLD).signal(Signal::USR1).line("got USR1");
        assert!(!init.end().stdout.contains(&"got CHLD".to_owned()));
    }
}

#[test]
fn a_fault_that_was_sent_is_forwarded() {
    for mode in BOTH {
        for signal in [Signal::SEGV, Signal::ABRT, Signal::BUS, Signal::SYS] {
            let mut init = Init::new(mode).workload("take=all ready hold").start();
            init.line_after("ready");
            init.signal(signal).line(&format!("got {signal}"));
            init.end().silently();
        }
    }
}

const FAMILY: &str = "name=main catch=USR1 \
     child{ name=worker catch=USR1 ready hold } \
     session{ name=daemon catch=USR1 ready hold } ready hold";

/// These of the family get USR1, and no others.
#[track_caller]
pub(crate) fn they_get_it(init: Init, names: &[&str]) {
    let mut init = init.workload(FAMILY).start();
    init.ready(&["worker", "daemon", "main"]);
    init.signal(Signal::USR1);
    init.begins(&names.iter().map(|name| format!("{name} got USR1")).collect::<Vec<_>>());
    // Any other that got it has said so before it gets what it dies of: its handler runs first.
    for process in init.descendants() {
        let _ = drainit::sys::kill::send(process.pid, Signal::TERM);
    }
    let run = init.finish();
    let got = run.stdout.iter().filter(|line| line.ends_with(" got USR1")).count();
    assert_eq!(got, names.len(), "{run:?}");
}

#[test]
fn the_target_decides_which_processes_get_it() {
    for mode in BOTH {
        let with = |flags: &[&str]| Init::new(mode).flags(flags);
        they_get_it(with(&[]), &["main"]);
        they_get_it(with(&["--forward-to=auto"]), &["main"]);
        they_get_it(with(&["--forward-to=group"]), &["main", "worker"]);
        they_get_it(with(&["-g"]), &["main", "worker"]);
        they_get_it(with(&["-c"]), &["main"]);
        they_get_it(with(&["--single-child"]), &["main"]);
        they_get_it(with(&["--forward-to", "main"]), &["main"]);
        they_get_it(with(&["--forward-to=all"]), &["daemon", "main", "worker"]);
    }
}

#[test]
fn signals_are_rewritten_by_any_spelling() {
    for mode in BOTH {
        let flags = [
            "-r",
            "USR1:usr2",
            "-r",
            "10:USR2",
            "--rewrite",
            "SIGRTMIN+3:RTMAX-2",
            "-r",
            "HUP:0",
            "-r",
            "ALRM:none",
        ];
        let mut init = Init::new(mode).flags(&flags).workload("take=all ready hold").start();
        init.line_after("ready");
        init.signal(Signal::USR1).line("got USR2");
        init.signal(Signal::new(37).expect("a signal")).line("got RTMAX-2");
        init.signal(Signal::HUP)
            .signal(Signal::new(14).expect("ALRM"))
            .signal(Signal::WINCH)
            .line("got WINCH");
        let seen = init.end().stdout;
        assert_eq!(seen.len(), 4, "ready, two rewritten ones and the last one: {seen:?}");
    }
}

#[test]
fn after_main_s_end_signals_go_to_every_process_left() {
    for mode in BOTH {
        let family = "orphan{ name=orphan catch=USR1 catch=TERM:1ms ready hold } \
                      daemon{ name=daemon catch=USR1 catch=TERM:1ms ready hold } exit=0";
        let mut init = Init::new(mode).flags(&["--wait-for-all"]).workload(family).start();
        init.ready(&["orphan", "daemon"]);
        wait_until("main is reaped", || (init.descendants().len() == 2).then_some(()));
        init.idle().signal(Signal::USR1);
        init.begins(&["orphan got USR1", "daemon got USR1"]);
        init.signal(Signal::TERM);
        let run = init.finish();
        run.exits(0);
        assert_eq!((run.count("orphan got USR1"), run.count("daemon got USR1")), (1, 1), "{run:?}");
    }
}

#[test]
fn two_that_were_left_behind_in_one_group_get_a_signal_once_each() {
    // One does not handle it, so that its group gets it, and the other one does.
    let family = "orphan{ name=one ignore=USR1 catch=TERM:1ms ready hold } \
                  orphan{ name=two catch=USR1 catch=TERM:1ms ready hold } name=main exit=0";
    for mode in BOTH {
        let mut init = Init::new(mode).flags(&["--wait-for-all"]).workload(family).start();
        init.ready(&["one", "two"]);
        wait_until("the command is gone", || (init.descendants().len() == 2).then_some(()));
        init.signal(Signal::USR1).line("two got USR1");
        init.idle();
        init.signal(Signal::TERM);
        let run = init.finish();
        run.exits(0).silently();
        assert_eq!(run.count("two got USR1"), 1, "{run:#?}");
    }
}

#[test]
fn what_main_does_not_handle_is_for_its_group() {
    let family = "child{ name=worker catch=USR1 catch=TERM:1ms ready hold } \
                  session{ name=apart catch=USR1 catch=TERM:1ms ready hold } \
                  name=main ignore=USR1 catch=TERM:1ms ready hold";
    for mode in BOTH {
        let mut init = Init::new(mode).workload(family).start();
        init.ready(&["worker", "apart", "main"]);
        init.signal(Signal::USR1).line("worker got USR1");
        init.idle();
        init.signal(Signal::TERM);
        let run = init.finish();
        assert_eq!((run.count("worker got USR1"), run.count("apart got USR1")), (1, 0), "{run:#?}");
    }
}

/// It waits for USR1 twice, as programs without handlers do, and ignores it from then on.
const CHANGING: &str = "import os, signal, sys
def say(line):
    os.write(1, line.encode() + b'\\n')
if os.fork() == 0:
    os.execv(sys.argv[1], sys.argv[1:])
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
say(f'main ready {os.getpid()}')
for _ in range(2):
    signal.sigwait({signal.SIGUSR1})
    say('main got USR1')
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
say('main ignores it')
signal.pause()";

#[test]
fn what_main_does_about_a_signal_is_seen_anew_each_time() {
    if !is_installed("python3") {
        return;
    }
    let worker = [WORKLOAD, "name=worker", "catch=USR1", "catch=TERM:1ms", "ready", "hold"];
    for mode in BOTH {
        let command = [&["python3", "-c", CHANGING], &worker[..]].concat();
        let mut init = Init::new(mode).command(&command).start();
        init.ready(&["worker", "main"]);
        for _ in 0..2 {
            init.settled().signal(Signal::USR1).line("main got USR1");
        }
        init.line("main ignores it");
        init.settled().signal(Signal::USR1).line("worker got USR1");
        init.signal(Signal::TERM);
        let run = init.finish();
        assert_eq!((run.count("main got USR1"), run.count("worker got USR1")), (2, 1), "{run:#?}");
    }
}

#[test]
fn a_rewrite_names_its_own_target() {
    let family =
        "child{ name=worker catch=USR1,USR2,HUP ready hold } name=main catch=USR1,USR2,HUP ready hold";
    for mode in BOTH {
        for (flags, name) in [
            (&["-g", "--rewrite", "USR1:USR2@main"][..], "main"),
            (&["--rewrite", "HUP:HUP@main", "--rewrite", "USR1:USR2@group"], "both"),
            (&["-c", "--rewrite", "USR1:USR2@all"], "both"),
        ] {
            let mut init = Init::new(mode).flags(flags).workload(family).start();
            init.ready(&["worker", "main"]);
            let reached: &[&str] = if name == "both" { &["main", "worker"] } else { &["main"] };
            init.signal(Signal::USR1);
            init.begins(&reached.iter().map(|name| format!("{name} got USR2")).collect::<Vec<_>>());
            init.idle();
            let run = init.end();
            assert_eq!(run.count("worker got USR2"), reached.len() - 1, "{flags:?}: {run:#?}");
        }
    }
}

#[test]
fn a_stop_signal_that_is_rewritten_for_main_reaches_the_others_as_it_came() {
    // runsvdir wants HUP, and what it leaves behind would reload at one.
    let family = "child{ name=below catch=HUP catch=TERM:1ms ready hold } name=main catch=HUP:1ms ready hold";
    for mode in BOTH {
        for flags in [&["-c", "--rewrite", "TERM:HUP"][..], &["--rewrite", "TERM:HUP@main"]] {
            let mut init = Init::new(mode).flags(flags).workload(family).start();
            init.ready(&["below", "main"]);
            init.signal(Signal::TERM);
            let run = init.finish();
            run.exits(0).in_order(&["main got HUP", "below got TERM", "below finished"]);
            assert_eq!(run.count("below got HUP"), 0, "{flags:?}: {run:#?}");
        }
    }
}

#[test]
fn a_stop_signal_that_is_rewritten_is_for_those_that_handle_it() {
    let family =
        "daemon{ name=daemon catch=TERM:1ms ready hold } name=main catch=QUIT:1ms catch=TERM ready hold";
    for mode in BOTH {
        let mut init = Init::new(mode).flags(&["--rewrite", "TERM:QUIT"]).workload(family).start();
        init.ready(&["daemon", "main"]);
        init.signal(Signal::TERM);
        let run = init.finish();
        run.exits(0)
            .in_order(&["main got QUIT", "main finished"])
            .in_order(&["daemon got TERM", "daemon finished"]);
        assert_eq!(run.count("main got TERM"), 0, "{run:#?}");
    }
}
