//! Settings, and what follows from what is wrong.

use std::fs;
use std::os::unix::fs::symlink;

use nix::sys::stat::Mode;
use serde_json::{Value, json};

use crate::bundle::{Node, Spoiled, code, config, said};

fn annotated(name: &str, value: &str) -> Value {
    let mut config = config();
    config["annotations"] = json!({ name: value });
    config
}

#[test]
fn annotations_and_the_node_s_options_become_variables_of_drainit() {
    let node = Node::new();
    node.settings("[options]\ngrace-period = '8s'\nstop-after = '9s'\n");
    node.write(&annotated("drainit.io/grace-period", "28s").to_string());
    node.creates();
    let expected = json!(["PATH=/bin", "DRAINIT_GRACE_PERIOD=28s", "DRAINIT_STOP_AFTER=9s"]);
    let found = node.config()["process"]["env"].clone();
    let sorted = |list: &Value| {
        let mut words: Vec<String> = list.as_array().expect("a list").iter().map(Value::to_string).collect();
        words.sort();
        words
    };
    assert_eq!(sorted(&found), sorted(&expected));
}

/// Engines read the last line of level error: containerd's event, and so the kubelet's, has it.
#[test]
fn a_bad_annotation_is_refused_in_the_runtime_s_log_too() {
    let node = Node::new();
    let before = annotated("drainit.io/grace-period", "soon").to_string();
    node.write(&before);
    let log = node.path("log.json");
    let log = log.to_str().expect("text");
    let reason = "annotation drainit.io/grace-period: invalid value 'soon': ";
    for format in ["json", "text"] {
        let output = node.run(&format!("--log {log} --log-format {format} create id"));
        assert_eq!((code(&output), said(&output.stdout)), (1, String::new()));
        assert!(said(&output.stderr).starts_with(&format!("drainit-runtime: error: {reason}")), "{output:?}");
        let text = fs::read_to_string(log).expect("it was written");
        if format == "json" {
            let line: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(line["level"], "error");
            let message = line["msg"].as_str().expect("text");
            assert!(message.starts_with(&format!("drainit-runtime: {reason}")), "{message}");
            assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
        } else {
            assert!(text.contains(&format!(" level=error msg=\"drainit-runtime: {reason}")), "{text}");
        }
        fs::remove_file(log).expect("it is there");
    }
    assert_eq!(node.text(), before);
    // The policy is for what fails here, not for what the pod gets wrong.
    node.settings("policy = 'pass'\n");
    assert!(node.refuses().contains(reason));
    node.settings("annotations = 'warn'\n");
    let output = node.creates();
    assert!(said(&output.stderr).starts_with(&format!("drainit-runtime: warning: {reason}")), "{output:?}");
    assert_eq!(node.config()["process"]["args"][0], "/dev/drainit");
}

#[test]
fn what_is_left_alone_is_said_when_debug_lines_are_wanted() {
    let sandbox = annotated("io.kubernetes.cri.container-type", "sandbox").to_string();
    let node = Node::new();
    node.write(&sandbox);
    assert_eq!(said(&node.creates().stderr), "");
    let log = node.path("log.json");
    let log = log.to_str().expect("text");
    node.run(&format!("--log {log} --log-format json --debug create id"));
    node.settings("debug = true\n");
    node.run(&format!("--log={log} --log-format=json create id"));
    let text = fs::read_to_string(log).expect("it was written");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2, "{text}");
    for line in lines {
        assert_eq!(line["level"], "debug");
        assert!(line["msg"].as_str().is_some_and(|text| text.contains("left alone: it is a pod's sandbox")));
    }
    assert_eq!(node.text(), sandbox);
    // A sandbox starts on a node whose drainit is gone.
    fs::remove_file(node.path("bin/drainit")).expect("our own file");
    node.creates();
    node.write(&annotated("drainit.io/inject", "false").to_string());
    node.creates();
    node.write(&config().to_string());
    assert!(node.refuses().contains("cannot inject"));
}

