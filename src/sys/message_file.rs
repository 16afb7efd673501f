//! The termination log (Kubernetes, `terminationMessagePath`): a file that the command may write to as well. drainit replaces or removes
//! only its own text, and only while the file still ends with exactly that text.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::descriptors;
use super::file_system::{FileId, Place};

/// The file, or the place where it will be.
#[derive(Debug)]
pub struct MessageFile {
    /// `None` if there was no file when the command started.
    file: Option<File>,
    /// Where to make it, if there was none.
    place: Option<Place>,
    can_be_replaced: bool,
}

/// What has been written so far. The helper that writes may be killed at any moment, so what it is about to do is noted first.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageState {
    /// The offset of drainit's own text, once there is one.
    start: Option<u64>,
    /// That text, and the one that is about to replace it.
    own: [Text; 2],
    /// The file that drainit has made, or has found in its place.
    made: Option<FileId>,
    /// Whether drainit may no longer change the file.
    is_lost: bool,
}

/// The most that the file may hold: kubectl shows no more of it (Kubernetes, `terminationMessagePath`).
const SIZE: usize = 4096;

#[derive(Clone, Copy, Debug)]
struct Text {
    length: usize,
    bytes: [u8; SIZE],
}

impl Default for Text {
    fn default() -> Self {
        Self { length: 0, bytes: [0; SIZE] }
    }
}

impl Text {
    /// As much of it as there is room for.
    fn new(text: &[u8]) -> Self {
        let mut new = Self::default();
        for (to, from) in new.bytes.iter_mut().zip(text) {
            (*to, new.length) = (*from, new.length + 1);
        }
        new
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl MessageFile {
    /// Opens the file if it exists. It may be a link now, but no longer when the command runs.
    ///
    /// # Errors
    /// Those of open(2), for the file or its folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        let open = |access| descriptors::open(path, access | OFlag::O_APPEND);
        // A file that may only be written to gets its text at the very end.
        let opened = match open(OFlag::O_RDWR) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                open(OFlag::O_WRONLY).map(|file| (file, false))
            }
            opened => opened.map(|file| (file, true)),
        };
        let (file, place, is_readable) = match opened {
            Ok((file, is_readable)) => (Some(file), None, is_readable),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (None, Some(Place::of(path)?), true),
            Err(error) => return Err(error),
        };
        let is_plain = |file: &File| file.metadata().is_ok_and(|found| found.is_file());
        let can_be_replaced = is_readable && file.as_ref().is_none_or(is_plain);
        Ok(Self { file, place, can_be_replaced })
    }

    /// The descriptors that have to stay open.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let folder = self.place.as_ref().map(|place| place.folder.as_fd());
        [self.file.as_ref().map(AsFd::as_fd), folder].into_iter().flatten()
    }

    /// Whether drainit's text can be replaced, or removed, later.
    #[must_use]
    pub fn can_be_replaced(&self) -> bool {
        self.can_be_replaced
    }

    /// Puts this text after what the command wrote, in place of drainit's earlier text; the file gets no longer than 4096 bytes. An empty
    /// text restores what the command wrote.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&self, state: &mut MessageState, text: &str) -> io::Result<()> {
        if state.is_lost || (text.is_empty() && state.start.is_none()) {
            return Ok(());
        }
        let made;
        let file = match (&self.file, &self.place) {
            (Some(file), _) => file,
            (None, Some(place)) => {
                made = match open_made(place, state) {
                    Some(made) => made,
                    // The command may have put a file of its own there: then drainit's text goes behind that one's.
                    None => {
                        *state = MessageState::default();
                        if text.is_empty() {
                            return Ok(());
                        }
                        create(place)?
                    }
                };
                state.made = FileId::of(&made);
                &made
            }
            (None, None) => return Ok(()),
        };
        let length = file.metadata()?.len();
        let start = match state.start {
            Some(start) if !state.own.iter().any(|own| ends_with(file, length, start, own.get())) => {
                state.is_lost = true;
                return Ok(());
            }
            Some(start) => start,
            None => length,
        };
        let room = SIZE.saturating_sub(usize::try_from(start).unwrap_or(usize::MAX));
        let text = whole_lines(text.as_bytes(), room);
        let is_first = state.start.is_none();
        let new = Text::new(text);
        state.own[1] = new;
        state.start = Some(start);
        if is_first {
            (&*file).write_all(text)?;
        } else {
            // In this order the file has a whole text after the first call.
            let mut padded = text.to_vec();
            let before = usize::try_from(length - start).unwrap_or(usize::MAX);
            padded.resize(padded.len().max(before.min(room)), b'\n');
            overwrite(file, &padded, start)?;
            file.set_len(start + text.len() as u64)?;
        }
        state.own[0] = new;
        if let (true, 0, Some(place)) = (text.is_empty(), start, &self.place) {
            place.unlink();
            *state = MessageState::default();
        }
        Ok(())
    }
}

