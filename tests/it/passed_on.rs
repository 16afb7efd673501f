//! What stands between a shell and a server: programs that pass TERM on, run several at once, or hide that they wait. The server hears TERM once.

use crate::harness::WORKLOAD;
use crate::shells::{
    ALL, ASH, AT_ONCE, BASH, DASH, Shell, Try, ZSH, is_installed, once_and_finished, server,
};

/// zsh has it only if there is a terminal.
const WITH_JOB_CONTROL: [Shell; 3] = [DASH, BASH, ASH];

/// Behind a wrapper, in the foreground and in the background, without a trap and with one that relays.
fn behind(wrapper: &str, shells: &[Shell]) {
    let (quick, slow) = (server("300ms"), server("3s"));
    for script in [format!("{wrapper} {quick}; true"), format!("{wrapper} {quick} & wait")] {
        Try::new(&script).shells(shells).hears_it_once_and_at_once();
    }
    let script = format!("trap 'kill $p; wait $p' TERM; {wrapper} {slow} & p=$!; wait $p");
    Try::new(&script).shells(shells).hears_it_once();
}

#[test]
fn programs_that_become_the_server_are_not_in_the_way() {
    for wrapper in
        ["nohup", "env -i", "env -u HOME", "nice -n 1", "stdbuf -o0", "exec nice", "setpriv --no-new-privs"]
    {
        let script = format!("({wrapper} {}; true) & wait", server("300ms"));
        Try::new(&script).shells(&[DASH, BASH]).hears_it_once_and_at_once();
    }
    behind("nohup", &[DASH, BASH, ZSH]);
}

#[test]
fn shells_three_deep_and_chains_of_exec_are_gone_through() {
    let server = server("300ms");
    for script in [
        format!("sh -c \"sh -c '{server}; true'; true\"; true"),
        format!("sh -c \"sh -c '{server} & wait' & wait\" & wait"),
        format!("bash -c \"dash -c '{server}; true'; true\" & wait"),
        format!("exec sh -c \"exec sh -c 'exec {server}'\""),
        format!("sh -c \"exec sh -c '{server}; true'\" & wait"),
        format!("(({server}; true) & wait)"),
        format!("{{ {server}; }} & wait"),
    ] {
        Try::new(&script).hears_it_once_and_at_once();
    }
}

#[test]
fn traps_at_every_depth_leave_the_server_one_signal() {
    let (quick, slow) = (server("300ms"), server("3s"));
    for script in [
        // All wait in the foreground.
        format!(
            "trap 'echo a' TERM; sh -c \"trap 'echo b' TERM; sh -c \\\"trap : TERM; {quick}; true\\\"; true\"; true"
        ),
        // The inner one answers.
        format!(
            "trap 'echo a' TERM; sh -c 'trap \"kill \\$p; wait \\$p\" TERM; {slow} & p=$!; wait $p'; true"
        ),
        // The outer one answers.
        format!(
            "trap 'kill $q; wait $q; wait $q' TERM; sh -c 'trap \"kill \\$p; wait \\$p\" TERM; {slow} & p=$!; wait $p' & q=$!; wait $q"
        ),
    ] {
        Try::new(&script).shells(&[DASH]).hears_it_once();
    }
}

#[test]
fn job_control_in_a_script_is_no_obstacle_without_a_trap() {
    let server = server("300ms");
    for script in [
        format!("set -m; {server} & wait"),
        format!("set -m; {server}; true"),
        format!("set -m; fg_() {{ {server}; true; }}; fg_"),
    ] {
        Try::new(&script).shells(&WITH_JOB_CONTROL).hears_it_once_and_at_once();
    }
}

#[test]
fn with_job_control_a_trap_that_relays_is_the_only_one_that_does() {
    let script = format!("set -m; trap 'kill $p; wait $p' TERM; {} & p=$!; wait $p", server("3s"));
    Try::new(&script).shells(&WITH_JOB_CONTROL).hears_it_once();
}

#[test]
fn coprocesses_and_substituted_processes_are_signalled_once() {
    let (quick, slow) = (server("300ms"), server("3s"));
    for script in [
        format!("exec 3>&1; coproc {{ {quick} >&3; }}; wait"),
        format!("exec 3>&1; cat <({quick} 2>&1 >&3); true"),
        format!("exec 3>&1; cat < <({quick} 2>&1 >&3); true"),
        format!("exec 3>&1; {quick} > >(cat >&3); true"),
    ] {
        Try::new(&script).shells(&[BASH]).hears_it_once_and_at_once();
    }
    let script = format!(
        "exec 3>&1; trap 'kill $p; wait $p' TERM; coproc {{ exec {slow} >&3; }}; p=$COPROC_PID; wait $p"
    );
    Try::new(&script).shells(&[BASH]).hears_it_once();
    // The shell reads what the server says line by line, and a trap interrupts that.
    let script = format!(
        "exec 3>&1; trap 'kill $p; wait $p; exit' TERM; exec 4< <(exec {WORKLOAD} name=server catch=TERM:3s catch=INT,QUIT ready hold 2>&1 >&3); p=$!; \
         while read -r line <&4; do echo \"$line\"; done; wait $p"
    );
    Try::new(&script).shells(&[BASH]).hears_it_once();
}

