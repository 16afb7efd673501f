//! The file of a program: how it begins, if it could not be executed, and whether it exists at all.

use std::ffi::{CStr, OsStr, c_long};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::AccessFlags;

use super::super::check;
use super::candidates::Candidates;

/// This much of a file shows what it is. It mostly includes the path of an ELF file's loader.
pub(super) const LENGTH: usize = 1024;

/// A file that could not be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramFile {
    pub is_directory: bool,
    /// Whether any user may execute it.
    pub is_executable: bool,
    /// Its first bytes; empty if it cannot be read.
    pub beginning: Vec<u8>,
}

/// The same in the form in which the child leaves it, without allocating. It may be written to a pipe, so there is no padding between the
/// fields.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Beginning {
    /// 0 if there is no file.
    mode: u32,
    length: u32,
    bytes: [u8; LENGTH],
}

impl Beginning {
    pub(super) const NONE: Self = Self { mode: 0, length: 0, bytes: [0; LENGTH] };

    /// Reads the file; errno stays unchanged. Returns whether the file exists.
    pub(super) fn read(&mut self, path: &CStr) -> bool {
        let errno = Errno::last();
        let mut stat = MaybeUninit::<libc::stat>::zeroed();
        // SAFETY: a path that ends in NUL, and a stat of ours.
        let found = unsafe { libc::stat(path.as_ptr(), stat.as_mut_ptr()) } == 0;
        if found {
            // SAFETY: zeroed is a valid stat, and it was filled in.
            self.mode = unsafe { stat.assume_init() }.st_mode;
            self.length = if self.is(libc::S_IFREG) { read_into(path, &mut self.bytes) } else { 0 };
        }
        errno.set();
        found
    }

    /// Whether a shell may run it as a script. execvp(3) gives a shell everything that the kernel does not know, even a program for another
    /// processor, whose bytes are no commands. A text has no NUL in its first line, and a file with `#!` is for another interpreter, or for
    /// one that is missing.
    pub(super) fn is_for_the_shell(&self) -> bool {
        let bytes = self.filled();
        let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let names_an_interpreter = line.strip_prefix(b"#!").is_some_and(|rest| !rest.trim_ascii().is_empty());
        !names_an_interpreter && !line.contains(&0) && !bytes.starts_with(b"\x7fELF")
    }

    pub(super) fn to_program_file(self) -> Option<ProgramFile> {
        (self.mode != 0).then(|| ProgramFile {
            is_directory: self.is(libc::S_IFDIR),
            is_executable: self.mode & 0o111 != 0,
            beginning: self.filled().to_vec(),
        })
    }

    fn filled(&self) -> &[u8] {
        let length = usize::try_from(self.length).unwrap_or(0);
        self.bytes.get(..length).unwrap_or_default()
    }

    fn is(&self, kind: u32) -> bool {
        self.mode & libc::S_IFMT == kind
    }
}

/// Returns how much was read.
fn read_into(path: &CStr, bytes: &mut [u8; LENGTH]) -> u32 {
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: a path that ends in NUL, and numbers.
    let Ok(file) = check(c_long::from(unsafe { libc::open(path.as_ptr(), flags) })) else { return 0 };
    let file = i32::try_from(file).unwrap_or(-1);
    // SAFETY: the pointer and the length are of one array.
    let read = unsafe { libc::read(file, bytes.as_mut_ptr().cast(), LENGTH) };
    // SAFETY: it was opened here, and nothing else has it.
    unsafe { libc::close(file) };
    u32::try_from(read).unwrap_or(0)
}

/// The result of looking up a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    Found,
    /// It is there, but cannot be executed.
    NotExecutable,
    NotFound,
}

/// Looks a program up as a process that is started in this directory would. Another user may have access to less than this process.
#[must_use]
pub fn look_up(program: &OsStr, directory: Option<&OsStr>) -> Lookup {
    let Ok(mut candidates) = Candidates::new(program) else { return Lookup::NotFound };
    let mut found = Lookup::NotFound;
    candidates.find(|candidate| {
        let path = Path::new(directory.unwrap_or_default()).join(OsStr::from_bytes(candidate.to_bytes()));
        if nix::unistd::access(&path, AccessFlags::X_OK).is_ok() && path.is_file() {
            found = Lookup::Found;
            return Some(());
        }
        if path.exists() {
            found = Lookup::NotExecutable;
        }
        None
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beginning(bytes: &[u8]) -> Beginning {
        let length = u32::try_from(bytes.len()).expect("it is short");
        let mut beginning = Beginning { mode: libc::S_IFREG | 0o755, length, ..Beginning::NONE };
        for (to, from) in beginning.bytes.iter_mut().zip(bytes) {
            *to = *from;
        }
        beginning
    }

    #[test]
    fn what_is_no_text_is_not_for_the_shell() {
        for text in
            [&b""[..], b"\n", b"echo x\n", b"echo x\n\0\0", b"# comment", b"#!\n", b"#! \nexit 3", b":\r\n"]
        {
            assert!(beginning(text).is_for_the_shell(), "{text:?}");
        }
        for other in [
            &b"\x7fELF"[..],
            b"\x7fELF\x02\x01\x01\0",
            b"\xcf\xfa\xed\xfe\x0c\0\0\x01",
            b"MZ\x90\0\x03",
            b"\0asm\x01",
            b"#!/usr/bin/python3\nimport os",
        ] {
            assert!(!beginning(other).is_for_the_shell(), "{other:?}");
        }
    }

    #[test]
    fn a_file_is_read_and_errno_stays() {
        let mut found = Beginning::NONE;
        Errno::ENOEXEC.set();
        assert!(!found.read(c"/nowhere/at/all"));
        assert_eq!(found.to_program_file(), None);
        assert!(found.read(c"/proc/self/exe") && found.bytes.starts_with(b"\x7fELF"));
        assert_eq!(Errno::last(), Errno::ENOEXEC);
        assert!(found.read(c"/"));
        let directory = found.to_program_file().expect("it is there");
        assert!(directory.is_directory && directory.beginning.is_empty(), "{directory:?}");
    }

    #[test]
    fn a_program_is_looked_up_as_it_is_started() {
        let look =
            |program: &str, directory: Option<&str>| look_up(OsStr::new(program), directory.map(OsStr::new));
        assert_eq!(look("sh", None), Lookup::Found);
        assert_eq!(look("/bin/sh", Some("/nowhere")), Lookup::Found);
        assert_eq!(look("bin/sh", Some("/")), Lookup::Found);
        assert_eq!(look("./sh", Some("/")), Lookup::NotFound);
        assert_eq!(look("no-such-program-anywhere", None), Lookup::NotFound);
        assert_eq!(look("", None), Lookup::NotFound);
        assert_eq!(look("/", None), Lookup::NotExecutable);
        assert_eq!(look("/etc/passwd", None), Lookup::NotExecutable);
    }
}
