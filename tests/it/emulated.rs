//! Under qemu's user mode, as in `docker build --platform`, as PID 1. A vfork is a fork there: it shares no memory and does not hold the parent.

use std::process::{Command, Stdio};

use crate::harness::{DRAINIT, shell_code};
use crate::runtimes::{installed, not_run};

/// The exit code of drainit, and what it said, under the emulator of this machine's own processor. `None` if there is none.
fn run(words: &[&str]) -> Option<(i32, String)> {
    let emulator = format!("qemu-{}-static", std::env::consts::ARCH);
    if installed(&emulator).is_none() {
        not_run("qemu's user mode", "qemu-user-static is not installed");
        return None;
    }
    let mut command = Command::new("timeout");
    crate::gate::without_test_variables(&mut command);
    let output = command
        .args(["-k", "5", "30", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(if nix::unistd::geteuid().is_root() { &[][..] } else { &["--user", "--map-root-user"] })
        .args([emulator.as_str(), *DRAINIT])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .expect("timeout can be run");
    Some((shell_code(output.status), String::from_utf8_lossy(&output.stderr).trim_end().to_owned()))
}

#[test]
fn a_command_that_cannot_be_started_is_told_of_if_vfork_is_fork() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "x").expect("our own folder");
    let plain = plain.to_str().expect("text");
    for (words, code, part) in [
        (&["--", "/nowhere/to/be/found"][..], 127, "cannot run \"/nowhere/to/be/found\": "),
        (&["--", plain], 126, "cannot run "),
        (&["--workdir", "/nowhere", "--", "true"], 125, "--workdir \"/nowhere\": "),
    ] {
        let Some((found, said)) = run(words) else { return };
        assert!(
            found == code && said.contains(part) && said.lines().count() == 1,
            "{words:?}: {found}, {said}"
        );
    }
}

/// The emulator refuses it, and says nothing. What is not PID 1 says that, and goes on.
#[test]
fn that_no_orphan_can_be_adopted_is_said() {
    let emulator = format!("qemu-{}-static", std::env::consts::ARCH);
    if installed(&emulator).is_none() {
        return not_run("qemu's user mode", "qemu-user-static is not installed");
    }
    let mut command = Command::new(emulator);
    crate::gate::without_test_variables(&mut command);
    let output = command.args([*DRAINIT, "--", "sh", "-c", "exit 7"]).output().expect("it can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(shell_code(output.status), 7, "{said}");
    assert!(
        said.starts_with("drainit: warning: cannot adopt orphans: ") && said.lines().count() == 1,
        "{said}"
    );
}

#[test]
fn a_command_that_is_started_there_is_not_taken_for_one_that_is_not() {
    for code in [0, 7, 127] {
        let Some((found, said)) = run(&["--", "sh", "-c", &format!("exit {code}")]) else { return };
        assert_eq!((found, said.as_str()), (code, ""));
    }
}
