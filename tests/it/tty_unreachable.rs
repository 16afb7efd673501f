//! A terminal that no process can give to the command: a call that wants it fails, as without an init, even if drainit is not told that a
//! process is stopped.

use std::time::Duration;

use drainit::plan::processes::Process;
use drainit::processes::look_at;
use drainit::signal::Signal;
use drainit::sys::{kill, process};

use crate::harness::{DRAINIT, Gate, WORKLOAD, stays, wait_until};
use crate::idle::{Wait, wait_of};
use crate::shells::is_installed;
use crate::terminal::Screen;

/// The command ignores TTIN and TTOU, or catches them. Its child does not, and reads or writes.
const SHELL: &str = "trap '' HUP
trap HOW TTIN TTOU
( trap - TTIN TTOU; WORKLOAD await=GATE; DOES; echo $? >READ ) &
child=$!
echo $child $$ >PIDS
while kill -0 $child 2>/dev/null; do wait $child; done
exit 3
";

/// The command ignores TTIN, and waits for its child to be stopped (WUNTRACED). On TERM it ends its child, and waits for that.
const PYTHON: &str = "import os, signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_IGN)
def read():
    signal.signal(signal.SIGTTIN, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while not os.path.exists('GATE'):
        time.sleep(.01)
    try:
        os.read(os.open('/dev/tty', os.O_RDONLY), 1)
        code = 0
    except OSError as error:
        code = error.errno
    write('READ', code)
    os._exit(0)
def write(path, *words):
    with open(path + '~', 'w') as file:
        print(*words, file=file)
    os.rename(path + '~', path)
def hold_the_terminal():
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(os.open('/dev/tty', os.O_RDWR), os.getpid())
    os.write(ready[1], b'x')
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv('WORKLOAD', ['holder', 'hold'])
signal.signal(signal.SIGTTIN, signal.SIG_IGN)
if 'HOW' == 'holder':
    ready = os.pipe()
    if os.fork() == 0:
        hold_the_terminal()
    os.read(ready[0], 1)
child = os.fork()
if child == 0:
    read()
signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
write('PIDS', child, os.getpid())
if 'HOW' == 'goes':
    sys.exit(3)
while True:
    _, status = os.waitpid(child, os.WUNTRACED)
    if not os.WIFSTOPPED(status) or 'HOW' == 'leaves':
        sys.exit(3)
";

/// A program that has a child that reads.
struct Reader {
    program: &'static str,
    text: &'static str,
    how: &'static str,
    does: &'static str,
}

const READ: &str = "read x </dev/tty";
const IGNORES: Reader = Reader { program: "sh", text: SHELL, how: "''", does: READ };
const CATCHES: Reader = Reader { how: ":", ..IGNORES };
/// Under `stty tostop`.
const WRITES: Reader = Reader { does: "echo word >/dev/tty", ..IGNORES };
const TAKES_THE_NEWS: Reader = Reader { program: "python3", text: PYTHON, how: "stays", does: "" };
const LEAVES: Reader = Reader { how: "leaves", ..TAKES_THE_NEWS };
const GOES: Reader = Reader { how: "goes", ..TAKES_THE_NEWS };
const HOLDER: Reader = Reader { how: "holder", ..TAKES_THE_NEWS };

/// A reader that was started.
struct Run {
    screen: Screen,
    begin: Gate,
    /// Opened when the child is to read.
    gate: Gate,
    /// Whether its read failed: not 0.
    read: Gate,
    pids: Gate,
    program: Gate,
}

impl Reader {
    /// Starts it by this line, in which `READER` stands for it, and `BEGIN` for a file that is there when the shell has the terminal again. `None`
    /// if its program is not there.
    fn start(&self, line: &str) -> Option<Run> {
        let mut run = self.start_in(line, |line| {
            let mut screen = Screen::of_shell();
            screen.line(line).line("echo next: $((6 * 7))").shows("next: 42");
            screen
        })?;
        run.screen.is_back();
        run.begin.open();
        Some(run)
    }

    /// The same in a nested shell, which can end while the terminal stays.
    fn start_nested(&self, line: &str) -> Option<Run> {
        self.start_in(line, |line| {
            let mut screen = Screen::of_shell();
            screen.line("trap '' HUP; bash --norc --noprofile --noediting -i; echo outer: $((6 * 7))");
            screen.line("echo inner: $((6 * 7))").shows("inner: 42");
            screen.line(line);
            screen
        })
    }

    fn start_in(&self, line: &str, start: impl Fn(&str) -> Screen) -> Option<Run> {
        if !is_installed(self.program) {
            return None;
        }
        let [begin, gate, read, pids, program] = [(); 5].map(|()| Gate::closed());
        let mut text = self.text.to_owned();
        for (word, value) in [
            ("WORKLOAD", WORKLOAD.to_string()),
            ("GATE", gate.path()),
            ("READ", read.path()),
            ("PIDS", pids.path()),
            ("HOW", self.how.to_owned()),
            ("DOES", self.does.to_owned()),
        ] {
            text = text.replace(word, &value);
        }
        std::fs::write(program.path(), text).expect("our own folder");
        let line = line.replace("READER", &format!("{} {}", self.program, program.path()));
        let line = line.replace("BEGIN", &begin.path());
        Some(Run { screen: start(&line), begin, gate, read, pids, program })
    }
}

impl Run {
    /// The child, the command, and drainit.
    fn pids(&self) -> [i32; 3] {
        let text = self.pids.text();
        let pids: Vec<i32> = text.split_whitespace().map(|word| word.parse().expect("a pid")).collect();
        let drainit = look_at(pids[1]).expect("it is there").parent;
        [pids[0], pids[1], drainit]
    }

    fn child_is_stopped(&self) -> i32 {
        let [child, ..] = self.pids();
        self.gate.open();
        wait_until("the child is stopped", || look_at(child).filter(Process::is_stopped));
        child
    }

    /// The nested shell ends, and leaves its job behind.
    fn inner_shell_exits(&mut self) {
        self.screen.line("exit").shows("outer: 42");
    }

    /// Its read fails, and then all of them end.
    fn fails(mut self, pids: [i32; 3], what: &str) {
        assert_ne!(self.read.text(), "0\n", "{what}");
        wait_until(what, || pids.iter().all(|&pid| is_gone(pid)).then_some(()));
        self.screen.is_back();
        for left in self.screen.rest() {
            let _ = kill::send(left, Signal::KILL);
        }
        wait_until("the rest is gone", || self.screen.rest().is_empty().then_some(()));
        self.screen.leaves();
    }
}

fn is_gone(pid: i32) -> bool {
    look_at(pid).is_none_or(|process| !process.is_alive())
}

/// It has found nothing to do, and no look is to come.
fn has_looked(drainit: i32) {
    wait_until("drainit is idle", || (wait_of(drainit) == Some(Wait::ForEver)).then_some(()));
}

fn leads_a_session(pid: i32) -> bool {
    process::session_of(pid) == Some(pid)
}

const STARTS: [&str; 5] = [
    "( $D -- READER & )",
    "( set -m; $D -- READER & )",
    "( $D -- $D -- READER & )",
    "( $D -p URG -- READER & )",
    // The leader of drainit's group has ended, and its parent does not reap it.
    "( set -m; sh -c '$D -- READER & :' & exec $W hold ) &",
];

#[test]
fn a_process_below_the_command_fails_to_read_as_without_an_init() {
    for start in STARTS {
        for reader in [IGNORES, CATCHES, WRITES, TAKES_THE_NEWS] {
            let Some(run) = reader.start(&format!("stty tostop; {start}")) else { continue };
            let pids = run.pids();
            wait_until("drainit has left the session", || leads_a_session(pids[2]).then_some(()));
            has_looked(pids[2]);
            run.gate.open();
            run.fails(pids, start);
        }
    }
}

#[test]
fn the_end_of_the_shell_makes_a_reader_fail_that_it_could_have_continued() {
    for reader in [IGNORES, CATCHES, TAKES_THE_NEWS] {
        // The child reads after the shell's end, and then before it.
        let Some(mut run) = reader.start_nested("$D -- READER &") else { continue };
        let pids = run.pids();
        run.inner_shell_exits();
        wait_until("drainit has left the session", || leads_a_session(pids[2]).then_some(()));
        run.gate.open();
        run.fails(pids, "after the shell's end");

        let mut run = reader.start_nested("$D -- READER &").expect("it is installed");
        let pids = run.pids();
        run.child_is_stopped();
        run.inner_shell_exits();
        run.fails(pids, "before the shell's end");
    }
}

#[test]
fn what_the_command_has_left_behind_stopped_fails_to_read_too() {
    // The script leads drainit's group, and goes on, so drainit does not leave the session in advance.
    let script = "( set -m; sh -c '$W await=BEGIN; $D --wait-for-all -- READER; exec $W hold' & )";
    let Some(run) = LEAVES.start(script) else { return };
    let pids = run.pids();
    has_looked(pids[2]);
    run.gate.open();
    run.fails(pids, script);
    // drainit is told that an orphan is stopped.
    let orphan = "( set -m; sh -c '$W await=BEGIN; $D -- sh -c \"READER; exec $W ignore=TTIN ready hold\"; exec $W hold' & )";
    let mut run = GOES.start(orphan).expect("it is installed");
    run.screen.shows("ready");
    let pids = run.pids.text();
    let child = pids.split(' ').next().and_then(|child| child.parse().ok()).expect("a pid");
    has_looked(look_at(child).expect("it is there").parent);
    run.gate.open();
    assert_ne!(run.read.text(), "0\n");
    run.screen.is_back();
}

#[test]
fn the_leader_of_a_pipeline_lets_its_command_fail_each_time() {
    let reads = "sh -c 'trap \"\" HUP; echo $$ >PIDS; W await=GATE; for i in 1 2; do read x </dev/tty; done; echo $? >READ'";
    let [gate, read, pids] = [(); 3].map(|()| Gate::closed());
    let reads = reads.replace("PIDS", &pids.path()).replace("READ", &read.path());
    let reads = reads.replace("W await=GATE", &format!("{WORKLOAD} await={}", gate.path()));
    let mut screen = Screen::of_shell();
    screen.line("trap '' HUP; bash --norc --noprofile --noediting -i; echo outer: $((6 * 7))");
    screen.line("echo inner: $((6 * 7))").shows("inner: 42");
    screen.line(&format!("$D -- {reads} | cat &"));
    let main: i32 = pids.text().trim().parse().expect("a pid");
    let drainit = look_at(main).expect("it is there").parent;
    screen.line("exit").shows("outer: 42");
    gate.open();
    assert_ne!(read.text(), "0\n");
    wait_until("both have gone", || (is_gone(main) && is_gone(drainit)).then_some(()));
    screen.leaves();
}

/// drainit does not hear that the child is stopped, and others of its group may still need it there.
const UNNOTICED: &str = "( set -m; sh -c '$W await=BEGIN; $D -- READER; exec $W hold' & )";

#[test]
fn a_continue_or_a_stop_request_ends_what_no_look_has_found() {
    for reader in [IGNORES, TAKES_THE_NEWS] {
        for signal in [Signal::CONT, Signal::TERM] {
            let Some(run) = reader.start(UNNOTICED) else { continue };
            let pids = run.pids();
            has_looked(pids[2]);
            run.child_is_stopped();
            // `kill 0` in the script is to reach drainit.
            stays(Duration::from_millis(100), || {
                look_at(pids[0]).is_some_and(|child| child.is_stopped())
                    && look_at(pids[2]).is_some_and(|drainit| drainit.group != drainit.pid)
            });
            kill::send(pids[2], signal).expect("it is there");
            wait_until("they end", || pids.iter().all(|&pid| is_gone(pid)).then_some(()));
            if signal == Signal::CONT {
                assert_ne!(run.read.text(), "0\n");
            }
        }
    }
}

#[test]
fn a_stop_request_ends_what_a_leader_of_the_session_cannot_let_go() {
    let Some(mut run) = HOLDER.start_in("", |_| Screen::of(&["true"])) else { return };
    run.screen.ended();
    let program = run.program.path();
    run.screen = Screen::of(&[*DRAINIT, "--", "python3", &program]);
    let [.., drainit] = run.pids();
    let child = run.child_is_stopped();
    // The process that has the foreground may have to read, so drainit does not take the terminal away from its group.
    stays(Duration::from_millis(100), || look_at(child).is_some_and(|child| child.is_stopped()));
    kill::send(drainit, Signal::TERM).expect("it is there");
    assert_eq!(run.screen.ended(), 3);
}

#[test]
fn a_shell_keeps_a_job_that_it_can_bring_to_the_foreground() {
    let shells: [&[&str]; 4] = [
        &["bash", "--norc", "--noprofile", "--noediting", "-i"],
        &["dash", "-i"],
        &["zsh", "-f", "-i"],
        &["bash", "-c", "set -m; eval \"$LINE\"; wait; wait"],
    ];
    for shell in shells {
        for reader in [IGNORES, TAKES_THE_NEWS] {
            if !is_installed(shell[0]) {
                continue;
            }
            let start = |line: &str| {
                if shell.contains(&"-c") {
                    let script = shell[2].replace("\"$LINE\"", &format!("'{line}'"));
                    return Screen::of(&["bash", "-c", &script]);
                }
                let mut screen = Screen::of(shell);
                screen.line(line);
                screen
            };
            let Some(run) = reader.start_in("$D -- READER &", start) else { continue };
            let pids = run.pids();
            let child = run.child_is_stopped();
            // Nor is it let go when drainit gets a CONT.
            kill::send(pids[2], Signal::CONT).expect("it is there");
            wait_until("it has tried again", || look_at(child).filter(Process::is_stopped));
            stays(Duration::from_millis(200), || {
                process::session_of(pids[2]) == Some(run.screen.leader())
                    && look_at(child).is_some_and(|child| child.is_alive())
            });
            wait_until("it is stopped", || look_at(child).filter(Process::is_stopped));
            assert!(!std::path::Path::new(&run.read.path()).exists(), "{shell:?}");
            kill::send(child, Signal::KILL).expect("it is there");
            wait_until("they end", || pids.iter().all(|&pid| is_gone(pid)).then_some(()));
        }
    }
}

/// The socket of a tmux server, which outlives its client.
struct Tmux(Gate);

impl Drop for Tmux {
    fn drop(&mut self) {
        if is_installed("tmux") {
            let mut end = std::process::Command::new("tmux");
            let _ = end.args(["-S", &self.0.path(), "kill-server"]).output();
        }
    }
}

#[test]
fn job_control_is_that_of_any_shell_and_in_any_terminal() {
    const BASH: [&str; 5] = ["bash", "--norc", "--noprofile", "--noediting", "-i"];
    let shells: [&[&str]; 6] = [
        &BASH,
        &["dash", "-i"],
        &["zsh", "-f", "-i"],
        // A nested shell.
        &["sh", "-c", "bash --norc --noprofile --noediting -i; :"],
        &["script", "-qec", "bash --norc --noprofile --noediting -i", "/dev/null"],
        &["tmux", "-S", "SOCKET", "-f", "/dev/null", "new", "PS1= bash --norc --noprofile --noediting -i"],
    ];
    let tmux = Tmux(Gate::closed());
    let socket = tmux.0.path();
    for shell in shells {
        if !is_installed(shell[0]) {
            continue;
        }
        let shell = shell.iter().map(|word| if *word == "SOCKET" { &socket } else { *word });
        let shell: Vec<&str> = shell.collect();
        let mut screen = Screen::of(&[&["env", "TERM=xterm"], &shell[..]].concat());
        let (pid, log) = (Gate::closed(), Gate::closed());
        screen.line("echo up: $((6 * 7))").shows("up: 42");
        let reads = format!("echo $$ >{}; read a; read b; echo $a $b >{}", pid.path(), log.path());
        screen.line(&format!("$D -- sh -c '{reads}' &"));
        let main: i32 = pid.text().trim().parse().expect("a pid");
        let drainit = look_at(main).expect("it is there").parent;
        for pid in [main, drainit] {
            wait_until("it is stopped", || look_at(pid).filter(Process::is_stopped));
        }
        screen.line("echo halted: $((6 * 7))").shows("halted: 42");
        screen.line("fg");
        wait_until("it goes on", || look_at(main).filter(|main| !main.is_stopped()));
        screen.line("one").line("two");
        assert_eq!(log.text(), "one two\n", "{shell:?}");
        screen.line("echo down: $((6 * 7))").shows("down: 42");
        screen.line("exit").ended();
    }
}

#[test]
fn a_command_in_the_foreground_stays_there_when_its_shell_is_gone() {
    let mut screen = Screen::of_shell();
    screen.line("trap '' HUP; sh -c 'bash --norc --noprofile --noediting -i; $W hold'");
    screen.line("echo inner: $((6 * 7))").shows("inner: 42");
    screen.line("$D -- sh -c 'trap \"\" HUP; read a; echo a=$a; read b; echo b=$b'");
    screen.line("one").shows("a=one");
    let inner = screen.named("bash")[0].pid;
    let drainit = screen.named(&crate::binary::name())[0].pid;
    kill::send(inner, Signal::KILL).expect("it is there");
    wait_until("it has a new parent", || {
        look_at(drainit).filter(|drainit| drainit.parent != inner).map(|_| ())
    });
    screen.line("two").shows("b=two");
    wait_until("it ends", || is_gone(drainit).then_some(()));
}
