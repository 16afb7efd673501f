//! What the engine asks for reaches the real runtime as it came.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::bundle::{Node, code, said};

#[test]
fn create_and_run_put_drainit_in_front_and_nothing_is_left_beside_the_configuration() {
    for line in ["create id", "run --detach id", "--root /r create --bundle . id", "--debug run -b=. id"] {
        let node = Node::new();
        let file = node.path("bundle/config.json");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("our own file");
        chown(&file, Some(1), Some(2)).expect("root may");
        let before = node.config();
        let output = node.run(line);
        assert_eq!((code(&output), said(&output.stdout)), (7, format!("runtime {line}\n")), "{output:?}");
        let drainit = node.path("bin/drainit");
        let mut expected = before.clone();
        expected["process"]["args"] = json!(["/dev/drainit", "--", "sh", "-c", "true"]);
        expected["mounts"].as_array_mut().expect("a list").push(json!({
            "destination": "/dev/drainit", "type": "bind", "source": drainit,
            "options": ["bind", "ro", "nosuid", "nodev"],
        }));
        assert_eq!(node.config(), expected, "{line}");
        let metadata = fs::metadata(&file).expect("it is there");
        assert_eq!((metadata.mode() & 0o7777, metadata.uid(), metadata.gid()), (0o640, 1, 2));
        assert_eq!(node.files(), ["config.json", "rootfs"]);
    }
}

#[test]
fn every_other_command_finds_the_bundle_as_it_was() {
    let node = Node::new();
    let before = node.text();
    for line in [
        "exec id sh -c x",
        "start id",
        "kill id TERM",
        "delete --force id",
        "state id",
        "features",
        "checkpoint --image-path /i id",
        "update --resources - id",
        "events id",
        "--debug state run",
        "--systemd-cgroup update create",
        "run --help",
        "create --bundle . -h",
        "frobnicate --bundle . id",
        "--version",
        "--help",
        "",
    ] {
        let output = node.run(line);
        assert_eq!(code(&output), 7, "{line}: {output:?}");
        assert_eq!(said(&output.stdout).trim_end(), format!("runtime {line}").trim_end());
        assert_eq!((said(&output.stderr), node.text()), (String::new(), before.clone()), "{line}");
    }
}

#[test]
fn restore_gets_the_mount_and_keeps_the_command() {
    let node = Node::new();
    let before = node.config();
    let output = node.run("restore --image-path /i --bundle . id");
    assert_eq!(code(&output), 7, "{output:?}");
    let after = node.config();
    assert_eq!(after["process"], before["process"]);
    assert_eq!(after["mounts"][1]["destination"], "/dev/drainit");
    // A bundle that was made by `create` has everything already.
    let node = Node::new();
    node.creates();
    let made = node.text();
    node.run("restore --image-path /i id");
    assert_eq!(node.text(), made);
    node.creates();
    assert_eq!(node.text(), made);
}

#[test]
fn words_environment_and_streams_are_the_caller_s() {
    let node = Node::new();
    node.program(
        "bin/runtime",
        "#!/bin/sh\nfor word; do echo \"<$word>\"; done\necho \"$0 $EXTRA\"\ncat\necho complaint >&2\necho $$\nkill -KILL $$\n",
    );
    let mut command = node.command();
    command.args(["--log-format", "json", "create", "--pid-file", "/a b", "", "id"]).env("EXTRA", "é \n");
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("it can be run");
    let pid = child.id();
    child.stdin.take().expect("a pipe").write_all(b"typed\n").expect("a reader");
    let output = child.wait_with_output().expect("our own child");
    let runtime = node.path("bin/runtime");
    let expected = format!(
        "<--log-format>\n<json>\n<create>\n<--pid-file>\n</a b>\n<>\n<id>\n{} é \n\ntyped\n{pid}\n",
        runtime.display()
    );
    assert_eq!((said(&output.stdout), said(&output.stderr)), (expected, "complaint\n".to_owned()));
    assert_eq!(code(&output), 137, "it is the same process");
}

