//! The fake program: what the tests run as the workload of a container.
//!
//! Its arguments are directives. All are read before the first is carried out; then they are carried out left to right,
//! and after the last one it exits 0. Signals are handled between two directives and while one of them waits.
//!
//! A wrong directive: one line on stderr that names it, exit 64, nothing carried out. A directive that the system
//! refuses (no /proc, no more processes): one line on stderr, exit 71.
//!
//! Every line goes to stdout in one write(2), unbuffered, so that several processes can share a pipe. Errors of that
//! write are ignored, also SIGPIPE, whatever its disposition.
//!
//! `SIGS` is `SIG[,SIG]` (`TERM`, `SIGTERM`, `15`, `RTMIN+3`) without KILL and STOP; `SET` is `SIGS`, or `all` for all
//! that this leaves. `DELAY` and `DURATION` are spelled as `10s`, `1m30s`, `200ms`.
//!
//! | Directive | Effect |
//! |---|---|
//! | `name=NAME` | Begins every line from here on with `NAME `. Children have no name until they are given one. |
//! | `ignore=SET`, `default=SET` | Sets the disposition. The mask stays as it is. |
//! | `block=SET` | Adds to the mask. |
//! | `catch=SIGS` | Installs a handler: prints `got SIG` each time and goes on. |
//! | `catch=SIGS:DELAY[:CODE]` | Prints `got SIG`; DELAY after the first one prints `finished` and exits CODE (0). |
//! | `once=SIGS:DELAY[:CODE]` | Go's `signal.NotifyContext`: as above, but the first one also gives the signal its default action back, so that a second one kills. |
//! | `take=SET` | Blocks the signals and takes them by sigtimedwait(2): prints `got SIG` for each. Any of the 62, also 32 and 33. |
//! | `child{ … }` | Starts itself again with the directives up to the matching `}`; `child{` is one argument, `}` another. They nest. |
//! | `group{ … }` | The same, as the leader of a process group. |
//! | `session{ … }` | The same, as the leader of a session, which it is before the next directive here begins. |
//! | `orphan{ … }` | Starts it through a process that exits at once, and that is gone before the next directive begins, here and there. |
//! | `daemon{ … }` | An orphan that leads a session. |
//! | `child*1000{ … }` | Any of the five, that many times. |
//! | `zombies=N` | Starts N children that exit at once, waits until they have, and never reaps them. |
//! | `ready` | Prints `ready PID`, its own as it sees it. |
//! | `say=TEXT` | Prints TEXT. |
//! | `state` | Prints `state pid=.. ppid=.. pgrp=.. sid=.. tpgid=.. SigBlk=<hex> SigIgn=<hex> SigCgt=<hex>` out of `/proc/self`. |
//! | `fds` | Prints `fds 0 1 2`: the open descriptors, without the one for looking and those that `catch` and `once` need. |
//! | `env=NAME` | Prints `env NAME=value` or `env NAME unset`. |
//! | `cwd` | Prints `cwd /path`. |
//! | `ids` | Prints `ids uid=.. gid=.. groups=..,..`. |
//! | `argv` | Prints its remaining arguments as `argv ["a", "b"]` and exits 0: they are no directives. |
//! | `sleep=DURATION` | Waits. |
//! | `wait` | Waits until the children of `child{`, `group{` and `session{` are gone. Nothing else reaps them. |
//! | `await=PATH` | Waits until the path exists. |
//! | `hold` | Waits for ever. |
//! | `stop` | Sends itself SIGSTOP. |
//! | `exit=N` | Exits N. |
//! | `die=SIG` | Sends itself the signal, unblocked and at its default; goes on where that does not kill. Takes KILL and STOP too. |
//!
//! What a child inherits is what std::process::Command passes on: the environment, the descriptors 0 to 2 (and others
//! without close-on-exec), ignored signals and the mask; but not an ignored SIGPIPE, which gets its default back. What
//! `take` blocks stays blocked in children, and they do not take it.
//!
//! With `ignore=CHLD` the kernel leaves no zombies, so `zombies=` makes none.
//!
//! `catch` and `once` refuse what signal-hook refuses (KILL, STOP, ILL, FPE, SEGV) and what the C library keeps for
//! itself (32, 33). A signal that was caught and then given another disposition (by `ignore`, `default`, `once` or
//! `die`) cannot be caught again.

#![cfg_attr(not(test), no_main)]

mod catch;
mod directive;
mod line;
mod look;
mod start;
mod workload;

use std::ffi::OsString;

#[cfg(not(test))]
drainit::entry!(run);

/// EX_USAGE and EX_OSERR of sysexits.h.
const WRONG_DIRECTIVE: u8 = 64;
const REFUSED: u8 = 71;

fn run(mut args: Vec<OsString>) -> u8 {
    let directives = args.split_off(args.len().min(1));
    let program = args.pop().unwrap_or_default();
    match directive::parse(&directives) {
        Ok(directives) => workload::Workload::new(program).run(&directives),
        Err(wrong) => {
            line::complain(&wrong.to_string());
            WRONG_DIRECTIVE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit_code(directives: &[&str]) -> u8 {
        run(["fake-workload"].iter().chain(directives).map(OsString::from).collect())
    }

    #[test]
    fn the_exit_code_is_what_the_directives_say() {
        assert_eq!(exit_code(&[]), 0);
        assert_eq!(exit_code(&["sleep=1ms", "exit=3", "exit=4"]), 3);
    }

    #[test]
    fn nothing_is_carried_out_where_a_later_directive_is_wrong() {
        assert_eq!(exit_code(&["exit=3", "hodl"]), WRONG_DIRECTIVE);
        assert_eq!(exit_code(&["exit=3", "child{", "sleep=1", "}"]), WRONG_DIRECTIVE);
    }
}
