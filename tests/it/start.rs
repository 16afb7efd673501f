//! What the command is started with, and what drainit keeps for itself.

use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;

use drainit::signal::Signal;

use crate::harness::{BOTH, Init, Mode, WORKLOAD, wait_until};

/// One field of the fake workload's `state` line.
pub(crate) fn field(state: &str, name: &str) -> String {
    let start = format!("{name}=");
    let found = state.split_whitespace().find_map(|word| word.strip_prefix(&start));
    found.unwrap_or_else(|| panic!("{name} is not in {state:?}")).to_owned()
}

/// Without 32 and 33, which the C library of this test ignores in what it spawns.
pub(crate) fn mask(state: &str, name: &str) -> u64 {
    u64::from_str_radix(&field(state, name), 16).expect("a mask in hex") & !(0b11 << 31)
}

fn state(init: Init) -> String {
    let run = init.workload("state").run();
    run.exits(0).silently();
    run.stdout.first().expect("one line").clone()
}

#[test]
fn the_command_gets_the_mask_and_the_dispositions_that_drainit_got() {
    let bits = |signals: &[Signal]| signals.iter().fold(0, |bits, signal| bits | signal.bit());
    for mode in BOTH {
        let plain = state(Init::new(mode));
        for (name, expected) in [("SigBlk", 0), ("SigIgn", 0), ("SigCgt", 0)] {
            assert_eq!(mask(&plain, name), expected, "{plain}");
        }
        let odd = [
            "env",
            "--ignore-signal=PIPE,INT,TTOU,SEGV,CHLD",
            "--block-signal=TERM,TTIN,ILL,RTMIN,RTMAX,USR1",
        ];
        let odd = state(Init::new(mode).under(&odd));
        // SIGCHLD is at its default again: a command that inherits it as ignored loses its own children's statuses.
        let ignored = bits(&[Signal::PIPE, Signal::INT, Signal::SEGV]) | 1 << 21;
        assert_eq!(mask(&odd, "SigIgn"), ignored, "{odd}");
        let blocked = bits(&[Signal::TERM, Signal::ILL, Signal::USR1]) | 1 << 20 | 1 << 33 | 1 << 63;
        assert_eq!(mask(&odd, "SigBlk"), blocked, "{odd}");
    }
}

#[test]
fn the_command_leads_a_group_of_its_own_in_drainit_s_session() {
    for mode in BOTH {
        let state = state(Init::new(mode));
        assert_eq!(field(&state, "pid"), field(&state, "pgrp"));
        assert_ne!(field(&state, "pid"), field(&state, "sid"));
        assert_eq!(field(&state, "ppid") == "1", mode == Mode::PidOne, "{state}");
    }
}

#[test]
fn a_signal_from_before_the_start_is_not_lost() {
    // Blocked by env and sent by a child of the shell, it is pending when the shell becomes drainit.
    let pending =
        ["env", "--block-signal=USR1", "bash", "-c", "sh -c 'kill -USR1 $PPID'; exec \"$@\"", "bash"];
    for mode in BOTH {
        let mut init = Init::new(mode).under(&pending).workload("take=all ready hold").start();
        init.line("got USR1");
        init.end().silently();
    }
}

#[test]
fn inherited_descriptors_stay_open_in_the_command_and_not_in_drainit() {
    let (reader, writer) = nix::unistd::pipe().expect("a pipe can be made");
    // Not close-on-exec, and with a number that is not in use.
    let kept = writer.as_raw_fd();
    assert!(kept > 2);
    for mode in BOTH {
        let mut init = Init::new(mode).workload("fds ready hold").start();
        let open = init.line_after("fds");
        assert!(open.split(' ').any(|number| number == kept.to_string()), "{open}");
        init.line_after("ready");
        init.idle();
        let folder = format!("/proc/{}/fd", init.pid());
        let own: Vec<_> = std::fs::read_dir(folder)
            .expect("drainit is there")
            .map(|entry| std::fs::read_link(entry.expect("an entry").path()).expect("it is open"))
            .collect();
        let signals = own.iter().filter(|file| file.as_os_str() == "anon_inode:[signalfd]").count();
        assert_eq!((own.len(), signals), (4, 1), "{own:?}");
    }
    drop(reader);
}

#[test]
fn drainit_leaves_its_directory_and_the_command_stays_there() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let place = folder.path().canonicalize().expect("it is there");
    for mode in BOTH {
        let mut init = Init::new(mode).in_directory(&place).workload("cwd ready hold").start();
        assert_eq!(init.line_after("cwd"), place.to_str().expect("text"));
        init.line_after("ready");
        init.idle();
        let own = std::fs::read_link(format!("/proc/{}/cwd", init.pid())).expect("drainit is there");
        assert_eq!(own, std::path::Path::new("/"));
    }
}

#[test]
fn the_working_directory_can_be_chosen() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let place = folder.path().canonicalize().expect("it is there");
    let place = place.to_str().expect("text");
    let run = Init::subreaper().flags(&["--workdir", place]).workload("cwd").run();
    run.exits(0).silently();
    assert_eq!(run.stdout, [format!("cwd {place}")]);
    let run = Init::subreaper().env("DRAINIT_WORKDIR", "/nowhere/at/all").workload("cwd").run();
    run.exits(125);
    assert!(run.complaint().contains("--workdir") && run.complaint().contains("/nowhere/at/all"), "{run:?}");
    assert!(run.stdout.is_empty(), "nothing was started");
}

