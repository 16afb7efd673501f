//! The termination log (Kubernetes, `terminationMessagePath`): a file that the command may write to as well. drainit replaces or removes
//! only its own text, and only while the file still ends with exactly that text.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::{descriptors, file_system};

/// The file, or the place where it will be.
#[derive(Debug)]
pub struct MessageFile {
    /// `None` if there was no file, until there is something to write.
    file: Option<File>,
    /// The folder to make it in, and its name.
    place: Option<(OwnedFd, CString)>,
    /// The offset of drainit's own text, and that text.
    own: Option<(u64, Vec<u8>)>,
    /// Whether drainit may no longer change the file.
    is_lost: bool,
    can_be_replaced: bool,
}

impl MessageFile {
    /// Opens the file if it exists. It may be a link now, but no longer when the command runs.
    ///
    /// # Errors
    /// Those of open(2), for the file or its folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let open = |read| OpenOptions::new().read(read).append(true).custom_flags(flags).open(path);
        // A file that may only be written to gets its text at the very end.
        let opened = match open(true) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                open(false).map(|file| (file, false))
            }
            opened => opened.map(|file| (file, true)),
        };
        let (file, place, is_readable) = match opened {
            Ok((file, is_readable)) => (Some(file), None, is_readable),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (None, Some(place(path)?), true),
            Err(error) => return Err(error),
        };
        let file = match file {
            Some(file) => Some(File::from(descriptors::above_standard(file.into())?)),
            None => None,
        };
        let is_plain =
            |file: &File| file.metadata().is_ok_and(|found| found.is_file()) && !file_system::is_remote(file);
        let can_be_replaced = is_readable && file.as_ref().is_none_or(is_plain);
        Ok(Self { file, place, own: None, is_lost: false, can_be_replaced })
    }

    /// The descriptors that have to stay open.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let folder = self.place.as_ref().map(|(folder, _)| folder.as_fd());
        [self.file.as_ref().map(AsFd::as_fd), folder].into_iter().flatten()
    }

    /// Whether drainit's text can be replaced, or removed, later.
    #[must_use]
    pub fn can_be_replaced(&self) -> bool {
        self.can_be_replaced
    }

    /// Puts this text after what the command wrote, in place of drainit's earlier text; the file gets no longer than `size`. Without a
    /// text, restores what the command wrote.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&mut self, text: Option<&str>, size: usize) -> io::Result<()> {
        if self.is_lost || (text.is_none() && self.own.is_none()) {
            return Ok(());
        }
        // The command may have put a file of its own there: then drainit's text goes behind that one's.
        if let (Some(file), Some((folder, name))) = (&self.file, &self.place)
            && !file_system::is_at(folder, name, file)
        {
            (self.file, self.own) = (None, None);
            return self.write(text, size);
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(create(self.place.as_ref())?),
        };
        let length = file.metadata()?.len();
        let start = match &self.own {
            Some((start, own)) if !ends_with(file, length, *start, own) => {
                self.is_lost = true;
                return Ok(());
            }
            Some((start, _)) => *start,
            None => length,
        };
        let room = size.saturating_sub(usize::try_from(start).unwrap_or(usize::MAX));
        let text = whole_lines(text.unwrap_or_default().as_bytes(), room);
        if self.own.is_none() {
            file.write_all(text)?;
        } else {
            // In this order the file has a whole text after the first call.
            let mut padded = text.to_vec();
            let before = usize::try_from(length - start).unwrap_or(usize::MAX);
            padded.resize(padded.len().max(before.min(room)), b'\n');
            overwrite(file, &padded, start)?;
            file.set_len(start + text.len() as u64)?;
        }
        self.own = Some((start, text.to_vec()));
        if let (true, 0, Some((folder, name))) = (text.is_empty(), start, &self.place) {
            let _ = nix::unistd::unlinkat(folder, name.as_c_str(), nix::unistd::UnlinkatFlags::NoRemoveDir);
            (self.file, self.own) = (None, None);
        }
        Ok(())
    }
}

/// A descriptor that appends ignores the offset (pwrite(2), BUGS).
fn overwrite(file: &File, text: &[u8], at: u64) -> io::Result<()> {
    let flags = nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_GETFL)?;
    let flags = OFlag::from_bits_retain(flags);
    nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_SETFL(flags.difference(OFlag::O_APPEND)))?;
    let written = file.write_all_at(text, at);
    nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_SETFL(flags))?;
    written
}

/// Whether the file ends where this text ends, and has it there.
fn ends_with(file: &File, length: u64, start: u64, text: &[u8]) -> bool {
    let mut found = vec![0; text.len()];
    length == start + text.len() as u64 && file.read_exact_at(&mut found, start).is_ok() && found == text
}

