//! The effects of job control, on a terminal and processes that are made up.

use std::cell::RefCell;
use std::io;

use super::*;
use crate::say::heard::lines_of;
use crate::signal::SignalSet;
use crate::sys::signal_queue::tests::send;
use crate::sys::signals;

const OWN_GROUP: i32 = 5;
const MAIN: i32 = 7;
const OTHER: i32 = 9;
const MODES: u8 = 1;

/// Main leads a group of its own, and no shell knows it. What is done is written down.
#[derive(Debug)]
struct Staged {
    foreground: Option<i32>,
    is_orphaned: bool,
    can_suspend: bool,
    can_leave: bool,
    can_visit: bool,
    is_pid_one: bool,
    is_shared: bool,
    stopped: Vec<i32>,
    members: Vec<i32>,
    done: RefCell<Vec<String>>,
}

impl Staged {
    fn new(foreground: Option<i32>) -> Self {
        Self {
            foreground,
            is_orphaned: false,
            can_suspend: true,
            can_leave: false,
            can_visit: false,
            is_pid_one: false,
            is_shared: false,
            stopped: Vec::new(),
            members: vec![OWN_GROUP, MAIN, OTHER],
            done: RefCell::default(),
        }
    }

    fn note(&self, what: String) {
        self.done.borrow_mut().push(what);
    }
}

impl Session for Staged {
    type Modes = u8;

    fn is_pid_one(&self) -> bool {
        self.is_pid_one
    }

    fn own_group(&self) -> i32 {
        OWN_GROUP
    }

    fn group_of(&self, pid: i32) -> Option<i32> {
        Some(pid)
    }

    fn has_terminal(&self) -> bool {
        self.foreground.is_some()
    }

    fn holder(&self, group: i32) -> Holder {
        match self.foreground {
            Some(held) if held == group => Holder::Job,
            Some(OWN_GROUP) => Holder::Own,
            Some(_) | None => Holder::Other,
        }
    }

    fn foreground(&self) -> Option<i32> {
        self.foreground
    }

    fn is_unheld(&self) -> bool {
        self.foreground.is_some_and(|group| !self.has_members(group))
    }

    fn has_foreground(&self) -> bool {
        self.foreground == Some(OWN_GROUP)
    }

    fn has_foreground_alone(&self) -> bool {
        self.has_foreground() && !self.is_shared
    }

    fn give_to(&self, group: i32) -> bool {
        self.note(format!("terminal to {group}"));
        self.foreground.is_some()
    }

    fn modes(&self) -> Option<u8> {
        Some(MODES)
    }

    fn set_modes(&self, modes: &u8) {
        self.note(format!("modes {modes}"));
    }

    fn has_members(&self, group: i32) -> bool {
        self.members.contains(&group)
    }

    fn has_stopped(&self, group: i32) -> bool {
        self.stopped.contains(&group)
    }

    fn is_alone_in(&self, _: i32) -> bool {
        !self.is_shared
    }

    fn is_orphaned(&self, _: i32) -> bool {
        self.is_orphaned
    }

    fn stopped(&self) -> Set<i32> {
        self.stopped.iter().copied().collect()
    }

    fn can_be_suspended(&self, _: Signal) -> bool {
        self.can_suspend
    }

    fn suspend(&self, signal: Signal, scope: Scope) {
        self.note(format!("{signal} to {scope:?}"));
    }

    fn leave(&self, _: i32) -> bool {
        self.note("leave".to_owned());
        self.can_leave
    }

    fn visit(&self, group: i32) -> bool {
        self.note(format!("visit {group}"));
        self.can_visit
    }

    fn send_to_group(&self, group: i32, signal: Signal) -> io::Result<()> {
        self.note(format!("{signal} to {group}"));
        Ok(())
    }

    fn send_to_own_group(&self, signal: Signal) -> io::Result<()> {
        self.note(format!("{signal} to own group"));
        Ok(())
    }
}

fn job(session: Staged) -> Job<Staged> {
    Job { has_terminal: true, ..Job::new(session) }
}

/// Main has had the terminal from the start.
fn with_terminal(session: Staged) -> Job<Staged> {
    let mut job = job(session);
    job.note_handed_over(MAIN, Some(MODES));
    job
}

fn queue() -> SignalQueue {
    SignalQueue::open(SignalSet::default()).expect("a queue")
}

impl Job<Staged> {
    /// What was done since the last time.
    fn done(&self) -> Vec<String> {
        self.session.done.take()
    }

    fn main_stops(&mut self, by: Signal) -> Vec<String> {
        self.stopped(Duration::ZERO, MAIN, by, &queue());
        self.done()
    }
}