/// Each way in which the rewriting can fail, and what is said then.
#[test]
fn if_rewriting_fails_the_container_is_refused_or_starts_as_it_is() {
    let file = |node: &Node| node.path("bundle/config.json");
    let cases: [Spoiled<'_>; 10] = [
        ("No such file", &|node| fs::remove_file(file(node)).expect("our own file")),
        ("EOF while parsing", &|node| node.write("{ \"ociVersion\": ")),
        ("ociVersion \"2.0.0\" is not known here", &|node| node.write("{ \"ociVersion\": \"2.0.0\" }")),
        ("expected an object", &|node| node.write("[]")),
        ("symbolic links", &|node| {
            fs::rename(file(node), node.path("elsewhere")).expect("our own file");
            symlink(node.path("elsewhere"), file(node)).expect("our own folder");
        }),
        ("not a plain file", &|node| {
            fs::remove_file(file(node)).expect("our own file");
            nix::unistd::mkfifo(&file(node), Mode::S_IRWXU).expect("our own folder");
        }),
        ("not a plain file", &|node| {
            fs::remove_file(file(node)).expect("our own file");
            fs::create_dir(file(node)).expect("our own folder");
        }),
        ("cannot inject", &|node| fs::remove_file(node.path("bin/drainit")).expect("our own file")),
        ("larger than 64 MiB", &|node| {
            let file = fs::File::options().write(true).open(file(node)).expect("our own file");
            file.set_len(65 << 20).expect("our own file");
        }),
        ("invalid type: string", &|node| {
            let mut config = config();
            config["mounts"] = json!("x");
            node.write(&config.to_string());
        }),
    ];
    for (reason, spoil) in cases {
        let node = Node::new();
        spoil(&node);
        // A pipe would be waited for.
        let content =
            |node: &Node| fs::metadata(file(node)).is_ok_and(|it| it.is_file()).then(|| node.text());
        let before = content(&node);
        let line = node.refuses();
        assert!(line.contains(reason), "{reason} is not in {line}");
        node.settings("policy = 'pass'\n");
        let output = node.creates();
        let line = said(&output.stderr);
        assert!(line.starts_with("drainit-runtime: warning: ") && line.contains(reason), "{line}");
        assert!(line.ends_with("; the container starts without drainit\n"), "{line}");
        assert_eq!(content(&node), before, "{reason}");
        assert!(!node.files().iter().any(|name| name.starts_with('.')), "{:?}", node.files());
    }
}

#[test]
fn a_bundle_that_cannot_be_written_is_one_of_them() {
    let node = Node::new();
    let before = node.text();
    let script =
        "mount --bind \"$PWD\" \"$PWD\" && mount -o remount,bind,ro \"$PWD\" && cd \"$PWD\" && exec \"$@\"";
    let around = ["unshare", "--mount", "sh", "-c", script, "sh"];
    let run = || node.run_by(&around).args(["create", "id"]).output().expect("it can be run");
    let output = run();
    assert_eq!(code(&output), 1, "{output:?}");
    assert!(said(&output.stderr).contains("config.json: Read-only file system"), "{output:?}");
    node.settings("policy = 'pass'\n");
    let output = run();
    assert_eq!(said(&output.stdout), "runtime create id\n", "{output:?}");
    assert_eq!((node.text(), node.files()), (before, vec!["config.json".to_owned(), "rootfs".to_owned()]));
}

/// How a container is ended must not depend on a spelling mistake.
#[test]
fn a_mistake_in_the_node_s_settings_refuses_new_containers_and_no_other_command() {
    let node = Node::new();
    for text in ["polcy = 'pass'\n", "policy = ", "[options]\ngrace-period = 'soon'\n"] {
        node.settings(text);
        let line = node.refuses();
        assert!(line.contains("runtime.toml: "), "{line}");
        for line in ["kill id TERM", "delete id", "state id"] {
            let output = node.run(line);
            assert_eq!((code(&output), said(&output.stdout)), (7, format!("runtime {line}\n")));
            assert_eq!(said(&output.stderr), "");
        }
    }
    node.settings("policy = 'pass'\nunknown = 1\n");
    assert!(said(&node.creates().stderr).contains("unknown key 'unknown'"));
}

/// With standard error closed the next file would get its number.
#[test]
fn a_closed_standard_error_does_not_end_up_in_the_configuration() {
    let node = Node::new();
    node.settings("annotations = 'warn'\n");
    node.write(&annotated("drainit.io/grace-period", "soon").to_string());
    let around = ["sh", "-c", "exec \"$@\" 0<&- 1>&- 2>&-", "sh"];
    let output = node.run_by(&around).args(["create", "id"]).output().expect("it can be run");
    assert_eq!(code(&output), 7, "{output:?}");
    assert_eq!(node.config()["process"]["args"][0], "/dev/drainit");
}

#[test]
fn a_reader_that_is_gone_ends_nothing() {
    let node = Node::new();
    node.settings("annotations = 'warn'\n");
    node.write(&annotated("drainit.io/grace-period", "soon").to_string());
    let (reader, writer) = std::io::pipe().expect("a pipe can be made");
    drop(reader);
    let around = ["env", "--default-signal=PIPE"];
    let output = node.run_by(&around).args(["create", "id"]).stderr(writer).output().expect("it can be run");
    assert_eq!((code(&output), said(&output.stdout)), (7, "runtime create id\n".to_owned()), "{output:?}");
}