#[test]
fn the_environment_is_passed_unchanged() {
    let run = Init::subreaper()
        .env("SOME_NAME", "a value = with\ttabs")
        .workload("env=SOME_NAME env=LISTEN_PID")
        .run();
    assert_eq!(run.stdout, ["env SOME_NAME=a value = with\ttabs", "env LISTEN_PID unset"]);
}

#[test]
fn sockets_for_drainit_are_for_the_command() {
    for mode in BOTH {
        let naming = ["sh", "-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"", "sh"];
        let mut init =
            Init::new(mode).under(&naming).workload("env=LISTEN_PID env=LISTEN_FDS ready hold").start();
        let named = init.line_after("env LISTEN_PID=");
        init.line("env LISTEN_FDS=1");
        assert_eq!(init.line_after("ready"), named);
    }
    let other = Init::subreaper().env("LISTEN_PID", "12").workload("env=LISTEN_PID").run();
    assert_eq!(other.stdout, ["env LISTEN_PID=12"], "meant for another process");
}

#[test]
fn the_command_runs_as_the_given_user() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not run: only root can change users");
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    for mode in BOTH {
        for (user, expected) in
            [("1234:4321", "uid=1234 gid=4321 groups="), ("1234", "uid=1234 gid=0 groups=")]
        {
            let run = Init::new(mode)
                .in_directory("/")
                .flags(&["-u", user, "-p", "TERM"])
                .command(&workload_for_all(&folder, "ids"))
                .run();
            run.exits(0).silently();
            assert_eq!(run.stdout, [format!("ids {expected}")]);
        }
    }
}

/// A copy that every user can run, wherever the build's own folder is.
pub(crate) fn workload_for_all(folder: &tempfile::TempDir, directives: &str) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("our own folder");
    let copy = folder.path().join("workload");
    if !copy.exists() {
        std::fs::copy(WORKLOAD, &copy).expect("a copy");
    }
    let mut command = vec![copy.to_str().expect("text").to_owned()];
    command.extend(directives.split_whitespace().map(str::to_owned));
    command
}

#[test]
fn the_command_gets_the_parent_death_signal_when_drainit_is_killed() {
    let mut init = Init::subreaper().flags(&["-p", "USR1"]).workload("catch=USR1:1ms ready hold").start();
    let main: i32 = init.line_after("ready").parse().expect("a pid");
    init.signal(Signal::KILL).line("got USR1").line("finished");
    wait_until("the command is gone", || drainit::sys::kill::send(main, Signal::CONT).is_err().then_some(()));
    init.finish().exits(137);
}

#[test]
fn a_subreaper_adopts_and_pid_one_does_not_need_to() {
    for mode in BOTH {
        let run = Init::new(mode).workload("orphan{ name=orphan state } sleep=50ms").run();
        let state = run
            .stdout
            .iter()
            .find(|line| line.starts_with("orphan state"))
            .expect("the orphan's state")
            .clone();
        assert_eq!(field(&state, "ppid") == "1", mode == Mode::PidOne, "{state}");
    }
}

#[test]
fn closed_standard_descriptors_are_no_problem() {
    for closing in ["<&-", ">&-", "2>&-", "<&- 2>&-", "<&- >&- 2>&-"] {
        for mode in BOTH {
            let closed = ["sh", "-c", &format!("exec \"$@\" {closing}"), "sh"];
            Init::new(mode).under(&closed).workload("exit=3").run().exits(3).silently();
            let failing = Init::new(mode).under(&closed).command(&["/nowhere/to/be/found"]).run();
            failing.exits(127);
        }
    }
}

#[test]
fn the_first_system_call_blocks_every_signal() {
    let Ok(strace) = std::process::Command::new("strace")
        .args(["-e", "trace=all", *crate::harness::DRAINIT, "--version"])
        .output()
    else {
        eprintln!("not run: strace is not installed");
        return;
    };
    let calls = String::from_utf8_lossy(&strace.stderr).into_owned();
    let calls: Vec<&str> = calls.lines().take(2).collect();
    assert!(calls.first().is_some_and(|call| call.starts_with("execve(")), "{calls:?}");
    assert!(
        calls.get(1).is_some_and(|call| call.starts_with("rt_sigprocmask(SIG_SETMASK, ~[], ")),
        "{calls:?}"
    );
}

/// It leaves before the command runs, which may be quick to look.
#[test]
fn the_command_finds_drainit_in_the_root_and_itself_where_it_was_started() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let here = folder.path().canonicalize().expect("it is there");
    let here = here.to_str().expect("text");
    for _ in 0..30 {
        let look = ["sh", "-c", "readlink /proc/$PPID/cwd /proc/self/cwd"];
        let run = Init::subreaper().in_directory(here).command(&look).run();
        assert_eq!(run.exits(0).silently().stdout, ["/", here]);
    }
    // Paths mean what they meant, also in what is said of a command that cannot be run.
    std::fs::create_dir(folder.path().join("below")).expect("our own folder");
    let run = Init::subreaper().in_directory(here).flags(&["--workdir", "below"]).command(&["pwd"]).run();
    assert_eq!(run.exits(0).silently().stdout, [format!("{here}/below")]);
    let script = folder.path().join("script");
    std::fs::write(&script, "#!/nowhere/sh\n").expect("our own folder");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).expect("our own folder");
    let run = Init::subreaper().in_directory(here).command(&["./script"]).run();
    assert!(run.exits(127).complaint().contains("\"/nowhere/sh\" is not there"), "{run:?}");
}
