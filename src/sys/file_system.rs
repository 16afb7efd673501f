//! Files by what they are, and not only by their names: the command may put another file in a file's place.

use std::ffi::CStr;
use std::fs::File;
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

/// Opens the file that has this name, if it is this one.
pub(super) fn open_at(folder: &OwnedFd, name: &CStr, id: FileId, flags: OFlag) -> Option<File> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = nix::fcntl::openat(folder, name, flags, Mode::empty()).ok()?;
    (FileId::of(&file) == Some(id)).then(|| File::from(file))
}
