//! The facts that the rules need, read from /proc. What the texts mean is decided by pure functions.
//!
//! The kernel answers everything here from its own memory: links are read and never followed, because the file behind one may belong to a
//! file system that does not answer.

use std::ffi::c_long;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{shown, status};
use crate::plan::processes::Process;
use crate::plan::processes::facts::{Call, Fact, Facts, Outputs, Status, Stdin};
use crate::plan::processes::ignoring::Closer;
use crate::plan::processes::shells::Shell;
use crate::sys::{process as own, procfs};

/// The null device, as its link names it.
const NULL: &[u8] = b"/dev/null";

/// The pipe that is drainit's own stdin: it was there before the command, so no descendant writes into it.
#[must_use]
pub fn own_stdin() -> Option<u64> {
    pipe_of(own::id(), "fd/0")
}

/// Reads one fact of a process. `own_stdin` is the result of [`own_stdin`].
pub fn read(process: &Process, fact: Fact, own_stdin: Option<u64>, facts: &mut Facts) {
    let pid = process.pid;
    match fact {
        Fact::Status => facts.status = Some(status_of(pid)),
        Fact::Call => facts.call = Some(call_of(pid)),
        Fact::Shell => {
            let file = procfs::link(pid, "exe");
            facts.shell = Some(Shell::of(file.as_deref(), process.name.bytes()));
        }
        Fact::Stdin => {
            facts.stdin = Some(match stdin_of(pid) {
                // It has no writer to look for, and is the same for every process that shares it.
                Stdin::Pipe(pipe) if Some(pipe) == own_stdin => Stdin::Other(pipe),
                other @ (Stdin::Pipe(_)
                | Stdin::Closed
                | Stdin::Hidden
                | Stdin::ReadOnlyNull
                | Stdin::Other(_)) => other,
            });
        }
        Fact::Outputs => {
            facts.outputs = Some(Outputs([pipe_of(pid, "fd/1"), pipe_of(pid, "fd/2")]));
        }
    }
}

/// What `status` shows now; nothing for a process that is gone.
#[must_use]
pub fn status_of(pid: i32) -> Status {
    let Some(text) = procfs::whole_file(pid, "status") else { return Status::default() };
    let status = shown::status_without_zeros(status::parse(&text));
    // Any thread may take a signal that was sent to the process, and this file counts for the first thread alone.
    let is_alone = status::value(&text, b"Threads:").is_none_or(|threads| threads == "1");
    let switches = if is_alone { status.switches } else { switches_of_threads(pid) };
    Status { switches, ..status }
}

/// If a process has more threads than this, they are not read, and how often it has gone to sleep counts as unknown.
const THREADS: usize = 128;

fn switches_of_threads(pid: i32) -> Option<u64> {
    let threads = procfs::threads(pid)?;
    let switches = |thread: &i32| {
        let text = procfs::whole_file(pid, &format!("task/{thread}/status"))?;
        status::parse(&text).switches
    };
    if threads.len() > THREADS {
        return None;
    }
    threads.iter().map(switches).sum()
}

/// What has to be known of a process before it counts as one that ignores the signal.
#[must_use]
pub fn closer(process: &Process) -> Closer {
    let pid = process.pid;
    Closer { status: status_of(pid), call: call_of(pid), moved: moved_by(process) }
}

/// The bytes that it has read and written; `None` if reading them is not allowed.
#[must_use]
pub fn moved_by(process: &Process) -> Option<u64> {
    procfs::whole_file_as_owner(process.pid, "io").and_then(|text| moved(&text))
}

/// Whether it takes signals in `rt_sigtimedwait` just now.
#[must_use]
pub fn awaits_signals(pid: i32) -> bool {
    call_of(pid) == Call::AwaitsSignals
}

/// The file is short, whatever the process does, so reading it allocates nothing.
fn call_of(pid: i32) -> Call {
    let mut buffer = procfs::buffer();
    let of = |text: &[u8]| match call(text) {
        Call::Reads(_) => {
            let descriptor = argument(text, 1).filter(|_| argument(text, 3) != Some(1));
            Call::Reads(descriptor.and_then(|number| pipe_of(pid, &format!("fd/{number}"))))
        }
        other @ (Call::AwaitsSignals
        | Call::AwaitsChild
        | Call::Suspended
        | Call::Running
        | Call::Other
        | Call::Hidden) => other,
    };
    match procfs::system_call(pid, &mut buffer) {
        Some(text) => of(text),
        None => procfs::whole_file_as_owner(pid, "syscall").map_or(Call::Hidden, |text| of(&text)),
    }
}

/// An argument of a call, counted from 1, if it is small enough for a descriptor.
fn argument(text: &[u8], number: usize) -> Option<u32> {
    let word = text.split(u8::is_ascii_whitespace).nth(number)?.strip_prefix(b"0x")?;
    u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()
}

/// `NUMBER ARGUMENTS...`, or `running`, or -1 if the process is blocked outside of a call.
#[must_use]
pub fn call(text: &[u8]) -> Call {
    if text.starts_with(b"running") {
        return Call::Running;
    }
    let number = text.split(u8::is_ascii_whitespace).next().and_then(|word| std::str::from_utf8(word).ok());
    number.and_then(|word| word.parse().ok()).map_or(Call::Hidden, by_number)
}