#[test]
fn a_command_that_wants_drainit_s_terminal_gets_it_and_is_continued() {
    let mut job = job(Staged::new(Some(OWN_GROUP)));
    assert_eq!(job.main_stops(Signal::TTIN), ["terminal to 7", "CONT to 7"]);
    assert!(job.handed_over.is_some_and(|given| given.group == MAIN && given.modes == Some(MODES)));
}

#[test]
fn a_stop_of_the_foreground_stops_drainit_s_group_which_has_the_terminal_then() {
    let mut job = with_terminal(Staged::new(Some(MAIN)));
    assert_eq!(job.main_stops(Signal::TSTP), ["terminal to 5", "TSTP to OwnGroup"]);
    let mut job = self::job(Staged::new(Some(OTHER)));
    assert_eq!(job.main_stops(Signal::TTIN), ["TTIN to OwnGroup"], "it is not drainit's to take");
    assert_eq!(job.main_stops(Signal::TSTP), ["TSTP to OwnProcess"]);
}

#[test]
fn a_cont_that_is_there_already_is_not_discarded_by_a_stop() {
    let _ = signals::block_all();
    let mut job = job(Staged::new(Some(OTHER)));
    send(Signal::CONT);
    assert_eq!(job.main_stops(Signal::TSTP), [""; 0]);
    assert!(queue().take(Some(Duration::ZERO)).is_some_and(|taken| taken.signal == Signal::CONT));
    assert_eq!(job.main_stops(Signal::TSTP), ["TSTP to OwnProcess"]);
}

#[test]
fn without_a_terminal_a_stop_signal_is_not_drainit_s_and_a_cont_is_forwarded() {
    let mut job = Job::new(Staged::new(None));
    job.stop_signal(Signal::TSTP, &queue());
    job.look(Some(MAIN));
    assert!(!job.resumed(Some(MAIN)));
    assert_eq!(job.done(), [""; 0]);

    let mut left = with_terminal(Staged::new(Some(MAIN)));
    let _ = left.main_stops(Signal::TSTP);
    left.has_terminal = false;
    assert!(!left.resumed(Some(MAIN)));
    assert_eq!(left.done(), [""; 0]);
}

#[test]
fn a_stop_signal_that_comes_while_the_command_is_stopped_stops_drainit_too() {
    let mut job = job(Staged::new(Some(OTHER)));
    job.stop_signal(Signal::TSTP, &queue());
    assert_eq!(job.main_stops(Signal::STOP), [""; 0], "no terminal was involved");
    job.stop_signal(Signal::TERM, &queue());
    assert_eq!(job.done(), [""; 0]);
    job.stop_signal(Signal::TSTP, &queue());
    assert_eq!(job.done(), ["TSTP to OwnProcess"]);
}

#[test]
fn what_no_shell_could_continue_is_continued_and_so_are_members_that_stop_later() {
    let mut job = with_terminal(Staged { can_suspend: false, ..Staged::new(Some(MAIN)) });
    assert_eq!(job.main_stops(Signal::TSTP), ["CONT to 7"]);
    let at = job.deadline().expect("it looks again");
    job.session.stopped = vec![MAIN];
    job.continue_stragglers(at, None);
    assert_eq!(job.done(), [""; 0], "main is gone: its number may be another group's");
    let mut job = with_terminal(Staged { can_suspend: false, ..Staged::new(Some(MAIN)) });
    let _ = job.main_stops(Signal::TSTP);
    job.continue_stragglers(at, Some(MAIN));
    assert_eq!(job.done(), [""; 0], "none is stopped");
    job.session.stopped = vec![MAIN];
    job.continue_stragglers(at * 2, Some(MAIN));
    assert_eq!(job.done(), ["CONT to 7"]);
}

#[test]
fn what_wants_a_terminal_that_it_cannot_get_is_let_go_by_the_first_way_that_is_open() {
    let hopeless = || Staged { can_suspend: false, is_orphaned: true, ..Staged::new(Some(OTHER)) };
    let mut leaves = job(Staged { can_leave: true, ..hopeless() });
    assert_eq!(leaves.main_stops(Signal::TTIN), ["leave", "CONT to 7"]);
    assert!(!leaves.wants_stops(), "the terminal is of no more concern");

    let mut stays = job(Staged { stopped: vec![OTHER], ..hopeless() });
    let lines = lines_of(|| {
        assert_eq!(stays.main_stops(Signal::TTIN), ["leave", "HUP to 7", "CONT to 7", "CONT to 9"]);
    });
    assert!(
        lines.iter().any(|line| line.starts_with("WARN: ") && line.ends_with("sending HUP")),
        "{lines:?}"
    );
    assert_eq!(
        stays.main_stops(Signal::TTIN),
        ["leave", "visit 7", "visit 9"],
        "HUP comes once; a group that cannot be visited would only stop again"
    );
}

