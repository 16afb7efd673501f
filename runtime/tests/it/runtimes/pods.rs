//! Pods, as a kubelet makes them: with a RuntimeClass whose handler is `drainit`, and with annotations.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::between;
use super::cri::{CONTAINER, Cri, POD, Pod, cri, status};
use super::engine::{Contained, Wish};
use crate::harness::took;

/// A pod of the handler with these annotations.
fn annotated(annotations: &[(&str, &str)]) -> Value {
    let mut pod = between::pod();
    let pairs = annotations.iter().map(|(name, value)| json!({ "key": name, "value": value }));
    pod["annotations"] = pairs.collect();
    pod
}

/// What a probe of this container says.
fn probe(cri: &Cri, pod: &Pod, words: &[&str]) -> Value {
    let request = json!({ "container_id": pod.container, "cmd": words, "timeout": 10 });
    let output = cri.call("ExecSync", &request);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn a_command_that_reaps_nothing_has_no_zombies_and_is_probed_and_stops_at_once() {
    let Some(cri) = cri() else { return };
    let wish = Wish::new("sh -c").word("echo main ready 0; exec busybox sleep infinity");
    let mut pod = Box::new(cri.run_in(&between::pod(), wish, CONTAINER, &json!({})));
    // Earlier probes are refused. The kubelet also begins to probe only then.
    pod.running().ready(&["main"]);
    // The shell ends when no zombie is left, and not otherwise.
    let script = "fake-workload orphan*20{ exit=1 }; \
                  while busybox grep -qs '^State:.Z' /proc/[0-9]*/status; do :; done; busybox cat /proc/1/comm";
    let answer = probe(&cri, &pod, &["sh", "-c", script]);
    assert_eq!((answer["stdout"].as_str(), answer["exit_code"].as_u64()), (Some("drainit\n"), Some(0)));
    assert_eq!(probe(&cri, &pod, &["sh", "-c", "echo no >&2; exit 3"])["exit_code"], 3);
    let begun = Instant::now();
    pod.stop();
    let run = pod.finish();
    took(begun, Duration::ZERO);
    assert_eq!(status(&run), (143, "Error".to_owned()));
}

#[test]
fn the_sandbox_is_left_alone_and_the_container_is_not() {
    let Some(cri) = cri() else { return };
    let wish = Wish::new("fake-workload name=main catch=TERM:1ms:4 ready hold");
    let mut pod = Box::new(cri.run_in(&between::pod(), wish, CONTAINER, &json!({})));
    pod.running().ready(&["main"]);
    let bundles = cri.containerd.daemon.file("state/io.containerd.runtime.v2.task/k8s.io");
    let config = |id: &str| -> Value {
        let text = fs::read_to_string(bundles.join(id).join("config.json")).expect("the bundle is there");
        serde_json::from_str(&text).expect("JSON")
    };
    let drainit = |config: &Value| {
        config["mounts"]
            .as_array()
            .expect("a list")
            .iter()
            .any(|mount| mount["destination"] == "/dev/drainit")
    };
    let sandbox = config(&pod.pod);
    assert_eq!(sandbox["annotations"]["io.kubernetes.cri.container-type"], "sandbox");
    assert!(!drainit(&sandbox), "{sandbox:#}");
    assert!(drainit(&config(&pod.container)));
    pod.stop();
    assert_eq!(status(&pod.finish()), (4, "Error".to_owned()));
}

#[test]
fn without_the_handler_nothing_is_injected() {
    let Some(cri) = cri() else { return };
    let wish = Wish::new("sh -c").word("busybox cat /proc/1/comm; busybox ls /dev/drainit");
    let run = Box::new(cri.run_in(&json!({}), wish, CONTAINER, &json!({}))).finish();
    assert_eq!(status(&run), (1, "Error".to_owned()));
    assert_eq!(run.count("drainit"), 0, "{run:#?}");
}

#[test]
fn annotations_of_the_pod_set_drainit() {
    let Some(cri) = cri() else { return };
    let pod = annotated(&[("drainit.io/grace-period", "500ms"), ("other.io/name", "value")]);
    let wish = Wish::new("fake-workload name=main catch=TERM ready hold");
    let mut pod = Box::new(cri.run_in(&pod, wish, CONTAINER, &json!({})));
    pod.running().ready(&["main"]);
    let begun = Instant::now();
    pod.stop();
    let run = pod.finish();
    took(begun, Duration::from_millis(500));
    run.in_order(&["main got TERM"]);
    assert_eq!(status(&run), (137, "Error".to_owned()));
}

#[test]
fn the_container_s_environment_sets_drainit_and_wins() {
    let Some(cri) = cri() else { return };
    let pod = annotated(&[("drainit.io/remap-exit", "7:3")]);
    let environment = json!({ "envs": [{ "key": "DRAINIT_REMAP_EXIT", "value": "7" }] });
    for (more, expected) in [(environment, (0, "Completed")), (json!({}), (3, "Error"))] {
        let run = Box::new(cri.run_in(&pod, Wish::new("fake-workload exit=7"), CONTAINER, &more)).finish();
        assert_eq!(status(&run), (expected.0, expected.1.to_owned()));
    }
}

#[test]
fn a_pod_may_say_no() {
    let Some(cri) = cri() else { return };
    let pod = annotated(&[("drainit.io/inject", "false")]);
    let wish = Wish::new("sh -c").word("busybox ls /dev/drainit; busybox cat /proc/1/comm");
    let run = Box::new(cri.run_in(&pod, wish, CONTAINER, &json!({}))).finish();
    assert_eq!(run.count("drainit"), 0, "{run:#?}");
    assert_eq!(status(&run).0, 0);
}

/// The kubelet makes an event of it.
#[test]
fn a_bad_annotation_is_in_the_answer_that_the_kubelet_gets() {
    let Some(cri) = cri() else { return };
    for (name, value, reason) in [
        ("drainit.io/grace-period", "soon", "annotation drainit.io/grace-period: invalid value 'soon': "),
        (
            "drainit.io/grace-perod",
            "28s",
            "annotation drainit.io/grace-perod: drainit has no option of that name",
        ),
    ] {
        let pod = annotated(&[(name, value)]);
        let pod = cri.run_in(&pod, Wish::new("busybox sleep infinity"), CONTAINER, &json!({}));
        let id = json!({ "pod_sandbox_id": pod.pod });
        let run = Box::new(pod).finish();
        let answer = run.stdout.iter().find(|line| line.starts_with("failed "));
        let answer = answer.unwrap_or_else(|| panic!("it was created: {run:#?}"));
        assert!(
            answer.contains(&format!("OCI runtime create failed: drainit-runtime: {reason}")),
            "{answer}"
        );
        for method in ["StopPodSandbox", "RemovePodSandbox"] {
            assert!(cri.call(method, &id).status.success(), "{method}");
        }
    }
}

#[test]
fn with_a_shared_process_namespace_drainit_is_not_pid_one_and_waits_for_every_process() {
    let Some(cri) = cri() else { return };
    let wish = Wish::new(
        "fake-workload orphan*5{ exit=1 } daemon{ name=daemon catch=TERM:300ms ready hold } \
         name=main state catch=TERM:1ms:4 ready hold",
    );
    let mut pod = Box::new(cri.run_in(&between::pod(), wish, POD, &json!({})));
    pod.running().ready(&["main", "daemon"]);
    let script = "while busybox grep -qs '^State:.Z' /proc/[0-9]*/status; do :; done; \
                  busybox grep -lxs drainit /proc/[0-9]*/comm";
    let answer = probe(&cri, &pod, &["sh", "-c", script]);
    // The sandbox's own init is one too.
    assert_eq!(answer["stdout"].as_str().map(|text| text.lines().count()), Some(2), "{answer}");
    pod.stop();
    let run = pod.finish();
    run.in_order(&["main got TERM", "daemon finished"]);
    assert_eq!(status(&run), (4, "Error".to_owned()));
    let foreign = |line: &String| line.starts_with("main state ") && !line.contains(" ppid=1 ");
    assert!(run.stdout.iter().any(foreign), "{run:#?}");
}

/// In the background a process that sets its terminal is stopped.
#[test]
fn in_a_terminal_the_command_is_in_the_foreground() {
    let Some(cri) = cri() else { return };
    let script =
        "test -t 0 && test -t 1 && busybox stty sane && busybox grep -q drainit /proc/1/comm && exit 5";
    let wish = Wish::new("sh -c").word(script);
    let pod = Box::new(cri.run_in(&between::pod(), wish, CONTAINER, &json!({ "tty": true })));
    assert_eq!(status(&pod.finish()), (5, "Error".to_owned()));
}
