//! What is fuzzed. `cargo test` runs the same over the corpus that is checked in.

use std::ffi::{OsStr, OsString};
use std::io::Cursor;
use std::os::unix::ffi::OsStrExt;

use drainit::processes::{facts, stat, status};
use drainit::settings::Settings;
use drainit::sys::procfs;
use drainit::workers::{http, idle};

/// The files of /proc. What is read is what was written, as far as it can be compared.
pub(crate) fn proc(data: &[u8]) {
    if let Some(process) = stat::parse(data) {
        assert!(process.is_same(&process));
        let _ = (process.name.to_string(), process.is_alive());
    }
    let _ = status::parse(data);
    let mut pids = 0;
    procfs::each_pid(data, &mut 0, &mut |pid| pids += usize::from(0 < pid));
    assert!(pids <= data.len());
    let _ = (facts::call(data), facts::moved(data), facts::pipe_number(data));
    let (link, info) = data.split_at(data.iter().position(|&byte| byte == 0).unwrap_or(data.len()));
    let _ = facts::stdin(link, info);
}

/// The answer of a server, and the kernel's tables of connections: the first two bytes are the port.
pub(crate) fn net(data: &[u8]) {
    let _ = http::read_status(&mut Cursor::new(data));
    if let [high, low, table @ ..] = data {
        let _ = idle::listed(Cursor::new(table), u16::from_be_bytes([*high, *low]));
    }
}

/// A command line, one word a line; lines `NAME=value` behind an empty one are the environment.
pub(crate) fn settings(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n').map(OsStr::from_bytes);
    let words: Vec<OsString> = std::iter::once(OsStr::new("drainit"))
        .chain(lines.by_ref().take_while(|line| !line.is_empty()))
        .map(OsStr::to_owned)
        .collect();
    let variables: Vec<&[u8]> = lines.map(OsStr::as_bytes).collect();
    let variable = |name: &str| {
        let found = variables.iter().find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
        found.map(|value| OsStr::from_bytes(value).to_owned())
    };
    if let Ok(typed) = drainit::cli::parse(words)
        && let Err(problem) = Settings::new(typed, variable)
    {
        // One line, whatever was typed.
        assert!(!problem.to_string().contains('\n'), "{problem}");
    }
}
