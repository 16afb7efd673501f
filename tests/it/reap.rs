//! Orphans are reaped, all of them, whatever their parents were.

use drainit::signal::Signal;

use crate::harness::{BOTH, Init, wait_until};

#[test]
fn a_hundred_orphans_leave_no_zombie() {
    for mode in BOTH {
        let mut init = Init::new(mode).workload("orphan*100{ exit=1 } ready hold").start();
        init.line_after("ready");
        wait_until("all orphans are reaped", || (init.descendants().len() == 1).then_some(()));
        init.signal(Signal::TERM);
        init.finish().exits(143).silently();
    }
}

#[test]
fn orphans_that_die_by_the_dozen_at_the_same_time_are_all_reaped() {
    for mode in BOTH {
        let mut init = Init::new(mode).workload("orphan*50{ hold } ready hold").start();
        init.line_after("ready");
        let main = wait_until("the family is complete", || {
            let family = init.descendants();
            (family.len() == 51)
                .then(|| family.iter().find(|process| process.pid == process.group).copied())
                .flatten()
        });
        for process in init.descendants().iter().filter(|process| process.pid != main.pid) {
            drainit::sys::kill::send(process.pid, Signal::KILL).expect("it is there");
        }
        wait_until("all orphans are reaped", || (init.descendants().len() == 1).then_some(()));
        init.signal(Signal::TERM);
        init.finish().exits(143).silently();
    }
}

#[test]
fn a_child_that_was_there_before_drainit_is_reaped_and_waited_for() {
    for mode in BOTH {
        // The shell starts a child and becomes drainit, which never started it.
        let before = ["sh", "-c", "sleep 0.05 & exec \"$@\"", "sh"];
        let run = Init::new(mode).under(&before).flags(&["--wait-for-all"]).workload("exit=3").run();
        run.exits(3).silently();
    }
}

#[test]
fn an_ignored_child_signal_at_entry_loses_no_status() {
    for mode in BOTH {
        let run = Init::new(mode).under(&["env", "--ignore-signal=CHLD"]).workload("exit=3").run();
        run.exits(3).silently();
    }
}
