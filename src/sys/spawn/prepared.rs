//! What the child needs, made before it exists: it cannot allocate.

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use super::super::process;
use super::{DirectoryAs, Ids, STAGES, Spawn, SpawnError, Stdin};
use crate::signal::{Signal, SignalSet};

/// Where programs are looked for when PATH is not set.
const DEFAULT_PATH: &[u8] = b"/usr/local/bin:/bin:/usr/bin";
/// Runs scripts without `#!`, as execvp(3) does.
pub(super) const SHELL: &CStr = c"/bin/sh";
pub(super) const LISTEN_PID: &[u8] = b"LISTEN_PID=";

/// Everything that the child needs, made before it exists.
pub(super) struct Prepared {
    /// The places where the program may be, in order.
    pub(super) candidates: Vec<CString>,
    /// What the pointers in `argv` point to.
    _arguments: Vec<CString>,
    pub(super) argv: Vec<*const c_char>,
    /// `/bin/sh SCRIPT ARGUMENT...`; the script's slot is filled in by the child.
    pub(super) shell_argv: Vec<*const c_char>,
    pub(super) environment: Vec<*const c_char>,
    /// What some of the pointers in `environment` point to.
    _variables: Vec<CString>,
    /// `LISTEN_PID=` with room for a number: only the child knows its pid (sd_listen_fds(3)).
    pub(super) listen_pid: Option<Box<[u8; 32]>>,
    pub(super) stdin: Stdin,
    pub(super) directory: Option<CString>,
    pub(super) directory_as: DirectoryAs,
    pub(super) ids: Option<Ids>,
    pub(super) parent_death_signal: Option<Signal>,
    pub(super) parent: i32,
    pub(super) terminal: Option<c_int>,
    pub(super) mask: SignalSet,
    pub(super) failed_stage: AtomicI32,
    pub(super) failed_errno: AtomicI32,
}

impl Prepared {
    pub(super) fn new(spawn: &Spawn<'_>) -> io::Result<Self> {
        let mut arguments = Vec::with_capacity(spawn.command.len());
        for argument in spawn.command {
            arguments.push(c_string(argument)?);
        }
        let program = spawn.command.first().ok_or(io::ErrorKind::InvalidInput)?;
        let argv = nul_terminated(&arguments);
        let mut shell_argv = Vec::with_capacity(argv.len() + 1);
        shell_argv.push(SHELL.as_ptr());
        shell_argv.extend_from_slice(&argv);
        let variables = assignments(spawn.variables)?;
        let mut prepared = Self {
            candidates: candidates(program)?,
            _arguments: arguments,
            argv,
            shell_argv,
            environment: environment(spawn.variables, &variables),
            _variables: variables,
            listen_pid: None,
            stdin: spawn.stdin,
            directory: spawn.directory.map(c_string).transpose()?,
            directory_as: spawn.directory_as,
            ids: spawn.ids,
            parent_death_signal: spawn.parent_death_signal,
            parent: std::process::id().cast_signed(),
            terminal: spawn.terminal.map(|terminal| terminal.as_raw_fd()),
            mask: spawn.mask,
            failed_stage: AtomicI32::new(-1),
            failed_errno: AtomicI32::new(0),
        };
        if !spawn.variables.iter().any(|(name, _)| *name == "LISTEN_PID") {
            prepared.make_room_for_listen_pid();
        }
        Ok(prepared)
    }

    /// A manager that passes sockets names the process they are for, and it named us.
    fn make_room_for_listen_pid(&mut self) {
        let named = std::env::var_os("LISTEN_PID");
        if named.is_none_or(|pid| pid.as_bytes() != std::process::id().to_string().as_bytes()) {
            return;
        }
        let mut room = Box::new([0_u8; 32]);
        for (to, from) in room.iter_mut().zip(LISTEN_PID) {
            *to = *from;
        }
        for entry in self.environment.iter_mut().filter(|entry| !entry.is_null()) {
            // SAFETY: the entries are the strings of our own environment, each of which ends in NUL.
            let text = unsafe { CStr::from_ptr(*entry) };
            if text.to_bytes().starts_with(LISTEN_PID) {
                *entry = room.as_ptr().cast();
            }
        }
        self.listen_pid = Some(room);
    }

    pub(super) fn failure(&self) -> Option<SpawnError> {
        read_failure(&self.failed_stage, &self.failed_errno)
    }
}

/// What a child has left for us to read; `None` where it has not failed.
pub(super) fn read_failure(stage: &AtomicI32, errno: &AtomicI32) -> Option<SpawnError> {
    let stage = usize::try_from(stage.load(Ordering::Relaxed)).ok()?;
    let error = io::Error::from_raw_os_error(errno.load(Ordering::Relaxed));
    STAGES.get(stage).map(|&stage| SpawnError { stage, error })
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(io::Error::from)
}

fn joined(parts: &[&[u8]]) -> io::Result<CString> {
    CString::new(parts.concat()).map_err(io::Error::from)
}

fn nul_terminated(strings: &[CString]) -> Vec<*const c_char> {
    let mut pointers = Vec::with_capacity(strings.len() + 1);
    pointers.extend(strings.iter().map(|string| string.as_ptr()));
    pointers.push(ptr::null());
    pointers
}

/// The paths to try, as execvp(3): the name itself where it has a slash, else one per entry of PATH.
fn candidates(program: &OsStr) -> io::Result<Vec<CString>> {
    if program.is_empty() || program.as_bytes().contains(&b'/') {
        return Ok(vec![c_string(program)?]);
    }
    let path = std::env::var_os("PATH");
    let path = path.as_ref().map_or(DEFAULT_PATH, |path| path.as_bytes());
    let mut candidates = Vec::new();
    for folder in path.split(|&byte| byte == b':') {
        let folder = if folder.is_empty() { b"." } else { folder };
        candidates.push(joined(&[folder, b"/", program.as_bytes()])?);
    }
    Ok(candidates)
}

/// `NAME=value` for those that have a value.
fn assignments(variables: &[(&str, Option<OsString>)]) -> io::Result<Vec<CString>> {
    let mut assignments = Vec::new();
    for (name, value) in variables {
        if let Some(value) = value {
            assignments.push(joined(&[name.as_bytes(), b"=", value.as_bytes()])?);
        }
    }
    Ok(assignments)
}

/// Our own environment, without the entries of these names, and with these instead.
fn environment(names: &[(&str, Option<OsString>)], assigned: &[CString]) -> Vec<*const c_char> {
    let is_named = |entry: &CStr| {
        let has = |name: &str| {
            let value = entry.to_bytes().strip_prefix(name.as_bytes());
            value.is_some_and(|value| value.starts_with(b"="))
        };
        names.iter().any(|(name, _)| has(name))
    };
    let mut entries: Vec<_> =
        process::environment().filter(|entry| !is_named(entry)).map(CStr::as_ptr).collect();
    entries.extend(assigned.iter().map(|entry| entry.as_ptr()));
    entries.push(ptr::null());
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_slash_is_not_looked_up() {
        let only = |name: &str| candidates(OsStr::new(name)).expect("no NUL");
        assert_eq!(only("./x"), [c"./x".to_owned()]);
        assert_eq!(only(""), [c"".to_owned()]);
        assert!(only("x").iter().all(|path| path.to_bytes().ends_with(b"/x")));
    }
}