/// The part of the text that fits.
fn whole_lines(text: &[u8], room: usize) -> &[u8] {
    if text.len() <= room {
        return text;
    }
    let room = text.get(..room).unwrap_or_default();
    let end = room.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    room.get(..end).unwrap_or_default()
}

fn place(path: &Path) -> io::Result<(OwnedFd, CString)> {
    let name = CString::new(path.file_name().ok_or(io::ErrorKind::InvalidInput)?.as_bytes())?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let folder = nix::fcntl::open(folder, flags, Mode::empty())?;
    Ok((descriptors::above_standard(folder)?, name))
}

/// Makes the file, or opens the one that the command has made meanwhile. It does not follow a link, and opens no file that the command may have put
/// there to have it changed: one with another name, too, or drainit's own in a folder of somebody else.
fn create(place: Option<&(OwnedFd, CString)>) -> io::Result<File> {
    let (folder, name) = place.ok_or(io::ErrorKind::NotFound)?;
    let flags = OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let flags = flags | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = nix::fcntl::openat(folder, name.as_c_str(), flags, Mode::from_bits_truncate(0o644))?;
    let (found, around) = (nix::sys::stat::fstat(&file)?, nix::sys::stat::fstat(folder)?);
    let is_own = found.st_uid == nix::unistd::geteuid().as_raw();
    if found.st_nlink != 1 || (is_own && around.st_uid != found.st_uid && found.st_size != 0) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(File::from(descriptors::above_standard(file)?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_own_text_is_replaced_and_removed_and_what_others_wrote_stays() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("log");
        fs::write(&path, "app\n").expect("our own folder");
        let text = || fs::read_to_string(&path).expect("it is there");
        let mut file = MessageFile::open(&path).expect("it can be opened");
        file.write(Some("a longer text\n"), 4096).expect("there is room");
        assert_eq!(text(), "app\na longer text\n");
        file.write(Some("short\n"), 4096).expect("there is room");
        assert_eq!(text(), "app\nshort\n");
        file.write(None, 4096).expect("it is ours");
        assert_eq!(text(), "app\n");
        file.write(Some("one\n"), 4096).expect("there is room");
        fs::write(&path, "app\none\nmore\n").expect("our own folder");
        file.write(Some("two\n"), 4096).expect("nothing is written");
        assert_eq!(text(), "app\none\nmore\n", "the command wrote behind it");
    }

    #[test]
    fn a_file_that_was_not_there_is_not_there_again() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("log");
        let mut file = MessageFile::open(&path).expect("its folder is there");
        file.write(None, 4096).expect("nothing to do");
        assert!(!path.exists());
        file.write(Some("text\n"), 4096).expect("there is room");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "text\n");
        file.write(None, 4096).expect("it is ours");
        assert!(!path.exists());
        std::os::unix::fs::symlink("/etc/passwd", &path).expect("our own folder");
        assert!(file.write(Some("text\n"), 4096).is_err(), "a link is not followed");
    }

    #[test]
    fn a_file_that_the_command_has_put_in_its_place_stays_and_gets_the_text() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let (path, theirs) = (folder.path().join("log"), folder.path().join("theirs"));
        for (text, left) in [(None, "app\n"), (Some("text\n"), "app\ntext\n")] {
            let mut file = MessageFile::open(&path).expect("its folder is there");
            file.write(Some("ahead\n"), 4096).expect("there is room");
            fs::write(&theirs, "app\n").expect("our own folder");
            fs::rename(&theirs, &path).expect("our own folder");
            file.write(text, 4096).expect("there is room");
            assert_eq!(fs::read_to_string(&path).expect("it is there"), left);
            fs::remove_file(&path).expect("it is there");
        }
    }

    #[test]
    fn a_file_with_another_name_too_is_not_written_to() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let (path, other) = (folder.path().join("log"), folder.path().join("other"));
        let mut file = MessageFile::open(&path).expect("its folder is there");
        fs::write(&other, "not ours\n").expect("our own folder");
        fs::hard_link(&other, &path).expect("our own folder");
        assert!(file.write(Some("text\n"), 4096).is_err());
        assert_eq!(fs::read_to_string(&other).expect("it is there"), "not ours\n");
    }

    #[test]
    fn only_whole_lines_are_written() {
        assert_eq!(whole_lines(b"ab\ncd\n", 6), b"ab\ncd\n");
        assert_eq!(whole_lines(b"ab\ncd\n", 5), b"ab\n");
        assert_eq!(whole_lines(b"ab\ncd\n", 2), b"");
    }
}
