//! Starting a process: the command, and later the steps.
//!
//! `clone` with `CLONE_VM | CLONE_VFORK` copies no page tables, and the kernel holds this process until the child has
//! executed its program or has ended. That is what an init needs: no signal can be forwarded into the time between
//! fork and exec, when it would hit a copy of the init, and the errno of a failed exec comes back through memory.
//!
//! The child runs on a stack of its own in memory that it shares with us, and makes only system calls: nothing there
//! allocates, takes a lock or can panic.

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int, c_long, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use super::{check, signals, wait};
use crate::signal::{Signal, SignalSet};

/// Where programs are looked for when PATH is not set.
const DEFAULT_PATH: &[u8] = b"/usr/local/bin:/bin:/usr/bin";
/// Runs scripts without `#!`, as execvp(3) does.
const SHELL: &CStr = c"/bin/sh";
const LISTEN_PID: &[u8] = b"LISTEN_PID=";

/// Numeric ids to run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    pub uid: u32,
    pub gid: u32,
}

/// What to start, and how.
#[derive(Clone, Copy, Debug)]
pub struct Spawn<'a> {
    /// The program and its arguments.
    pub command: &'a [OsString],
    /// The signal mask that it gets.
    pub mask: SignalSet,
    /// Its working directory, where it is not ours.
    pub directory: Option<&'a OsStr>,
    /// Its user and group, where they are not ours; supplementary groups are dropped then.
    pub ids: Option<Ids>,
    /// What it gets when this process dies.
    pub parent_death_signal: Option<Signal>,
    /// The terminal whose foreground group its group becomes.
    pub terminal: Option<BorrowedFd<'a>>,
}

/// What failed on the way to the new program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// An argument has a NUL byte in it, or there is no command.
    Prepare,
    /// No process could be made.
    Clone,
    Groups,
    GroupId,
    UserId,
    Directory,
    /// The parent died meanwhile.
    Parent,
    Exec,
}

const STAGES: [Stage; 8] = [
    Stage::Prepare,
    Stage::Clone,
    Stage::Groups,
    Stage::GroupId,
    Stage::UserId,
    Stage::Directory,
    Stage::Parent,
    Stage::Exec,
];

/// Nothing was started.
#[derive(Debug)]
pub struct SpawnError {
    pub stage: Stage,
    pub error: io::Error,
}

impl Spawn<'_> {
    /// Starts it in a process group of its own and returns its pid once the program has been executed.
    ///
    /// # Errors
    /// What failed, where; the child is gone and reaped then.
    pub fn start(self) -> Result<i32, SpawnError> {
        let mut prepared =
            Prepared::new(&self).map_err(|error| SpawnError { stage: Stage::Prepare, error })?;
        let stack = Stack::new().map_err(|error| SpawnError { stage: Stage::Clone, error })?;
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let argument = (&raw mut prepared).cast::<c_void>();
        // SAFETY: the stack is ours and large enough, and `prepared` outlives the child's use of it, because this call
        // does not return before the child has executed another program or has ended.
        let cloned = unsafe { libc::clone(child, stack.top(), flags, argument) };
        let pid = check(c_long::from(cloned)).map_err(|error| SpawnError { stage: Stage::Clone, error })?;
        let pid = i32::try_from(pid).unwrap_or(i32::MAX);
        match prepared.failure() {
            None => Ok(pid),
            Some(failure) => {
                wait::wait_for(pid);
                Err(failure)
            }
        }
    }
}

/// Everything that the child needs, made before it exists.
struct Prepared {
    /// The places where the program may be, in order.
    candidates: Vec<CString>,
    /// What the pointers in `argv` point to.
    _arguments: Vec<CString>,
    argv: Vec<*const c_char>,
    /// `/bin/sh SCRIPT ARGUMENT...`; the script's slot is filled in by the child.
    shell_argv: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    /// `LISTEN_PID=` with room for a number: only the child knows its pid (sd_listen_fds(3)).
    listen_pid: Option<Box<[u8; 32]>>,
    directory: Option<CString>,
    ids: Option<Ids>,
    parent_death_signal: Option<Signal>,
    parent: i32,
    terminal: Option<c_int>,
    mask: SignalSet,
    failed_stage: AtomicI32,
    failed_errno: AtomicI32,
}

