//! The terminal: which group has its foreground, what its keys do, and how it is left behind.

use drainit::signal::Signal;
use drainit::sys::kill;

use crate::harness::{BOTH, DRAINIT, Init, WORKLOAD, stays};
use crate::terminal::{CTRL_BACKSLASH, CTRL_C, CTRL_Z, Screen, field};

const UNSHARE: &str = "unshare --pid --fork --mount-proc --kill-child";

fn can_unshare() -> bool {
    let can = nix::unistd::geteuid().is_root();
    if !can {
        eprintln!("not run as PID 1: only root can make such a namespace here");
    }
    can
}

/// drainit as PID 1 as container runtimes start it: it leads the terminal's session.
fn as_pid_one(arguments: &[&str]) -> Option<Screen> {
    let start: Vec<&str> = UNSHARE.split(' ').chain(["setsid", "--ctty", *DRAINIT]).collect();
    can_unshare().then(|| Screen::of(&[&start, arguments].concat()))
}

#[test]
fn the_command_has_the_foreground_in_a_group_of_its_own_and_the_shell_gets_it_back() {
    let mut screen = Screen::of_shell();
    let state = screen.line("$D -- $W state exit=3; echo code: $?").line_after("state ");
    assert_eq!(field(&state, "pgrp"), field(&state, "pid"), "{state}");
    assert_eq!(field(&state, "tpgid"), field(&state, "pid"), "{state}");
    assert_eq!(screen.line_after("code: "), "3");
    screen.leaves();
}

#[test]
fn keys_and_the_size_of_the_window_reach_the_command() {
    let caught = "catch=INT,QUIT,TSTP,WINCH catch=TERM:1ms:5 ready hold";
    let words: Vec<&str> = [WORKLOAD].into_iter().chain(caught.split(' ')).collect();
    let mut shell = Screen::of_shell();
    shell.line(&format!("$D -- $W {caught}"));
    for mut screen in as_pid_one(&words).into_iter().chain([shell]) {
        screen.shows("ready ");
        for (key, name) in [(CTRL_C, "INT"), (CTRL_BACKSLASH, "QUIT"), (CTRL_Z, "TSTP")] {
            screen.types(key).shows(&format!("got {name}\r\n"));
        }
        screen.resize(100).shows("got WINCH\r\n");
        kill::send(screen.named(&crate::binary::name())[0].pid, Signal::TERM).expect("it is there");
        screen.shows("finished");
    }
}

#[test]
fn a_shell_has_job_control_as_in_a_container() {
    if let Some(mut screen) = as_pid_one(&["bash", "--norc", "--noprofile", "--noediting", "-i"]) {
        let begin = screen.line("echo up: $((6 * 7))").line_after("up: ");
        assert_eq!(begin, "42");
        screen.line("$W ready hold").shows("ready ");
        screen.types(CTRL_Z).shows("Stopped");
        screen.line("bg").line("fg");
        let workload = screen.named("fake-workload")[0].pid;
        screen.is_in_front(workload);
        screen.types(CTRL_C);
        let shell = screen.named("bash")[0].pid;
        screen.is_in_front(shell);
        screen.line("echo code: $?");
        assert_eq!(screen.line_after("code: "), "130");
        screen.line("$W ready hold & sleep 0; jobs").shows("Running");
        screen.line("kill %1; wait; exit 7");
        assert_eq!(screen.ended(), 7);
        let seen = screen.everything();
        assert!(!seen.contains("no job control"), "{seen:?}");
    }
}

#[test]
fn ctrl_z_stops_nothing_that_no_shell_could_continue() {
    if let Some(mut screen) = as_pid_one(&[WORKLOAD, "ready", "hold"]) {
        screen.shows("ready ");
        for _ in 0..3 {
            screen.types(CTRL_Z);
        }
        screen.all_are("fake-workload", 1, b'S');
        screen.types(CTRL_C);
        assert_eq!(screen.ended(), 130);
    }
}

#[test]
fn as_pid_one_beside_a_shell_outside_it_stops_and_goes_on_with_the_job() {
    if !can_unshare() {
        return;
    }
    // Its group is one of the namespace outside, and has no number inside.
    let mut screen = Screen::of_shell();
    screen.line(&format!("{UNSHARE} $D -- sh -c 'read a; echo a=$a; exec $W ready hold'"));
    screen.line("one").shows("a=one");
    screen.shows("ready ");
    screen.types(CTRL_C).is_back().line("echo code: $?");
    assert_eq!(screen.line_after("code: "), "130");
    screen.line(&format!("{UNSHARE} $D -- $W ready hold")).shows("ready ");
    screen.types(CTRL_Z).shows("Stopped");
    screen.all_are("fake-workload", 1, b'T');
    screen.line("bg");
    screen.all_are("fake-workload", 1, b'S');
    screen.line("fg");
    screen.is_given_away();
    screen.types(CTRL_C).is_back().line("echo code: $?");
    assert_eq!(screen.line_after("code: "), "130");
    screen.leaves();
}