/// The file that drainit has made, if it is still there.
fn open_made(place: &Place, state: &MessageState) -> Option<File> {
    place.open(state.made?, OFlag::O_RDWR | OFlag::O_APPEND)
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

/// Makes the file, or opens the one that the command has made meanwhile. Follows no link, and refuses a file that the command may have put there
/// to have it changed: a file that has a second name, or a file of drainit's user, with something in it, in another user's folder.
fn create(Place { folder, name }: &Place) -> io::Result<File> {
    let flags = OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let flags = flags | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = nix::fcntl::openat(folder, name.as_c_str(), flags, Mode::from_bits_truncate(0o644))?;
    let (found, around) = (nix::sys::stat::fstat(&file)?, nix::sys::stat::fstat(folder)?);
    let is_own = found.st_uid == nix::unistd::geteuid().as_raw();
    if found.st_nlink != 1 || (is_own && around.st_uid != found.st_uid && found.st_size != 0) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(File::from(file))
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
        let file = MessageFile::open(&path).expect("it can be opened");
        let mut state = MessageState::default();
        file.write(&mut state, "a longer text\n").expect("there is room");
        assert_eq!(text(), "app\na longer text\n");
        file.write(&mut state, "short\n").expect("there is room");
        assert_eq!(text(), "app\nshort\n");
        file.write(&mut state, "").expect("it is ours");
        assert_eq!(text(), "app\n");
        file.write(&mut state, "one\n").expect("there is room");
        fs::write(&path, "app\none\nmore\n").expect("our own folder");
        file.write(&mut state, "two\n").expect("nothing is written");
        assert_eq!(text(), "app\none\nmore\n", "the command wrote behind it");
    }

    #[test]
    fn a_file_that_was_not_there_is_not_there_again() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("log");
        let file = MessageFile::open(&path).expect("its folder is there");
        let mut state = MessageState::default();
        file.write(&mut state, "").expect("nothing to do");
        assert!(!path.exists());
        file.write(&mut state, "text\n").expect("there is room");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "text\n");
        file.write(&mut state, "").expect("it is ours");
        assert!(!path.exists());
        std::os::unix::fs::symlink("/etc/passwd", &path).expect("our own folder");
        assert!(file.write(&mut state, "text\n").is_err(), "a link is not followed");
    }

    #[test]
    fn a_file_that_the_command_has_put_in_its_place_stays_and_gets_the_text() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let (path, theirs) = (folder.path().join("log"), folder.path().join("theirs"));
        for (text, left) in [("", "app\n"), ("text\n", "app\ntext\n")] {
            let file = MessageFile::open(&path).expect("its folder is there");
            let mut state = MessageState::default();
            file.write(&mut state, "ahead\n").expect("there is room");
            fs::write(&theirs, "app\n").expect("our own folder");
            fs::rename(&theirs, &path).expect("our own folder");
            file.write(&mut state, text).expect("there is room");
            assert_eq!(fs::read_to_string(&path).expect("it is there"), left);
            fs::remove_file(&path).expect("it is there");
        }
    }

    #[test]
    fn a_file_with_another_name_too_is_not_written_to() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let (path, other) = (folder.path().join("log"), folder.path().join("other"));
        let file = MessageFile::open(&path).expect("its folder is there");
        let mut state = MessageState::default();
        fs::write(&other, "not ours\n").expect("our own folder");
        fs::hard_link(&other, &path).expect("our own folder");
        assert!(file.write(&mut state, "text\n").is_err());
        assert_eq!(fs::read_to_string(&other).expect("it is there"), "not ours\n");
    }

    #[test]
    fn only_whole_lines_are_written() {
        assert_eq!(whole_lines(b"ab\ncd\n", 6), b"ab\ncd\n");
        assert_eq!(whole_lines(b"ab\ncd\n", 5), b"ab\n");
        assert_eq!(whole_lines(b"ab\ncd\n", 2), b"");
    }
}
