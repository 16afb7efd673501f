//! Processes in words: "bash (7) sleeping, catches TERM, waits for its foreground command sleep (9)". Pure.

use super::{Attitude, Process};
use crate::signal::Signal;

/// Shells run the trap for a signal when the command that they wait for has ended (POSIX, `trap`).
const SHELLS: [&str; 8] = ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "busybox"];

/// One process; `attitude` is what it does about the signal, `everyone` is who else is left.
#[must_use]
pub fn describe(process: &Process, attitude: Option<(Attitude, Signal)>, everyone: &[Process]) -> String {
    let mut text = format!("{} ({}) {}", process.name, process.pid, state(process.state));
    if let Some((attitude, signal)) = attitude {
        text.push_str(&format!(", {attitude} {signal}"));
        let child = foreground_command(process, everyone).filter(|_| attitude == Attitude::Catches);
        if let Some(child) = child {
            text.push_str(&format!(", waits for its foreground command {} ({})", child.name, child.pid));
        }
    }
    text
}

/// What a shell waits for before it runs a trap.
fn foreground_command<'a>(shell: &Process, everyone: &'a [Process]) -> Option<&'a Process> {
    let name = shell.name.to_string();
    let is_shell = SHELLS.contains(&name.trim_start_matches('-'));
    everyone.iter().find(|child| is_shell && child.parent == shell.pid && child.is_alive())
}

/// The kernel's letter in words (proc(5)).
fn state(letter: u8) -> &'static str {
    match letter {
        b'R' => "running",
        b'S' | b'I' => "sleeping",
        b'D' => "in the kernel (D)",
        b'T' => "stopped",
        b't' => "traced",
        b'Z' | b'X' => "dead",
        _ => "in an unknown state",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, name: &str) -> Process {
        let stat = format!("{pid} ({name}) S {parent} 7 1 0 0 0 0 0 0 0 0 0 0 0 20 0 1 0 100");
        Process::parse(stat.as_bytes()).expect("a good line")
    }

    #[test]
    fn a_shell_with_a_trap_names_what_it_waits_for() {
        let everyone = [process(7, 1, "bash"), process(9, 7, "pg_dump"), process(10, 9, "gzip")];
        let says = |at: usize, attitude| {
            let process = everyone.get(at).expect("one of three");
            describe(process, Some((attitude, Signal::TERM)), &everyone)
        };
        assert_eq!(
            says(0, Attitude::Catches),
            "bash (7) sleeping, catches TERM, waits for its foreground command pg_dump (9)"
        );
        assert_eq!(says(0, Attitude::Ignores), "bash (7) sleeping, ignores TERM");
        assert_eq!(says(1, Attitude::Catches), "pg_dump (9) sleeping, catches TERM", "no shell");
        assert_eq!(describe(&process(7, 1, "a\nb"), None, &[]), "a\\nb (7) sleeping");
    }
}