#[test]
fn dispositions_mask_and_descriptors_are_the_caller_s() {
    let node = Node::new();
    // The C library keeps two signals for itself.
    let signals = |text: &str| -> Vec<u64> {
        let numbers = text.lines().map(|line| line.split_whitespace().next_back().expect("a number"));
        numbers.map(|number| u64::from_str_radix(number, 16).expect("hexadecimal") & !(0b11 << 31)).collect()
    };
    for pipe in ["--ignore-signal=PIPE", "--default-signal=PIPE"] {
        // Standard input is closed, and there is one descriptor more.
        let shell = "exec \"$@\" 0<&- 5</dev/null";
        let around = ["sh", "-c", shell, "sh", "env", "--ignore-signal=HUP", "--block-signal=USR1", pipe];
        let run = |runtime: &str, words: &[&str]| {
            let through = node.run_by(&around).args(["--runtime", runtime]).args(words).output();
            let mut direct = Command::new(around[0]);
            let direct = direct.args(&around[1..]).arg(runtime).args(words).output();
            [through, direct].map(|output| said(&output.expect("it can be run").stdout))
        };
        let [through, direct] = run("/bin/grep", &["-E", "^Sig(Blk|Ign)", "/proc/self/status"]);
        assert_eq!(signals(&through), signals(&direct));
        assert_eq!(signals(&direct)[0], 1 << 9, "the test blocks one: {direct}");
        let [through, direct] = run("/bin/ls", &["/proc/self/fd"]);
        assert_eq!(through, direct);
        assert!(direct.lines().any(|line| line == "5"), "the test opens one: {direct}");
    }
}

#[test]
fn the_runtime_is_the_option_s_then_the_node_s_then_the_environment_s_then_the_first_in_path() {
    let node = Node::new();
    for name in ["option", "node", "crun"] {
        node.program(&format!("bin/{name}"), &format!("#!/bin/sh\necho {name} \"$@\"\n"));
    }
    let bin = node.path("bin");
    let path = |name: &str| bin.join(name).to_str().expect("text").to_owned();
    assert_eq!(said(&node.run("state id").stdout), "runtime state id\n");
    node.settings(&format!("runtime = '{}'\n", path("node")));
    assert_eq!(said(&node.run("state id").stdout), "node state id\n");
    let line = format!("--runtime {} --root /r state id", path("option"));
    assert_eq!(said(&node.run(&line).stdout), "option --root /r state id\n");

    node.settings("");
    let node = node.without("DRAINIT_RUNTIME_RUNTIME");
    let in_path = |node: &Node| {
        let output = node.command().args(["state", "id"]).env("PATH", node.path("bin")).output();
        output.expect("it can be run")
    };
    assert_eq!(said(&in_path(&node).stdout), "crun state id\n");
    // In the runtime's place it does not call itself.
    symlink("drainit-runtime", node.path("bin/runc")).expect("our own folder");
    assert_eq!(said(&in_path(&node).stdout), "crun state id\n");
    let said_of = |line: &str| said(&node.run(line).stderr);
    assert!(said_of(&format!("--runtime {} state id", path("runc"))).contains("is drainit-runtime itself"));
    assert!(said_of("--runtime /nowhere state id").contains("the runtime \"/nowhere\" is not there"));
    // A folder that is not named from the root would be one of the bundle.
    fs::remove_file(node.path("bin/crun")).expect("our own file");
    fs::copy(node.path("bin/runtime"), node.path("bundle/runc")).expect("our own folder");
    let output =
        node.command().args(["state", "id"]).env("PATH", ".::bundle").output().expect("it can be run");
    assert!(said(&output.stderr).contains("neither runc nor crun is in PATH"), "{output:?}");
    assert!(said(&in_path(&node).stderr).contains("neither runc nor crun is in PATH"));
}

#[test]
fn the_drainit_is_the_node_s_then_the_environment_s_then_the_one_beside() {
    let node = Node::new();
    for name in ["other", "third"] {
        fs::copy(node.path("bin/drainit"), node.path(name)).expect("our own folder");
    }
    let source = |node: &Node| {
        let config = crate::bundle::config();
        node.write(&config.to_string());
        node.creates();
        node.config()["mounts"][1]["source"].as_str().expect("text").to_owned()
    };
    assert_eq!(source(&node), node.path("bin/drainit").to_str().expect("text"));
    let node = node.with("DRAINIT_RUNTIME_DRAINIT", "other");
    assert_eq!(source(&node), node.path("other").to_str().expect("text"));
    node.settings(&format!("drainit = '{}'\n", node.path("third").display()));
    assert_eq!(source(&node), node.path("third").to_str().expect("text"));
}
