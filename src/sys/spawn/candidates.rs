//! The files that a program's name may mean, as execvp(3) looks for them.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;

use super::super::process;

/// The folders to look in if PATH is not set.
const DEFAULT_PATH: &[u8] = b"/usr/local/bin:/bin:/usr/bin";

/// Where the program may be, as for execvp(3): the name itself if it has a slash, else one path per entry of PATH.
pub(super) struct Candidates {
    program: CString,
    /// `None` if it is not looked up.
    folders: Option<&'static [u8]>,
    /// Room for the longest path.
    path: Vec<u8>,
}

impl Candidates {
    pub(super) fn new(program: &OsStr) -> io::Result<Self> {
        let program = c_string(program)?;
        let is_path = program.is_empty() || program.as_bytes().contains(&b'/');
        let folders = (!is_path).then(|| process::variable("PATH").unwrap_or(DEFAULT_PATH));
        let longest = folders.into_iter().flat_map(parts).map(<[u8]>::len).max();
        let path = Vec::with_capacity(longest.map_or(0, |longest| longest + 1 + program.count_bytes() + 1));
        Ok(Self { program, folders, path })
    }

    /// Calls `attempt` for each in turn, until it returns an answer. Does not allocate.
    pub(super) fn find<T>(&mut self, mut attempt: impl FnMut(&CStr) -> Option<T>) -> Option<T> {
        let Some(folders) = self.folders else { return attempt(&self.program) };
        for folder in parts(folders) {
            self.path.clear();
            self.path.extend_from_slice(folder);
            self.path.push(b'/');
            self.path.extend_from_slice(self.program.as_bytes_with_nul());
            if let Some(answer) = CStr::from_bytes_with_nul(&self.path).ok().and_then(&mut attempt) {
                return Some(answer);
            }
        }
        None
    }
}

/// The folders of PATH. An empty entry is the current one.
fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b':').map(|folder| if folder.is_empty() { b"." } else { folder })
}

pub(super) fn c_string(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(program: &str) -> Vec<CString> {
        let mut all = Vec::new();
        let mut candidates = Candidates::new(OsStr::new(program)).expect("no NUL");
        let room = candidates.path.capacity();
        let answer = candidates.find(|path| {
            all.push(path.to_owned());
            None::<()>
        });
        assert_eq!((answer, candidates.path.capacity()), (None, room));
        all
    }

    #[test]
    fn a_name_with_a_slash_is_not_looked_up() {
        assert_eq!(all("./x"), [c"./x".to_owned()]);
        assert_eq!(all(""), [c"".to_owned()]);
        let found = all("x");
        assert_eq!(found.len(), parts(process::variable("PATH").expect("the tests have one")).count());
        assert!(found.iter().all(|path| path.to_bytes().ends_with(b"/x")), "{found:?}");
    }

    #[test]
    fn an_empty_entry_of_path_is_the_folder_that_we_are_in() {
        assert_eq!(parts(b":/a::/b:").collect::<Vec<_>>(), [&b"."[..], b"/a", b".", b"/b", b"."]);
    }
}
