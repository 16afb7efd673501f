//! Files by what they are, and not only by their names: the command may put another file in a file's place.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};

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

/// The file that has this name in the folder; a link is not followed.
///
/// # Errors
/// Those of fstatat(2): ENOENT if there is none.
pub(super) fn at(folder: &OwnedFd, name: &CStr) -> nix::Result<FileId> {
    fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW).map(FileId::new)
}

/// Opens the file that has this name, if it is the file `id` and has no other name. The number alone proves nothing: the kernel may have given
/// it to another file, with a link to it here.
pub(super) fn open_at(folder: &OwnedFd, name: &CStr, id: FileId, flags: OFlag) -> Option<File> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = nix::fcntl::openat(folder, name, flags, Mode::empty()).ok()?;
    let found = fstat(&file).ok()?;
    (found.st_nlink == 1 && FileId::new(found) == id).then(|| File::from(file))
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
        let place = OwnedFd::from(File::open(folder.path()).expect("our own folder"));
        let opens = || open_at(&place, c"file", id, OFlag::O_WRONLY).is_some();
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
