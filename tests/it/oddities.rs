//! Systems that are not as they should be: hidden processes, refused calls, folders that may not be entered.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use drainit::signal::Signal;

use crate::harness::{BOTH, Init, Mode};
use crate::start::workload_for_all;

fn root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("not run: only root can set this up");
    }
    root
}

#[test]
fn a_folder_that_the_user_cannot_enter_is_no_obstacle_for_steps() {
    if !root() {
        return;
    }
    for mode in BOTH {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let main = workload_for_all(&folder, "name=main catch=TERM:1ms:4 ready hold");
        let closed = tempfile::tempdir().expect("a scratch folder");
        fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).expect("our own folder");
        let flags = ["--user=64321:64321", "--pre-stop=id -u", "--post-exit=id -g"];
        let mut init = Init::new(mode).in_directory(closed.path()).flags(&flags).command(&main).start();
        init.ready(&["main"]).signal(Signal::TERM);
        let run = init.finish();
        run.exits(4).silently().in_order(&["64321", "main got TERM", "64321"]);
    }
}

#[test]
fn steps_do_not_hear_of_sockets_that_are_the_command_s() {
    for mode in BOTH {
        let hook = "sh -c 'echo hook $LISTEN_PID-$LISTEN_FDS-$LISTEN_FDNAMES'";
        let mut init = Init::new(mode)
            .under(&["sh", "-c", "LISTEN_PID=$$ exec \"$@\"", "sh"])
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDNAMES", "web")
            .flags(&["--pre-stop", hook])
            .workload("name=main env=LISTEN_FDS catch=TERM:1ms:4 ready hold")
            .start();
        init.ready(&["main"]).signal(Signal::TERM);
        init.finish().exits(4).in_order(&["main env LISTEN_FDS=1", "hook --", "main got TERM"]);
    }
}

#[test]
fn a_step_that_waits_for_its_own_program_does_not_hold_up_the_init() {
    if !root() {
        return;
    }
    // A pipe without a writer in place of /dev/null: opening it waits.
    let script = "mount -t tmpfs none /dev && mkfifo /dev/null && exec \"$@\"";
    let mut init = Init::subreaper()
        .under(&["unshare", "--mount", "sh", "-c", script, "sh"])
        .flags(&["--grace-period=2s", "--pre-stop=true"])
        .workload("name=main catch=TERM:1ms:4 ready hold")
        .start();
    init.ready(&["main"]).signal(Signal::TERM);
    init.finish().exits(4).in_order(&["main got TERM"]);
}

#[test]
fn a_step_has_no_stdin_without_dev_null() {
    if !root() {
        return;
    }
    let hook = format!("{} name=hook fds", crate::harness::WORKLOAD);
    let mut init = Init::subreaper()
        .under(&["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /dev && exec \"$@\"", "sh"])
        .flags(&["--pre-stop", &hook])
        .workload("name=main catch=TERM:1ms:4 ready hold")
        .start();
    init.ready(&["main"]).signal(Signal::TERM);
    init.finish().exits(4).silently().in_order(&["hook fds 1 2", "main got TERM"]);
}

#[test]
fn if_proc_hides_processes_all_are_signalled() {
    if !root() {
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let daemon = workload_for_all(&folder, "name=daemon catch=TERM:100ms ready hold").join(" ");
    // The daemon is another user's, and drainit, without the capability to see it, has it as a child.
    let script = format!(
        "mount -o remount,hidepid=2,gid=64000 /proc && \
         setpriv --reuid=64321 --clear-groups setsid {daemon} & \
         exec setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace \"$@\""
    );
    let mut init = Init::new(Mode::PidOne)
        .under(&["sh", "-c", &script, "sh"])
        .flags(&["--grace-period=10s"])
        .workload("name=main catch=TERM:1ms:4 ready hold")
        .start();
    init.ready(&["daemon", "main"]).signal(Signal::TERM);
    let run = init.finish();
    run.exits(4).silently().in_order(&["daemon got TERM", "daemon finished"]);
}

#[test]
fn with_stdin_closed_the_reason_of_a_failed_step_is_said() {
    for mode in BOTH {
        let mut init = Init::new(mode)
            .under(&["sh", "-c", "exec \"$@\" <&-", "sh"])
            .flags(&["-v", "--pre-stop-http=http://127.0.0.1:1/"])
            .workload("name=main catch=TERM:1ms:4 ready hold")
            .start();
        init.ready(&["main"]).signal(Signal::TERM);
        let run = init.finish();
        run.exits(4);
        assert!(run.stderr.iter().any(|line| line.contains("127.0.0.1:1: connection refused")), "{run:?}");
    }
}

#[test]
fn a_user_that_it_is_already_needs_no_right() {
    if !root() {
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let mut words = workload_for_all(&folder, "ids");
    let copy = crate::binary::copy_in(folder.path());
    let copy = copy.to_str().expect("text").to_owned();
    words.splice(
        0..0,
        ["--reuid=64322", "--regid=64322", "--clear-groups", &copy, "--user=64322:64322", "--"]
            .map(String::from),
    );
    let output = std::process::Command::new("setpriv").args(&words).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ids uid=64322 gid=64322 groups=\n");
}

#[test]
fn a_wrong_option_is_one_line_whatever_is_in_it() {
    for flag in ["--a\nb", "--wait-for-all=a\nb", "-\n", "-v\nq"] {
        let run = Init::subreaper().flags(&[flag]).workload("say=started").run();
        run.exits(125);
        assert!(run.stdout.is_empty() && run.stderr.len() == 1, "{run:?}");
    }
}