#[test]
fn ctrl_z_does_nothing_to_a_script_that_no_shell_could_continue() {
    let nested = "$D -- $W ready hold; :";
    let alone = Some(script(nested));
    let as_pid_one = [as_pid_one(&["sh", "-c", nested]), as_pid_one(&["sh", "-c", "$W ready hold; :"])];
    for mut screen in as_pid_one.into_iter().chain([alone]).flatten() {
        screen.shows("ready ");
        for _ in 0..5 {
            screen.types(CTRL_Z);
            screen.all_are("fake-workload", 1, b'S');
        }
        // A stopped process does not take it.
        screen.types(CTRL_C);
        assert_eq!(screen.ended(), 130);
    }
}

#[test]
fn as_pid_one_in_a_session_led_from_outside_ctrl_c_ends_what_ctrl_z_has_stopped() {
    if !can_unshare() {
        return;
    }
    let mut screen = script(&format!("{UNSHARE} $D -- $W ready hold; echo code: $?"));
    screen.shows("ready ");
    screen.types(CTRL_Z);
    screen.all_are("fake-workload", 1, b'T');
    screen.types(CTRL_C);
    assert_eq!(screen.ended(), 130);
    assert!(screen.named("fake-workload").is_empty());
}

#[test]
fn a_process_that_takes_a_while_to_stop_goes_on_too() {
    let slow = "bash -c 'trap \"sleep 0.1; kill -STOP \\$\\$; echo on\" TSTP; echo ready; while :; do sleep 0.01; done'; :";
    if let Some(mut screen) = as_pid_one(&["sh", "-c", slow]) {
        screen.shows("ready");
        for _ in 0..5 {
            screen.types(CTRL_Z);
            screen.all_are("bash", 1, b'S');
        }
        screen.all_are("sh", 1, b'S');
        kill::send(screen.named(&crate::binary::name())[0].pid, Signal::TERM).expect("it is there");
        assert_eq!(screen.ended(), 143);
    }
}

#[test]
fn as_pid_one_a_reader_gets_a_terminal_that_no_group_has() {
    let script = "sh -ic 'kill -9 $$'; echo after; read x; echo got: $x; kill -STOP $$; echo on";
    if let Some(mut screen) = as_pid_one(&["sh", "-c", script]) {
        screen.shows("after");
        screen.line("hello").shows("got: hello");
        screen.shows("on\r\n");
        assert_eq!(screen.ended(), 0);
    }
}

#[test]
fn a_stop_that_was_sent_through_the_init_stays() {
    if let Some(mut screen) = as_pid_one(&[WORKLOAD, "catch=USR1", "ready", "hold"]) {
        screen.shows("ready ");
        let init = screen.named(&crate::binary::name())[0].pid;
        kill::send(init, Signal::TSTP).expect("it is there");
        screen.all_are("fake-workload", 1, b'T');
        kill::send(init, Signal::USR1).expect("it is there");
        stays(std::time::Duration::from_millis(100), || screen.named("fake-workload")[0].state == b'T');
        kill::send(init, Signal::CONT).expect("it is there");
        screen.shows("got USR1");
        kill::send(init, Signal::TERM).expect("it is there");
        assert_eq!(screen.ended(), 143);
    }
}

#[test]
fn a_pipeline_keeps_its_foreground() {
    let mut screen = Screen::of_shell();
    // The reader of the pipeline's other end reads from the terminal, too: it is in the foreground.
    screen.line("$D -- $W state ready hold | { cat & read -r line </dev/tty; echo read: $line; wait; }; echo code: ${PIPESTATUS[0]}");
    let state = screen.line_after("state ");
    assert_ne!(field(&state, "tpgid"), field(&state, "pgrp"), "{state}");
    screen.line("hello").shows("read: hello");
    screen.types(CTRL_C).is_back();
    screen.leaves();
}

