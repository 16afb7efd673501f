//! What the child needs, made before it exists: it cannot allocate.

use std::ffi::{CStr, CString, OsString, c_char, c_int};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use super::super::process;
use super::candidates::{Candidates, c_string};
use super::program::Beginning;
use super::{DirectoryAs, STAGES, Spawn, SpawnError, StdinSource};
use crate::signal::{Signal, SignalSet};
use crate::user::User;

/// The shell that runs scripts without `#!`, as execvp(3) does.
pub(super) const SHELL: &CStr = c"/bin/sh";
pub(super) const LISTEN_PID: &[u8] = b"LISTEN_PID=";

/// Everything that the child needs, made before it exists.
pub(super) struct Prepared {
    pub(super) candidates: Candidates,
    /// The strings that `argv` points to.
    _arguments: Vec<CString>,
    pub(super) argv: Vec<*const c_char>,
    /// `/bin/sh SCRIPT ARGUMENT...`; the script's slot is filled in by the child.
    pub(super) shell_argv: Vec<*const c_char>,
    /// `None` if it is our own, unchanged.
    environment: Option<Vec<*const c_char>>,
    /// The strings that some of the pointers in `environment` point to.
    _variables: Vec<CString>,
    /// `LISTEN_PID=` with room for a number: only the child knows its pid (sd_listen_fds(3)).
    pub(super) listen_pid: Option<Box<[u8; 32]>>,
    pub(super) stdin: StdinSource,
    pub(super) begins_in: Option<c_int>,
    pub(super) directory: Option<CString>,
    pub(super) directory_as: DirectoryAs,
    pub(super) user: Option<User>,
    pub(super) parent_death_signal: Option<Signal>,
    pub(super) parent: i32,
    pub(super) terminal: Option<c_int>,
    pub(super) mask: SignalSet,
    /// Set by the child: this process sees that only if memory is shared.
    pub(super) has_begun: AtomicBool,
    /// The pipe into which the child writes what has failed, if memory is not shared.
    pub(super) word: Option<c_int>,
    pub(super) failed_stage: AtomicI32,
    pub(super) failed_errno: AtomicI32,
    /// The file that could not be executed.
    pub(super) failed_file: Beginning,
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
        let mut prepared = Self {
            candidates: Candidates::new(program)?,
            _arguments: arguments,
            argv,
            shell_argv,
            environment: None,
            _variables: Vec::new(),
            listen_pid: None,
            stdin: spawn.stdin,
            begins_in: spawn.begins_in.map(|directory| directory.as_raw_fd()),
            directory: spawn.directory.map(c_string).transpose()?,
            directory_as: spawn.directory_as,
            user: spawn.user,
            parent_death_signal: spawn.parent_death_signal,
            parent: std::process::id().cast_signed(),
            terminal: spawn.terminal.map(|terminal| terminal.as_raw_fd()),
            mask: spawn.mask,
            has_begun: AtomicBool::new(false),
            word: None,
            failed_stage: AtomicI32::new(-1),
            failed_errno: AtomicI32::new(0),
            failed_file: Beginning::NONE,
        };
        if !spawn.variables.is_empty() {
            let variables = assignments(spawn.variables)?;
            prepared.environment = Some(environment(spawn.variables, &variables));
            prepared._variables = variables;
        }
        if !spawn.variables.iter().any(|(name, _)| *name == "LISTEN_PID") {
            prepared.make_room_for_listen_pid();
        }
        Ok(prepared)
    }

    /// The environment in the form that execve(2) takes.
    pub(super) fn environment(&self) -> *const *const c_char {
        self.environment.as_ref().map_or_else(process::environment_pointer, Vec::as_ptr)
    }

    /// A manager that passes sockets names the process that they are for; it named drainit.
    fn make_room_for_listen_pid(&mut self) {
        let named = process::variable("LISTEN_PID");
        if named.is_none_or(|pid| pid != std::process::id().to_string().as_bytes()) {
            return;
        }
        let mut room = Box::new([0_u8; 32]);
        for (to, from) in room.iter_mut().zip(LISTEN_PID) {
            *to = *from;
        }
        let entries = self.environment.get_or_insert_with(|| environment(&[], &[]));
        for entry in entries.iter_mut().filter(|entry| !entry.is_null()) {
            // SAFETY: the entries are the strings of our own environment, each of which ends in NUL.
            let text = unsafe { CStr::from_ptr(*entry) };
            if text.to_bytes().starts_with(LISTEN_PID) {
                *entry = room.as_ptr().cast();
            }
        }
        self.listen_pid = Some(room);
    }

    pub(super) fn failure(&self) -> Option<SpawnError> {
        read_failure(&self.failed_stage, &self.failed_errno, &self.failed_file)
    }
}

/// What a child has left to read about its failure; `None` if it has not failed.
pub(super) fn read_failure(stage: &AtomicI32, errno: &AtomicI32, file: &Beginning) -> Option<SpawnError> {
    let stage = usize::try_from(stage.load(Ordering::Relaxed)).ok()?;
    let error = io::Error::from_raw_os_error(errno.load(Ordering::Relaxed));
    STAGES.get(stage).map(|&stage| SpawnError { stage, error, file: file.to_program_file() })
}

fn nul_terminated(strings: &[CString]) -> Vec<*const c_char> {
    let mut pointers = Vec::with_capacity(strings.len() + 1);
    pointers.extend(strings.iter().map(|string| string.as_ptr()));
    pointers.push(ptr::null());
    pointers
}

/// `NAME=value` for the variables that have a value.
fn assignments(variables: &[(&str, Option<OsString>)]) -> io::Result<Vec<CString>> {
    let mut assignments = Vec::new();
    for (name, value) in variables {
        if let Some(value) = value {
            assignments.push(CString::new([name.as_bytes(), b"=", value.as_bytes()].concat())?);
        }
    }
    Ok(assignments)
}

/// Our own environment without the variables of these names, plus these assignments.
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