/// The calls that show what a process waits for.
const CALLS: [(c_long, Call); 6] = [
    (procfs::RT_SIGTIMEDWAIT, Call::AwaitsSignals),
    (procfs::RT_SIGTIMEDWAIT_TIME64, Call::AwaitsSignals),
    (procfs::WAIT4, Call::AwaitsChild),
    (procfs::WAITID, Call::AwaitsChild),
    (procfs::RT_SIGSUSPEND, Call::Suspended),
    (procfs::READ, Call::Reads(None)),
];

fn by_number(number: c_long) -> Call {
    CALLS.iter().find(|(known, _)| *known == number).map_or(Call::Other, |&(_, call)| call)
}

/// The bytes that it has read and written, through files, pipes and sockets alike (`rchar`, `wchar`).
#[must_use]
pub fn moved(text: &[u8]) -> Option<u64> {
    let value = |name: &[u8]| {
        let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name))?;
        std::str::from_utf8(line).ok()?.trim().parse::<u64>().ok()
    };
    Some(value(b"rchar:")?.saturating_add(value(b"wchar:")?))
}

fn stdin_of(pid: i32) -> Stdin {
    let Some(link) = procfs::link(pid, "fd/0") else {
        // Without permission, even the folder cannot be read.
        return if procfs::link(pid, "cwd").is_some() { Stdin::Closed } else { Stdin::Hidden };
    };
    if let Some(pipe) = pipe_number(&link) {
        return Stdin::Pipe(pipe);
    }
    // Read only for the null device. For other files their driver writes this text, and some drivers wait for a lock that a process can hold
    // (epoll(7)).
    let info = if link == NULL { procfs::whole_file_as_owner(pid, "fdinfo/0") } else { None };
    stdin(&link, info.as_deref().unwrap_or_default())
}

/// What descriptor 0 is, from its link and its `fdinfo`.
#[must_use]
pub fn stdin(link: &[u8], info: &[u8]) -> Stdin {
    let field = |name: &[u8]| {
        let line = info.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name))?;
        std::str::from_utf8(line).ok().map(str::trim)
    };
    let flags = field(b"flags:").and_then(|flags| u32::from_str_radix(flags, 8).ok());
    match flags {
        None if link == NULL => return Stdin::Hidden,
        Some(flags) if link == NULL && procfs::is_read_only(flags) => return Stdin::ReadOnlyNull,
        _ => {}
    }
    let mut hasher = DefaultHasher::new();
    // Close-on-exec belongs to the descriptor, not to the file.
    let flags = flags.map(|flags| flags & !procfs::CLOSED_ON_EXEC);
    (link, flags, field(b"mnt_id:"), field(b"ino:")).hash(&mut hasher);
    Stdin::Other(hasher.finish())
}

fn pipe_of(pid: i32, file: &str) -> Option<u64> {
    procfs::link(pid, file).and_then(|link| pipe_number(&link))
}

/// `pipe:[NUMBER]`.
#[must_use]
pub fn pipe_number(link: &[u8]) -> Option<u64> {
    let number = link.strip_prefix(b"pipe:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_by_its_number() {
        let says =
            |number: c_long| call(format!("{number} 0xffff 0x0 0x0 0x0 0x0 0x0 0x7ffd 0x7f5e\n").as_bytes());
        assert_eq!(call(b"running\n"), Call::Running);
        assert_eq!(call(b""), Call::Hidden);
        assert_eq!(says(-1), Call::Other);
        for (number, call) in CALLS {
            assert_eq!(says(number), call);
        }
        assert_eq!([1, 3].map(|number| argument(b"0 0xb 0x7ffd 0x80\n", number)), [Some(11), Some(128)]);
        assert_eq!(argument(b"running\n", 1), None);
    }

    #[test]
    fn what_stdin_is_can_be_told() {
        let info = |flags: &str| format!("pos:\t0\nflags:\t{flags}\nmnt_id:\t25\nino:\t5\n");
        let of = |link: &str, flags: &str| stdin(link.as_bytes(), info(flags).as_bytes());
        assert_eq!(of("/dev/null", "0100000"), Stdin::ReadOnlyNull);
        assert_ne!(of("/dev/null", "0100002"), Stdin::ReadOnlyNull);
        assert_eq!(of("/dev/pts/0", "0100002"), of("/dev/pts/0", "02100002"), "closed on exec or not");
        assert_ne!(of("/dev/pts/0", "0100002"), of("/dev/pts/1", "0100002"));
        assert_eq!(stdin(b"/dev/null", b""), Stdin::Hidden);
        assert_eq!(stdin(b"/dev/pts/0", b""), stdin(b"/dev/pts/0", b""), "by its name alone");
        assert_ne!(stdin(b"/dev/pts/0", b""), stdin(b"/dev/pts/1", b""));
        assert_eq!((pipe_number(b"pipe:[123]"), pipe_number(b"socket:[123]")), (Some(123), None));
    }

    #[test]
    fn reads_and_writes_count_together() {
        assert_eq!(moved(b"rchar: 10\nwchar: 5\nsyscr: 1\n"), Some(15));
        assert_eq!(moved(b"rchar: 10\n"), None);
    }
}