#[test]
fn the_background_takes_nothing() {
    let mut screen = Screen::of_shell();
    screen.line("$D -- $W state ready hold &");
    let state = screen.line_after("state ");
    assert_eq!(field(&state, "tpgid"), screen.leader(), "{state}");
    screen.line("echo still: here").shows("still: here");
    screen.line("kill %1; wait").shows("Exit 143");
    screen.leaves();
}

/// In a script the shell waits in the same group: the command gets the terminal when it wants it.
fn script(text: &str) -> Screen {
    Screen::of(&["sh", "-c", text])
}

#[test]
fn what_a_killed_command_has_done_to_the_terminal_is_put_right_and_what_others_do_stays() {
    let mut killed =
        script("before=$(stty -g); $D -- sh -c 'stty raw; kill -9 $$'; echo $?; [ $before = $(stty -g) ]");
    killed.shows("137");
    assert_eq!(killed.ended(), 0, "{}", killed.everything());
    let mut set = script("stty echo; $D -- stty -echo; stty -a");
    let modes = set.shows("-echoprt");
    assert!(modes.contains(" -echo "), "{modes}");
    assert_eq!(set.ended(), 0);
}

#[test]
fn a_command_of_a_script_gets_the_terminal_when_it_wants_it() {
    let mut screen =
        script("$D -- sh -c 'read a; echo a=$a; exit 3'; read b; echo b=$b code=$?; $D -- bash -i");
    screen.line("one").shows("a=one");
    screen.line("two").shows("b=two code=0");
    screen.line("echo up: $((6 * 7))").shows("up: 42");
    screen.line("exit 4");
    assert_eq!(screen.ended(), 4);
    assert!(!screen.everything().contains("no job control"), "{}", screen.everything());
}

#[test]
fn ctrl_c_in_a_script_ends_the_command() {
    let mut screen = script("trap 'echo sh: INT' INT; $D -- $W ready hold; echo code: $?");
    screen.shows("ready ");
    screen.types(CTRL_C).shows("code: 130");
    assert_eq!(screen.ended(), 0);
}

/// bash waits for its command before it dies of a Ctrl-C, and goes on if that has not died of it too.
#[test]
fn ctrl_c_in_a_script_reaches_what_a_shell_waits_for() {
    let mut screen = script("trap : INT; $D -- bash -c '$W ready hold; echo after'; echo code: $?");
    screen.shows("ready ");
    screen.types(CTRL_C).shows("code: 130");
    assert!(!screen.everything().contains("after"), "{}", screen.everything());
    assert_eq!(screen.ended(), 0);
}

#[test]
fn a_command_that_cannot_be_run_leaves_the_terminal_where_it_was() {
    let mut screen = script("$D -- sh -c '$D -- /nowhere; echo $?; read line; echo read: $line'");
    screen.shows("127");
    screen.line("x").shows("read: x");
    assert_eq!(screen.ended(), 0);
}

#[test]
fn ctrl_c_reaches_drainit_when_the_command_and_its_group_are_gone() {
    let mut screen = Screen::of_shell();
    screen.line("$D --wait-for-all -v -- $W session{ catch=INT:1ms ready hold } exit=3; echo code: $?");
    // The one that is left behind has its handler once it is ready.
    screen.shows_all(&["exited with 3", "ready"]);
    let drainit = screen.named(&crate::binary::name())[0].pid;
    screen.is_in_front(drainit);
    screen.types(CTRL_C).shows("got INT");
    assert_eq!(screen.line_after("code: "), "3");
    screen.leaves();
}

#[test]
fn any_stdin_will_do() {
    let write_only = || std::fs::OpenOptions::new().write(true).open("/dev/null").expect("it is there");
    for mode in BOTH {
        Init::new(mode).stdin(write_only()).workload("exit=3").run().exits(3).silently();
        let closed = ["sh", "-c", "\"$@\" <&-", "sh"];
        let run = Init::new(mode).under(&closed).workload("fds exit=4").run();
        assert!(run.exits(4).silently().stdout[0].starts_with("fds 1 2"), "{run:?}");
        let folder = std::fs::File::open("/").expect("it is there");
        Init::new(mode).stdin(folder).workload("exit=5").run().exits(5).silently();
    }
    for stdin in ["<&-", "</dev/null", "0>/dev/null", "<>/dev/zero"] {
        let mut screen = Screen::of_shell();
        let state =
            screen.line(&format!("$D -- $W state exit=6 {stdin}; echo code: $?")).line_after("state ");
        assert_eq!(field(&state, "tpgid"), field(&state, "pid"), "{stdin}: {state}");
        assert_eq!(screen.line_after("code: "), "6");
        screen.leaves();
    }
}
