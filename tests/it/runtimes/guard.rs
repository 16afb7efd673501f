//! What the tests with real containers promise themselves: a failed one leaves nothing behind, a missing runtime is noticed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use drainit::plan::processes::Process;

use super::daemon::Daemon;
use super::{Bundle, REQUIRE, is_alive, not_run, runtimes};
use crate::harness::{look_again, wait_until};

#[test]
fn a_test_that_fails_leaves_nothing_behind() {
    let family = "drainit -- fake-workload daemon{ ignore=all name=daemon ready hold } name=main ignore=all ready hold";
    for runtime in runtimes() {
        for own_pids in [true, false] {
            let bundle = Bundle::new(runtime, family);
            let bundle = if own_pids { bundle } else { bundle.without_pid_namespace() };
            let mut container = bundle.start();
            let mut processes = container.running().descendants();
            container.ready(&["daemon", "main"]);
            processes.extend(container.running().descendants());
            assert!(processes.len() >= 3, "drainit, main, daemon: {processes:?}");
            let (id, path) = (container.id.clone(), container.path().to_owned());
            assert!(has_cgroup(Path::new("/sys/fs/cgroup"), &id), "this test knows where to look");

            drop(container);

            assert!(!Path::new(&path).exists());
            assert!(!has_cgroup(Path::new("/sys/fs/cgroup"), &id));
            let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc is there");
            assert!(!mounts.contains(&id), "{mounts}");
            let lives = |process: &Process| look_again(process).is_some_and(|now| now.is_alive());
            wait_until("all are gone", || (!processes.iter().any(lives)).then_some(()));
        }
    }
}

#[test]
fn one_that_is_dropped_as_soon_as_it_is_started_leaves_nothing_behind() {
    for runtime in runtimes() {
        let container = Bundle::new(runtime, "drainit -- fake-workload hold").start();
        let id = container.id.clone();
        drop(container);
        assert!(!has_cgroup(Path::new("/sys/fs/cgroup"), &id));
    }
}

#[test]
fn a_test_program_that_is_killed_leaves_nothing_behind() {
    for runtime in ["containerd", "podman"] {
        is_killed_with_a_container_of(runtime);
    }
}

fn is_killed_with_a_container_of(runtime: &str) {
    let test =
        format!("runtimes::{runtime}::an_entrypoint_that_ignores_the_signal_ends_long_before_the_timeout");
    // The daemons keep to folders in here.
    let folder = Daemon::folder();
    let mut program = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", &test])
        .env("TMPDIR", folder.path())
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("it can be run");
    let (daemon, pid) = wait_until("it has a container, or there can be none here", || {
        if program.try_wait().expect("our own child").is_some() {
            return Some((String::new(), 0));
        }
        let entry = fs::read_dir(folder.path()).expect("our own folder").next()?.expect("an entry");
        let name = entry.file_name().to_str().expect("text").to_owned();
        let pid = fs::read_to_string(entry.path().join("pid")).ok()?.trim().parse().ok()?;
        has_cgroup(Path::new("/sys/fs/cgroup"), &name).then_some((name, pid))
    });
    if pid == 0 {
        let status = program.wait().expect("our own child");
        assert!(status.success(), "the test that was to be killed has failed");
        not_run(runtime, "it cannot be started here");
        return;
    }
    program.kill().expect("our own child");
    program.wait().expect("our own child");
    wait_until("nothing is left", || {
        let folders = fs::read_dir(folder.path()).expect("our own folder").count();
        let lives = is_alive(pid) || has_cgroup(Path::new("/sys/fs/cgroup"), &daemon);
        (folders == 0 && !lives).then_some(())
    });
}

/// Whether there is a cgroup whose name has this in it.
fn has_cgroup(folder: &Path, id: &str) -> bool {
    fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        entry.file_type().is_ok_and(|kind| kind.is_dir())
            && (entry.file_name().to_string_lossy().contains(id) || has_cgroup(&entry.path(), id))
    })
}

#[test]
fn without_the_programs_a_test_says_that_it_did_not_run_and_fails_if_they_are_required() {
    for (test, missing) in [
        ("runtimes::exit_code::the_command_s_own_exit_code_passes_through", &["runc", "crun"][..]),
        ("runtimes::containerd::the_exit_status_passes_through", &["containerd"]),
        ("runtimes::docker::the_exit_status_passes_through", &["docker"]),
        ("runtimes::podman::the_exit_status_passes_through", &["podman"]),
        ("runtimes::nginx::under_tini_the_download_is_cut_short", &["nginx"]),
        ("runtimes::vm::when_the_command_has_ended_the_machine_is_off", &["qemu-system-x86"]),
    ] {
        let run = |required: &str| {
            Command::new(std::env::current_exe().expect("this program"))
                .args(["--exact", test])
                .env("PATH", "/nowhere")
                .env(REQUIRE, required)
                .output()
                .expect("it can be run")
        };
        let output = run("");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{output:?}");
        for name in missing {
            assert!(said.contains(&format!(": not run: {name} is not installed")), "{said}");
        }
        let output = run("1");
        assert!(!output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(&format!("{} is not installed", missing[0])), "{output:?}");
    }
}
