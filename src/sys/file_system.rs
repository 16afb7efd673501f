//! Files by what they are, and not only by their names: the command may put another file in a file's place.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::descriptors;

/// Which file it is, until it is removed: the kernel may give its number to another one then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    number: u64,
}

impl FileId {
    pub(super) fn of(file: &impl AsFd) -> Option<Self> {
        fstat(file).ok().map(Self::new)
    }

    #[expect(clippy::useless_conversion, reason = "their types differ between processors")]
    fn new(found: FileStat) -> Self {
        Self { device: u64::from(found.st_dev), number: u64::from(found.st_ino) }
    }
}

/// A name in a folder, whatever file has it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: OwnedFd,
    pub(super) name: CString,
}

impl Place {
    /// The last name of the path, in the folder that has it now.
    ///
    /// # Errors
    /// Those of open(2), for the folder; the path has no last name.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let name = CString::new(path.file_name().ok_or(io::ErrorKind::InvalidInput)?.as_bytes())?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self { folder: descriptors::open(folder, flags)?.into(), name })
    }

    /// The file that has this name; a link is not followed.
    ///
    /// # Errors
    /// Those of fstatat(2): ENOENT if there is none.
    pub(super) fn file(&self) -> nix::Result<FileId> {
        fstatat(&self.folder, self.name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW).map(FileId::new)
    }

    /// Opens the file that has this name, if it is the file `id` and has no other name. The number alone proves nothing: the kernel may have
    /// given it to another file, with a link to it here.
    pub(super) fn open(&self, id: FileId, flags: OFlag) -> Option<File> {
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = nix::fcntl::openat(&self.folder, self.name.as_c_str(), flags, Mode::empty()).ok()?;
        let found = fstat(&file).ok()?;
        (found.st_nlink == 1 && FileId::new(found) == id).then(|| File::from(file))
    }

    /// Removes the file that has this name.
    pub(super) fn unlink(&self) {
        let _ = unlinkat(&self.folder, self.name.as_c_str(), UnlinkatFlags::NoRemoveDir);
    }
}

/// The kernel's number of an error, errno(3); EIO if it has none.
#[must_use]
pub fn number_of(error: io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_opened_again_if_it_is_there_and_has_no_other_name() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let (path, other) = (folder.path().join("file"), folder.path().join("other"));
        let id = FileId::of(&File::create(&path).expect("our own folder")).expect("it is there");
        let place = Place::of(&path).expect("our own folder");
        let opens = || place.open(id, OFlag::O_WRONLY).is_some();
        assert!(opens());
        std::fs::hard_link(&path, &other).expect("our own folder");
        assert!(!opens());
        std::fs::remove_file(&path).expect("our own folder");
        std::os::unix::fs::symlink(&other, &path).expect("our own folder");
        assert!(!opens());
        std::fs::remove_file(&path).expect("our own folder");
        File::create(&path).expect("our own folder");
        assert!(!opens());
    }
}
