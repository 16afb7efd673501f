//! Job control: under an interactive shell, drainit is a job like any other.

use crate::harness::{Gate, stays, wait_until};
use crate::terminal::{CTRL_C, CTRL_D, CTRL_Z, Screen, field};

/// The workload under drainit, and under drainit under drainit.
const NESTED: [(&str, usize); 2] = [("$D --", 1), ("$D -- $D --", 2)];

/// Everything that drainit runs is stopped, and drainit too.
fn all_are(screen: &Screen, inits: usize, workloads: usize, state: u8) {
    screen.all_are(&crate::binary::name(), inits, state);
    screen.all_are("fake-workload", workloads, state);
}

#[test]
fn ctrl_z_stops_the_job_and_fg_and_bg_continue_it() {
    for (drainit, inits) in NESTED {
        for tostop in ["-tostop", "tostop"] {
            let mut screen = Screen::of_shell();
            screen.line(&format!(
                "stty {tostop}; {drainit} $W child{{ ready hold }} ready hold; echo code: $?"
            ));
            screen.shows("ready ");
            screen.shows("ready ");
            let main = screen.named("fake-workload")[0].pid;
            screen.types(CTRL_Z).shows("Stopped");
            all_are(&screen, inits, 2, b'T');
            assert_eq!(screen.foreground(), screen.leader());
            screen.line("bg; echo up: $((6 * 7))").shows("up: 42");
            all_are(&screen, inits, 2, b'S');
            assert_eq!(screen.foreground(), screen.leader());
            // It runs, so the shell only gives the terminal to drainit's group, and no process hears of that.
            screen.line("fg");
            screen.is_given_away();
            screen.types(CTRL_Z).shows("Stopped");
            all_are(&screen, inits, 2, b'T');
            screen.line("fg");
            screen.is_in_front(main);
            all_are(&screen, inits, 2, b'S');
            screen.types(CTRL_C).is_back().line("echo code: $?");
            assert_eq!(screen.line_after("code: "), "130", "{drainit} {tostop}");
            screen.leaves();
        }
    }
}

#[test]
fn a_background_reader_is_stopped_until_the_shell_brings_it_to_the_front() {
    for (drainit, inits) in NESTED {
        let mut screen = Screen::of_shell();
        screen.line(&format!("{drainit} cat &"));
        screen.all_are("cat", 1, b'T');
        screen.all_are(&crate::binary::name(), inits, b'T');
        screen.line("jobs -l").shows("Stopped (tty input)");
        screen.line("fg").line("hello").shows("hello\r\n");
        screen.types(CTRL_D).line("echo code: $?");
        assert_eq!(screen.line_after("code: "), "0");
        screen.leaves();
    }
}

#[test]
fn a_background_writer_is_stopped_under_tostop() {
    for (drainit, inits) in NESTED {
        let mut screen = Screen::of_shell();
        screen.line(&format!("stty tostop; {drainit} $W catch=TERM:1ms say=word hold &"));
        screen.all_are(&crate::binary::name(), inits, b'T');
        screen.line("jobs -l").shows("Stopped (tty output)");
        screen.line("fg").shows("word\r\n");
        screen.types(CTRL_C).is_back().line("echo code: $?");
        assert_eq!(screen.line_after("code: "), "130");
        screen.leaves();
    }
}

#[test]
fn a_running_job_that_is_brought_to_the_front_reads() {
    let mut screen = Screen::of_shell();
    let gate = Gate::closed();
    screen.line(&format!("$D -- sh -c '$W say=up await={}; exec cat' &", gate.path()));
    screen.shows("up\r\n");
    screen.line("fg");
    screen.is_given_away();
    gate.open();
    screen.line("hello").shows("hello\r\n");
    screen.types(CTRL_Z).shows("Stopped");
    screen.line("fg").line("again").shows("again\r\n");
    screen.types(CTRL_D).line("echo code: $?");
    assert_eq!(screen.line_after("code: "), "0");
    screen.leaves();
}

#[test]
fn ctrl_z_stops_the_whole_pipeline() {
    let mut screen = Screen::of_shell();
    screen.line("$D -- $W ready hold | cat").shows("ready ");
    screen.types(CTRL_Z).shows("Stopped");
    all_are(&screen, 1, 1, b'T');
    screen.all_are("cat", 1, b'T');
    screen.line("fg");
    all_are(&screen, 1, 1, b'S');
    screen.types(CTRL_C).is_back().line("echo codes: $?");
    assert_eq!(screen.line_after("codes: "), "130");
    screen.leaves();
}