#[test]
fn a_stopped_process_that_drainit_was_not_told_of_is_continued_if_no_shell_can_do_it() {
    let found = || Staged { is_orphaned: true, stopped: vec![OTHER], ..Staged::new(Some(1000)) };
    for (can_visit, done) in [(true, &["leave", "visit 9"][..]), (false, &["leave", "visit 9", "CONT to 9"])]
    {
        let mut job = job(Staged { can_visit, ..found() });
        job.look(Some(MAIN));
        assert_eq!(job.done(), done);
    }
    for session in [
        Staged { is_orphaned: false, ..found() },
        Staged { foreground: Some(OWN_GROUP), ..found() },
        Staged { is_pid_one: true, ..found() },
        Staged { stopped: Vec::new(), is_shared: true, ..found() },
    ] {
        let mut job = job(session);
        job.look(Some(MAIN));
        assert_eq!(job.done(), [""; 0], "{:?}", job.session);
    }
}

#[test]
fn after_a_stop_the_command_gets_back_what_it_had_and_goes_on() {
    let mut had_it = with_terminal(Staged::new(Some(MAIN)));
    let _ = had_it.main_stops(Signal::TSTP);
    had_it.session.foreground = Some(OWN_GROUP);
    had_it.session.is_shared = true;
    assert!(had_it.resumed(Some(MAIN)), "the CONT was drainit's");
    assert_eq!(had_it.done(), ["terminal to 7", "CONT to 7"]);

    let mut had_none = job(Staged { is_shared: true, ..Staged::new(Some(OTHER)) });
    let _ = had_none.main_stops(Signal::TSTP);
    had_none.session.foreground = Some(OWN_GROUP);
    assert!(had_none.resumed(Some(MAIN)));
    assert_eq!(had_none.done(), ["CONT to 7"], "others of drainit's group need it");

    let mut runs = job(Staged::new(Some(OWN_GROUP)));
    assert!(!runs.resumed(Some(MAIN)), "drainit was not stopped, so the CONT is forwarded");
    assert_eq!(runs.done(), ["terminal to 7"], "fg");
}

#[test]
fn the_terminal_is_taken_back_from_a_command_that_has_ended_unless_its_group_goes_on() {
    for (ended, members, done) in [
        (Ended::Exited(0), &[OWN_GROUP][..], &["terminal to 5", "CONT to own group"][..]),
        (Ended::Killed(Signal::TERM), &[OWN_GROUP], &["modes 1", "terminal to 5", "CONT to own group"]),
        (Ended::Killed(Signal::TERM), &[OWN_GROUP, MAIN], &[]),
    ] {
        let mut job = with_terminal(Staged { members: members.to_vec(), ..Staged::new(Some(MAIN)) });
        job.command_ended(MAIN, ended, false);
        assert_eq!(job.done(), done, "{ended}");
    }
    let mut taken = with_terminal(Staged { members: vec![OTHER], ..Staged::new(Some(OTHER)) });
    taken.command_ended(MAIN, Ended::Exited(0), false);
    assert_eq!(taken.done(), [""; 0], "another group has it now");
}

#[test]
fn ctrl_c_reaches_drainit_s_group_too_if_the_command_died_of_it() {
    let ctrl_c = Ended::Killed(Signal::INT);
    for (session, reaches) in [
        (Staged::new(Some(MAIN)), true),
        (Staged::new(Some(OTHER)), false),
        (Staged { is_pid_one: true, ..Staged::new(Some(MAIN)) }, false),
    ] {
        let mut job = with_terminal(session);
        job.command_ended(MAIN, ctrl_c, false);
        assert_eq!(job.done().contains(&"INT to own group".to_owned()), reaches, "{:?}", job.session);
    }
}

#[test]
fn a_key_that_is_forwarded_is_told_from_a_signal_of_a_process() {
    let from = |code| Some(Received { signal: Signal::INT, code, sender: 0, sender_uid: 0 });
    for (received, group) in [(from(0x80), Some(MAIN)), (from(0), None), (None, None)] {
        let mut job = with_terminal(Staged::new(Some(MAIN)));
        let _ = job.main_stops(Signal::TSTP);
        assert_eq!(job.forwarded(Signal::INT, received), group);
        assert_eq!(job.forwarded(Signal::QUIT, received), None, "the last signal was another one");
    }
}