impl Prepared {
    fn new(spawn: &Spawn<'_>) -> io::Result<Self> {
        let arguments = spawn.command.iter().map(c_string).collect::<io::Result<Vec<_>>>()?;
        let program = spawn.command.first().ok_or(io::ErrorKind::InvalidInput)?;
        let argv = nul_terminated(&arguments);
        let shell_argv = [SHELL.as_ptr()].into_iter().chain(argv.iter().copied()).collect();
        let mut prepared = Self {
            candidates: candidates(program)?,
            _arguments: arguments,
            argv,
            shell_argv,
            environment: environment(),
            listen_pid: None,
            directory: spawn.directory.map(c_string).transpose()?,
            ids: spawn.ids,
            parent_death_signal: spawn.parent_death_signal,
            parent: std::process::id().cast_signed(),
            terminal: spawn.terminal.map(|terminal| terminal.as_raw_fd()),
            mask: spawn.mask,
            failed_stage: AtomicI32::new(-1),
            failed_errno: AtomicI32::new(0),
        };
        prepared.make_room_for_listen_pid();
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

    fn failure(&self) -> Option<SpawnError> {
        let stage = usize::try_from(self.failed_stage.load(Ordering::Relaxed)).ok()?;
        let error = io::Error::from_raw_os_error(self.failed_errno.load(Ordering::Relaxed));
        STAGES.get(stage).map(|&stage| SpawnError { stage, error })
    }
}

fn c_string(text: impl AsRef<OsStr>) -> io::Result<CString> {
    CString::new(text.as_ref().as_bytes()).map_err(io::Error::from)
}

fn nul_terminated(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// The paths to try, as execvp(3): the name itself where it has a slash, else one per entry of PATH.
fn candidates(program: &OsStr) -> io::Result<Vec<CString>> {
    if program.is_empty() || program.as_bytes().contains(&b'/') {
        return Ok(vec![c_string(program)?]);
    }
    let path = std::env::var_os("PATH");
    let path = path.as_ref().map_or(DEFAULT_PATH, |path| path.as_bytes());
    path.split(|&byte| byte == b':')
        .map(|folder| {
            let folder = if folder.is_empty() { b"." } else { folder };
            c_string(OsStr::from_bytes(&[folder, b"/", program.as_bytes()].concat()))
        })
        .collect()
}

unsafe extern "C" {
    /// environ(7): what std's `vars_os` leaves out (entries without `=`) is passed on too.
    static environ: *const *const c_char;
}

fn environment() -> Vec<*const c_char> {
    let mut entries = Vec::new();
    // SAFETY: single-threaded, so nobody changes the environment meanwhile.
    let mut at = unsafe { environ };
    while !at.is_null() {
        // SAFETY: not past the end, which is the null that ends the loop.
        let entry = unsafe { *at };
        if entry.is_null() {
            break;
        }
        entries.push(entry);
        // SAFETY: the entry was not the last one.
        at = unsafe { at.add(1) };
    }
    entries.push(ptr::null());
    entries
}

/// The child's stack, with a page below it that cannot be touched.
struct Stack {
    base: *mut c_void,
}

impl Stack {
    const SIZE: usize = 64 * 1024;
    /// As large as the largest page that Linux runs with.
    const GUARD: usize = 64 * 1024;
    const WHOLE: usize = Self::GUARD + Self::SIZE;

    fn new() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;
        // SAFETY: a new anonymous mapping touches no memory of ours.
        let base = unsafe { libc::mmap(ptr::null_mut(), Self::WHOLE, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self { base };
        // SAFETY: the guard is smaller than the mapping.
        let usable = unsafe { base.add(Self::GUARD) };
        // SAFETY: exactly the upper part of the mapping that was just made.
        let opened = unsafe { libc::mprotect(usable, Self::SIZE, libc::PROT_READ | libc::PROT_WRITE) };
        check(c_long::from(opened))?;
        Ok(stack)
    }

    /// Stacks grow down, and a page-aligned end is aligned for every ABI.
    fn top(&self) -> *mut c_void {
        // SAFETY: one past the end of the mapping, which is never read or written itself.
        unsafe { self.base.add(Self::WHOLE) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that was made, and the child that ran on it has left it.
        unsafe { libc::munmap(self.base, Self::WHOLE) };
    }
}

/// The child's life from clone to exec. Shares all memory with the init, which stands still meanwhile.
extern "C" fn child(argument: *mut c_void) -> c_int {
    // SAFETY: `start` passes its `Prepared`, and does nothing with it until this child has left.
    let prepared = unsafe { &mut *argument.cast::<Prepared>() };
    let stage = become_command(prepared).unwrap_or_else(|stage| stage);
    let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    prepared.failed_errno.store(errno, Ordering::Relaxed);
    let number = STAGES.iter().position(|&known| known == stage).unwrap_or(0);
    prepared.failed_stage.store(i32::try_from(number).unwrap_or(0), Ordering::Relaxed);
    127
}

/// Returns only where something failed. The order matters:
/// - the terminal while everything is blocked (a background process that takes it is stopped by TTOU otherwise);
/// - groups, then the group, then the user, because the user may not change groups any more;
/// - the parent death signal after them, because changing ids clears it (prctl(2));
/// - the mask last, so that no signal finds a half-made child.
fn become_command(prepared: &mut Prepared) -> Result<Stage, Stage> {
    // SAFETY: two numbers. It cannot fail for a new child that leads no session.
    unsafe { libc::setpgid(0, 0) };
    // SAFETY: no arguments.
    let own_pid = unsafe { libc::getpid() };
    if let Some(terminal) = prepared.terminal {
        // SAFETY: the pointer is to an int of ours. A failure costs the foreground, not the start.
        unsafe { libc::ioctl(terminal, libc::TIOCSPGRP, &raw const own_pid) };
    }
    if let Some(ids) = prepared.ids {
        take_ids(ids)?;
    }
    if let Some(directory) = &prepared.directory {
        // SAFETY: a string that ends in NUL.
        check(c_long::from(unsafe { libc::chdir(directory.as_ptr()) })).map_err(|_| Stage::Directory)?;
    }
    if let Some(signal) = prepared.parent_death_signal {
        // SAFETY: numbers only.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal.number(), 0, 0, 0) };
        // SAFETY: no arguments.
        if unsafe { libc::getppid() } != prepared.parent {
            return Err(Stage::Parent);
        }
    }
    if let Some(room) = &mut prepared.listen_pid {
        write_number(own_pid.cast_unsigned(), room.iter_mut().skip(LISTEN_PID.len()));
    }
    signals::set_mask(prepared.mask);
    execute(prepared);
    Err(Stage::Exec)
}

/// Raw system calls: the C library's functions of these names also tell other threads, of which there are none.
fn take_ids(ids: Ids) -> Result<(), Stage> {
    let none = ptr::null::<libc::gid_t>();
    // SAFETY: no groups, so the null pointer is not read.
    check(unsafe { libc::syscall(libc::SYS_setgroups, 0, none) }).map_err(|_| Stage::Groups)?;
    // SAFETY: numbers only.
    check(unsafe { libc::syscall(libc::SYS_setresgid, ids.gid, ids.gid, ids.gid) })
        .map_err(|_| Stage::GroupId)?;
    // SAFETY: numbers only.
    check(unsafe { libc::syscall(libc::SYS_setresuid, ids.uid, ids.uid, ids.uid) })
        .map_err(|_| Stage::UserId)?;
    Ok(())
}

/// Decimal digits without allocating; what follows them is NUL already.
fn write_number<'a>(number: u32, to: impl Iterator<Item = &'a mut u8>) {
    let digits = number.checked_ilog10().unwrap_or(0);
    for (place, byte) in (0..=digits).rev().zip(to) {
        *byte = b'0' + u8::try_from(number / 10_u32.pow(place) % 10).unwrap_or(0);
    }
}

/// Tries the candidates as execvp(3) does; errno is left as it has to be reported.
fn execute(prepared: &mut Prepared) {
    let mut denied = false;
    for candidate in &prepared.candidates {
        // SAFETY: a path, and two vectors of such strings that end in null.
        unsafe { libc::execve(candidate.as_ptr(), prepared.argv.as_ptr(), prepared.environment.as_ptr()) };
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::ENOEXEC) => {
                if let Some(script) = prepared.shell_argv.get_mut(1) {
                    *script = candidate.as_ptr();
                }
                // SAFETY: as above.
                unsafe {
                    libc::execve(SHELL.as_ptr(), prepared.shell_argv.as_ptr(), prepared.environment.as_ptr())
                };
                return;
            }
            Some(libc::EACCES) => denied = true,
            Some(libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT) => {}
            _ => return,
        }
    }
    if denied {
        nix::errno::Errno::EACCES.set();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_whole() {
        for number in [0, 1, 9, 10, 99, 100, 4_194_304, u32::MAX] {
            let mut room = [0_u8; 12];
            write_number(number, room.iter_mut());
            let text = CStr::from_bytes_until_nul(&room).expect("a NUL is left");
            assert_eq!(text.to_bytes(), number.to_string().as_bytes());
        }
    }

    #[test]
    fn a_name_with_a_slash_is_not_looked_up() {
        let only = |name: &str| candidates(OsStr::new(name)).expect("no NUL");
        assert_eq!(only("./x"), [c"./x".to_owned()]);
        assert_eq!(only(""), [c"".to_owned()]);
        assert!(only("x").iter().all(|path| path.to_bytes().ends_with(b"/x")));
    }
}