#[test]
fn ctrl_z_stops_a_script_along_with_its_command() {
    let mut screen = Screen::of_shell();
    screen.line("sh -c '$D -- sh -c \"read a; echo a=\\$a; read b; echo b=\\$b\"; echo after'");
    // It reads, so it has got the terminal, and Ctrl-Z goes to it alone.
    screen.line("one").shows("a=one");
    screen.types(CTRL_Z).shows("Stopped");
    screen.all_are("sh", 2, b'T');
    screen.all_are(&crate::binary::name(), 1, b'T');
    screen.line("fg").line("two").shows("b=two");
    screen.shows("after");
    screen.leaves();
}

#[test]
fn a_stop_that_no_terminal_was_involved_in_stops_the_command_alone() {
    let mut screen = Screen::of_shell();
    screen.line("$D -- $W ready hold | cat").shows("ready ");
    let main = screen.named("fake-workload")[0].pid;
    drainit::sys::kill::send(main, drainit::signal::Signal::STOP).expect("it is there");
    screen.all_are("fake-workload", 1, b'T');
    stays(std::time::Duration::from_millis(100), || {
        screen.named(&crate::binary::name())[0].state != b'T' && screen.named("cat")[0].state != b'T'
    });
    // Its end is an end all the same.
    let drainit = screen.named(&crate::binary::name())[0].pid;
    drainit::sys::kill::send(drainit, drainit::signal::Signal::TERM).expect("it is there");
    screen.line("echo code: ${PIPESTATUS[0]}");
    assert_eq!(screen.line_after("code: "), "143");
    screen.leaves();
}

#[test]
fn a_stop_of_a_command_in_the_foreground_is_the_jobs_stop() {
    let mut screen = Screen::of_shell();
    let state = screen.line("$D -- $W state ready hold").line_after("state ");
    drainit::sys::kill::send(field(&state, "pid"), drainit::signal::Signal::STOP).expect("it is there");
    screen.shows("Stopped");
    screen.line("kill %1; fg; echo code: $?");
    assert_eq!(screen.line_after("code: "), "143");
    screen.leaves();
}

#[test]
fn a_stop_that_follows_a_continue_at_once_is_not_lost() {
    for _ in 0..10 {
        let mut screen = Screen::of_shell();
        screen.line("$D -- cat &");
        screen.all_are("cat", 1, b'T');
        screen.all_are(&crate::binary::name(), 1, b'T');
        screen.line("kill -CONT %1; kill -TSTP %1");
        // The shell takes the job for a running one until it hears of the stop.
        screen.line("until jobs | grep -q Stopped; do :; done; echo halted: $((6 * 7))").shows("halted: 42");
        screen.line("fg").line("hello").shows("hello\r\n");
        screen.types(CTRL_D).line("echo code: $?");
        assert_eq!(screen.line_after("code: "), "0");
        screen.leaves();
    }
}

#[test]
fn ctrl_z_brings_the_shell_back_from_a_command_that_is_stopped_already() {
    let mut screen = Screen::of_shell();
    screen.line("$D -- sh -c 'kill -STOP $$; echo on' | cat");
    screen.all_are("sh", 1, b'T');
    screen.types(CTRL_Z).shows("Stopped");
    screen.line("fg").shows("on\r\n");
    screen.line("$D -- $W ready hold &").shows("ready ");
    drainit::sys::kill::send(screen.named("fake-workload")[0].pid, drainit::signal::Signal::STOP)
        .expect("there");
    screen.all_are("fake-workload", 1, b'T');
    screen.line("fg");
    screen.is_given_away();
    screen.types(CTRL_Z).shows("Stopped");
    screen.line("fg");
    screen.all_are("fake-workload", 1, b'S');
    screen.is_given_away();
    screen.types(CTRL_C).is_back();
    screen.leaves();
}

#[test]
fn processes_that_the_command_left_behind_stand_for_it() {
    let mut screen = Screen::of_shell();
    screen.line("$D --wait-for-all -- $W child{ ready hold } exit=4").shows("ready ");
    screen.all_are("fake-workload", 1, b'S');
    screen.types(CTRL_Z).shows("Stopped");
    all_are(&screen, 1, 1, b'T');
    screen.line("bg");
    all_are(&screen, 1, 1, b'S');
    screen.line("fg");
    screen.is_given_away();
    screen.types(CTRL_Z).shows("Stopped");
    all_are(&screen, 1, 1, b'T');
    screen.line("fg");
    all_are(&screen, 1, 1, b'S');
    screen.is_given_away();
    screen.types(CTRL_C).is_back();
    screen.line("echo code: $?");
    assert_eq!(screen.line_after("code: "), "4");
    screen.leaves();
}

