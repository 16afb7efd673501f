//! `--copy-to`: an init container hands drainit to another one, from an image that has no `cp`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};

use crate::harness::DRAINIT;

fn copies(options: &[&str]) -> Output {
    Command::new(*DRAINIT).args(options).output().expect("it can be run")
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a scratch folder")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn the_copy_is_the_program_and_every_user_may_run_it() {
    let folder = scratch();
    let to = folder.path().join("drainit");
    let line = format!("umask 077; exec {} --copy-to {}", *DRAINIT, text(&to));
    let output = Command::new("sh").args(["-c", &line]).output().expect("it can be run");
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    assert!(fs::read(&to).expect("it is there") == fs::read(*DRAINIT).expect("it was built"));
    assert_eq!(fs::metadata(&to).expect("it is there").permissions().mode() & 0o7777, 0o755);
    assert_eq!(fs::read_dir(folder.path()).expect("our own folder").count(), 1, "nothing is left beside it");
    let output = Command::new(&to).args(["--", "sh", "-c", "exit 7"]).output().expect("it can be run");
    assert_eq!(output.status.code(), Some(7), "{output:?}");
}

/// An init container runs again, and what runs must not be written to (ETXTBSY).
#[test]
fn what_was_there_is_replaced_and_whoever_runs_it_keeps_it() {
    let folder = scratch();
    let to = folder.path().join("drainit");
    fs::copy("/bin/sleep", &to).expect("our own folder");
    let mut sleeper = Command::new(&to).arg("60").spawn().expect("it can be run");
    let before = fs::metadata(&to).expect("it is there").ino();
    let output = copies(&["--copy-to", text(&to)]);
    assert!(output.status.success(), "{output:?}");
    assert_ne!(fs::metadata(&to).expect("it is there").ino(), before);
    assert!(sleeper.try_wait().expect("our own child").is_none());
    sleeper.kill().expect("our own child");
    sleeper.wait().expect("our own child");
}

#[test]
fn what_cannot_be_done_is_one_line_and_125_and_nothing_is_left() {
    let folder = scratch();
    fs::create_dir_all(folder.path().join("folder/inside")).expect("our own folder");
    let place = |name: &str| format!("{}/{name}", text(folder.path()));
    for (path, reason) in [
        (place("nowhere/drainit"), "no such file or directory"),
        (place("folder"), "is a directory"),
        (place("folder/"), "is a directory"),
        ("/dev/null/drainit".to_owned(), "not a directory"),
        (String::new(), "is a directory"),
    ] {
        let output = copies(&["--copy-to", &path]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{output:?}");
        assert!(said.starts_with(&format!("drainit: error: cannot copy drainit to {path:?}: ")), "{said}");
        assert!(said.contains(reason) && said.lines().count() == 1, "{reason}: {said}");
        assert_eq!(fs::read_dir(folder.path()).expect("our own folder").count(), 1, "{path}");
    }
    let output = copies(&["--copy-to", &place("drainit"), "--", "true"]);
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert!(!folder.path().join("drainit").exists());
}