#[test]
fn programs_that_run_several_at_once_end_with_them() {
    let server = server("300ms");
    let folder = tempfile::tempdir().expect("a scratch folder");
    let makefile = folder.path().join("Makefile");
    std::fs::write(&makefile, format!("all: one two\none:\n\t@{server}\ntwo:\n\t@sleep 60\n"))
        .expect("our own");
    let mut tries = vec![
        ("xargs", format!("echo {} | xargs -P 2 -n 9 sh -c 'exec \"$@\"' sh", server)),
        ("make", format!("make -s -j2 -f {} all; true", makefile.display())),
    ];
    if is_installed("parallel") {
        tries.push(("parallel", format!("parallel -u -j2 ::: '{server}' 'sleep 60'; true")));
    }
    for (name, script) in tries {
        Try::new(&script).shells(&[DASH]).run(|run, _| {
            assert!((1..=2).contains(&run.count("server got TERM")), "{name}: {run:#?}");
            assert!(!run.warnings().iter().any(|line| line.contains("killing")), "{name}: {run:#?}");
        });
    }
}

#[test]
fn programs_that_wait_for_the_server_are_signalled_with_it_or_pass_it_on() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let lock = folder.path().join("lock");
    let flock = format!("flock {}", lock.display());
    for wrapper in [flock.as_str(), "setsid -w", "env -S 'nice -n 1'"] {
        behind(wrapper, &[DASH]);
    }
}

#[test]
fn sudo_passes_it_on_once() {
    if !nix::unistd::geteuid().is_root() || !is_installed("sudo") {
        return;
    }
    let server = server("300ms");
    for script in [
        format!("sudo -n {server}; true"),
        format!("sudo -n {server} & wait"),
        format!("trap 'kill $p; wait $p' TERM; sudo -n {server} & p=$!; wait $p"),
        format!("trap 'echo trap' TERM; sudo -n {server}; true"),
    ] {
        Try::new(&script).shells(&[DASH]).hears_it_once();
    }
}

#[test]
fn timeout_in_a_shell_with_a_trap_passes_it_on() {
    // coreutils' timeout sends it to its child and to its group, which is mostly one signal and sometimes two.
    let server = server("300ms");
    for script in [
        format!("trap 'echo trap' TERM; timeout 100 {server}; true"),
        format!("trap 'kill $p; wait $p' TERM; timeout 100 {server} & p=$!; wait $p"),
        format!("timeout 100 sh -c '{server}; true'; true"),
    ] {
        Try::new(&script).shells(&ALL[..1]).run(|run, took| {
            assert!((1..=2).contains(&run.count("server got TERM")), "{script}: {run:#?}");
            assert!(took < AT_ONCE, "{script}: {took:?}");
        });
    }
}

#[test]
fn a_trap_for_the_end_alone_is_no_handler_that_answers() {
    let server = server("300ms");
    for script in [
        format!("trap 'echo bye' EXIT; {server} & wait"),
        format!("trap 'kill $p; wait $p' EXIT; {server} & p=$!; wait $p"),
        format!("trap 'echo bye' EXIT; {server}; true"),
    ] {
        // Its end may tell the server: what was told is given its time before it is signalled.
        Try::new(&script).run(|run, took| {
            once_and_finished(run);
            assert!(took < AT_ONCE, "{script}: {took:?}");
        });
    }
}

#[test]
fn a_trap_that_relays_behind_a_log_that_is_followed_is_the_only_one_that_does() {
    let server = server("3s");
    for (script, starts) in [
        (format!("trap 'kill $p; wait $p; exit' TERM; {server} & p=$!; tail -f /dev/null; wait"), "tail"),
        (format!("trap 'kill $p; wait $p; exit' TERM; {server} & p=$!; while :; do sleep 1; done"), "sleep"),
        (format!("trap 'kill $p; wait $p; exit' TERM; {server} & p=$!; sleep 100 & wait $!; wait"), "sleep"),
    ] {
        Try::new(&script).starts(starts).hears_it_once();
    }
}

#[test]
fn a_trap_that_tells_the_whole_group_is_the_only_one_that_does() {
    // The shell ends with it, and the server has then two seconds.
    let server = server("1s");
    for script in [
        format!("trap 'trap - TERM; kill 0' TERM; {server} & wait"),
        format!("trap 'trap \"\" TERM; kill 0; wait' TERM; {server} & wait"),
    ] {
        Try::new(&script).hears_it_once();
    }
}

#[test]
fn what_shares_the_stdin_of_a_shell_that_is_no_bash_may_be_in_the_background() {
    let script = format!("trap 'kill $p; wait $p' TERM; {} <&0 & p=$!; wait $p", server("3s"));
    Try::new(&script).shells(&[DASH, ASH, ZSH]).hears_it_once();
    // bash gives a background command its own stdin only if that is asked for. With a read-only null device it is in doubt.
    Try::new(&script).shells(&[BASH]).hears_it_once();
}

#[test]
fn many_servers_behind_one_shell_hear_it_once_each() {
    let named = |name: &str| format!("{WORKLOAD} name={name} catch=TERM:3s catch=INT,QUIT ready hold");
    let [a, b, c] = ["server", "second", "third"].map(named);
    for script in [
        format!("{a} & {b} & {c}; true"),
        format!("trap 'kill $p $q; wait' TERM; {a} & p=$!; {b} & q=$!; wait"),
        format!("trap 'kill $p $q; wait; wait' TERM; {a} & p=$!; {b} & q=$!; wait -n 2>/dev/null || wait"),
    ] {
        let third = if script.contains("third") { 1 } else { 0 };
        let ready: &[&str] = if third == 1 { &["server", "second", "third"] } else { &["server", "second"] };
        Try::new(&script).ready(ready).shells(&[DASH, BASH]).run(|run, _| {
            once_and_finished(run);
            assert_eq!(run.count("second got TERM"), 1, "{run:#?}");
            assert_eq!(run.count("third got TERM"), third, "{run:#?}");
        });
    }
}