#[test]
fn ctrl_c_ends_a_script_also_when_its_command_has_got_the_terminal() {
    for shell in ["bash", "sh"] {
        let mut screen = Screen::of_shell();
        screen
            .line(&format!("{shell} -c 'for i in 1 2 3; do $D --propagate-signal cat; echo next: $i; done'"));
        screen.line("one").shows("one\r\n");
        screen.types(CTRL_C).is_back();
        screen.line("echo code: $?");
        assert!(!screen.shows("code: 130").contains("next"), "{shell}");
        screen.leaves();
    }
}

#[test]
fn a_stop_without_a_terminal_left_stops_nothing() {
    let (gate, done) = (Gate::closed(), Gate::closed());
    let mut screen = Screen::of_shell();
    let text =
        format!("$W ignore=HUP ready await={}; kill -TSTP $$; $W exit=0; : >{}", gate.path(), done.path());
    screen.line(&format!("$D -- sh -c 'trap \"\" HUP; {text}'")).shows("ready ");
    drainit::sys::kill::send(screen.leader(), drainit::signal::Signal::KILL).expect("it is there");
    screen.ended();
    gate.open();
    done.opened();
}

#[test]
fn a_background_reader_that_no_shell_can_continue_does_not_stay() {
    let (pid, gate) = (Gate::closed(), Gate::closed());
    let mut screen = Screen::of_shell();
    let script = format!("echo $$ >{}; $W await={}; cat </dev/tty", pid.path(), gate.path());
    screen.line(&format!("( $D -- sh -c '{script}' & )"));
    let pid = pid.text().trim().parse().expect("a pid");
    screen.is_back().line("echo up: $((6 * 7))").shows("up: 42");
    gate.open();
    wait_until("it has gone", || drainit::processes::look_at(pid).is_none().then_some(()));
    screen.leaves();
}

#[test]
fn a_background_reader_that_no_shell_can_continue_ends_as_it_would_without_an_init() {
    // Alone; under another drainit; as the leader of a group, which may not leave its session; in the group of a script that goes on.
    for start in [
        "( $D -- READER & )",
        "( $D -- $D -- READER & )",
        "( set -m; $D -- READER & )",
        "( sh -c '$D -- READER; echo $$ >NEXT; exec $W hold' & )",
    ] {
        let (pid, gate, log) = (Gate::closed(), Gate::closed(), Gate::closed());
        let (reader, next) = (Gate::closed(), Gate::closed());
        let script = format!(
            "trap '' HUP\necho $$ >{}\n{} await={}\nread x </dev/tty; echo code: $? >{}\n",
            pid.path(),
            env!("CARGO_BIN_EXE_fake-workload"),
            gate.path(),
            log.path()
        );
        std::fs::write(reader.path(), script).expect("our own folder");
        let mut screen = Screen::of_shell();
        let start = start.replace("READER", &format!("sh {}", reader.path())).replace("NEXT", &next.path());
        screen.line(&start);
        let main: i32 = pid.text().trim().parse().expect("a pid");
        let drainit = drainit::processes::look_at(main).expect("it is there").parent;
        screen.is_back().line("echo up: $((6 * 7))").shows("up: 42");
        gate.open();
        // Its read has failed, as in an orphaned group.
        let code = log.text();
        assert!(code != "code: 0\n", "{start}: {code}");
        let is_gone = |pid| drainit::processes::look_at(pid).is_none();
        wait_until("both have gone", || (is_gone(main) && is_gone(drainit)).then_some(()));
        // What the script goes on to.
        if start.contains("hold") {
            let next = next.text().trim().parse().expect("a pid");
            drainit::sys::kill::send(next, drainit::signal::Signal::KILL).expect("it is there");
        }
        screen.leaves();
    }
}

#[test]
fn two_readers_of_a_pipeline_take_turns() {
    let mut screen = Screen::of_shell();
    let reader = |name: &str| format!("$D -- sh -c 'read x </dev/tty; echo {name}=$x >/dev/tty'");
    screen.line(&format!("{} | {}", reader("left"), reader("right")));
    screen.line("one");
    let first = if screen.shows("=one").contains("left") { "right" } else { "left" };
    screen.line("two").shows(&format!("{first}=two"));
    screen.is_back();
    screen.leaves();
}

#[test]
fn a_step_that_writes_from_the_background_is_heard_and_one_that_reads_fails() {
    let mut screen = Screen::of_shell();
    let steps = "--pre-stop-timeout=1m --pre-stop 'echo said: it' --pre-stop 'sh -c \"read x </dev/tty || echo read: no\"'";
    screen.line(&format!("stty tostop; $D {steps} -- $W ready hold")).shows("ready ");
    drainit::sys::kill::send(screen.named(&crate::binary::name())[0].pid, drainit::signal::Signal::TERM)
        .expect("there");
    screen.shows("said: it");
    screen.shows("read: no");
    screen.is_back();
    screen.leaves();
}
