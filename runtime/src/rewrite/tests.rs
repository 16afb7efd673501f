use super::*;

const DRAINIT: &str = "/opt/drainit/bin/drainit";

/// As containerd writes it, shortened, with unknown fields.
const CONFIG: &str = r#"{"ociVersion":"1.0.2-dev","future":{"b":1.50,"a":18446744073709551616},
"process":{"terminal":true,"user":{"uid":1000,"gid":0},"args":["/server","--port","80",""],"env":["PATH=/bin","DRAINIT_GRACE_PERIOD=5s"],
"cwd":"/","rlimits":[{"type":"RLIMIT_NOFILE","hard":1e6,"soft":1024}],"x":null},
"mounts":[{"destination":"/proc","type":"proc","source":"proc"},{"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid"]}],
"annotations":{"io.kubernetes.cri.container-type":"container"},"linux":{"namespaces":[{"type":"pid"}]},"zz":[]}"#;

fn config() -> Value {
    serde_json::from_str(CONFIG).expect("JSON")
}

fn annotate(spec: &mut Value, name: &str, value: &str) {
    spec["annotations"][name] = json!(value);
}

fn around(options: &[Chosen]) -> Around<'_> {
    Around {
        drainit: DRAINIT,
        annotations: Annotations::Refuse,
        options,
        runtime: "runc",
        look: &|_| Found::Nothing,
        restores: false,
    }
}

/// The real one is between two texts.
fn rewrite(spec: &mut Value, around: &Around<'_>) -> Result<Outcome, Problem> {
    let text = spec.to_string();
    let mut read = Spec::read(text.as_bytes()).expect("good");
    let outcome = super::rewrite(&mut read, around);
    let mut text = Vec::new();
    read.write(&mut text).expect("memory can be written");
    if outcome.is_ok() {
        *spec = serde_json::from_slice(&text).expect("JSON");
    }
    outcome
}

fn rewritten(spec: &mut Value, around: &Around<'_>) -> Vec<String> {
    match rewrite(spec, around) {
        Ok(Outcome::Rewritten { place, warnings }) => {
            assert_eq!(place, "/dev/drainit");
            warnings
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn drainit_is_in_front_and_everything_else_is_as_it_was_in_its_order_and_to_the_last_digit() {
    let mut spec = config();
    assert!(rewritten(&mut spec, &around(&[])).is_empty());
    let mount = format!(
        r#",{{"destination":"/dev/drainit","type":"bind","source":"{DRAINIT}","options":["bind","ro","nosuid","nodev"]}}]"#
    );
    let expected = CONFIG
        .replace('\n', "")
        .replace(r#""args":["#, r#""args":["/dev/drainit","--","#)
        .replace(r#""options":["nosuid"]}]"#, &format!(r#""options":["nosuid"]}}{mount}"#))
        .replace("1e6", "1e+6");
    assert_eq!(spec.to_string().replace("1e6", "1e+6"), expected);
}

#[test]
fn a_second_time_changes_nothing() {
    let mut spec = config();
    rewritten(&mut spec, &around(&[]));
    let before = spec.to_string();
    assert!(matches!(rewrite(&mut spec, &around(&[])), Ok(Outcome::LeftAlone(_))));
    let restores = Around { restores: true, ..around(&[]) };
    assert!(matches!(rewrite(&mut spec, &restores), Ok(Outcome::LeftAlone(_))));
    assert_eq!(spec.to_string(), before);
}

#[test]
fn what_is_restored_gets_the_mount_and_nothing_else() {
    let mut spec = config();
    annotate(&mut spec, "drainit.io/stop-after", "1s");
    rewritten(&mut spec, &Around { restores: true, ..around(&[]) });
    assert_eq!(spec["process"], config()["process"]);
    assert_eq!(spec["mounts"][2]["destination"], "/dev/drainit");
}

#[test]
fn the_container_s_environment_wins_over_the_pod_and_the_pod_over_the_node() {
    let node = [("grace-period", "1s"), ("stop-after", "2s"), ("ignored-after", "3s")]
        .map(|(name, value)| Chosen::new(name, value).expect("good"));
    let mut spec = config();
    annotate(&mut spec, "drainit.io/stop-after", "9s");
    annotate(&mut spec, "drainit.io/grace-period", "8s");
    annotate(&mut spec, "drainit.io/inject", "true");
    annotate(&mut spec, "other.io/grace-period", "soon");
    rewritten(&mut spec, &around(&node));
    let expected =
        ["PATH=/bin", "DRAINIT_GRACE_PERIOD=5s", "DRAINIT_STOP_AFTER=9s", "DRAINIT_IGNORED_AFTER=3s"];
    assert_eq!(spec["process"]["env"], json!(expected));
}

#[test]
fn without_an_environment_one_is_made_and_null_is_none() {
    for env in [Value::Null, json!([])] {
        let mut spec = config();
        spec["process"]["env"] = env;
        annotate(&mut spec, "drainit.io/log", "debug");
        rewritten(&mut spec, &around(&[]));
        assert_eq!(spec["process"]["env"], json!(["DRAINIT_LOG=debug"]));
    }
    let mut bare =
        json!({ "ociVersion": "1.2.0", "process": { "args": ["x"] }, "mounts": null, "linux": {} });
    let Ok(Outcome::Rewritten { place, .. }) = rewrite(&mut bare, &around(&[])) else { panic!("{bare}") };
    assert_eq!((place.as_str(), bare["mounts"].as_array().map(Vec::len)), ("/drainit", Some(1)));
    assert!(bare["process"].get("env").is_none());
}

#[test]
fn a_bad_annotation_refuses_the_container_or_is_left_out_with_a_warning() {
    for (name, value, said) in [
        ("grace-period", "soon", "annotation drainit.io/grace-period: invalid value 'soon': "),
        ("grace-perod", "1s", "annotation drainit.io/grace-perod: drainit has no option of that name"),
        ("inject", "maybe", "annotation drainit.io/inject: neither true nor false: \"maybe\""),
        ("poweroff", "true", "annotation drainit.io/poweroff: that is for the init of a machine"),
        ("a\nb", "x", "annotation drainit.io/a\\nb: drainit has no option of that name"),
    ] {
        let mut spec = config();
        annotate(&mut spec, &format!("drainit.io/{name}"), value);
        let before = spec.clone();
        let Err(Problem::Refused(problem)) = rewrite(&mut spec, &around(&[])) else {
            panic!("{name} was taken")
        };
        assert!(problem.starts_with(said) && !problem.contains('\n'), "{problem}");
        assert_eq!(spec, before);

        annotate(&mut spec, "drainit.io/stop-after", "9s");
        let warns = Around { annotations: Annotations::Warn, ..around(&[]) };
        assert_eq!(rewritten(&mut spec, &warns), [problem]);
        assert_eq!(spec["process"]["env"][2], "DRAINIT_STOP_AFTER=9s");
        assert_eq!(spec["process"]["env"].as_array().map(Vec::len), Some(3));
    }
}

#[test]
fn what_is_left_alone_is_left_alone_whatever_its_annotations() {
    let mut spec = config();
    annotate(&mut spec, "io.kubernetes.cri.container-type", "sandbox");
    annotate(&mut spec, "drainit.io/grace-period", "soon");
    let before = spec.clone();
    assert!(matches!(rewrite(&mut spec, &around(&[])), Ok(Outcome::LeftAlone(_))));
    assert_eq!(spec, before);
}

#[test]
fn a_configuration_of_another_shape_is_a_failure() {
    let place = |key: &str, value: Value| {
        let mut spec = config();
        spec[key] = value;
        spec
    };
    for (mut spec, said) in [
        (place("ociVersion", json!("2.0.0")), "ociVersion \"2.0.0\" is not known here"),
        (place("ociVersion", Value::Null), "it has no ociVersion"),
        (
            place("process", json!({ "args": { "0": "x" } })),
            "process.args or process.env is not what it should be",
        ),
    ] {
        let Err(Problem::Failed(problem)) = rewrite(&mut spec, &around(&[])) else {
            panic!("{spec} was taken")
        };
        assert!(problem.contains(said), "{problem}");
    }
    let full = Around { look: &|_| Found::Something, ..around(&[]) };
    assert!(matches!(rewrite(&mut config(), &full), Err(Problem::Failed(_))));
}

/// No option names a file of the host: drainit opens what it is told to in the container.
#[test]
fn no_annotation_becomes_a_mount() {
    let mut plain = config();
    rewritten(&mut plain, &around(&[]));
    for setting in drainit::cli::Setting::ALL {
        for value in ["/etc/shadow", "/proc/1/root/etc/shadow", "../../etc/shadow"] {
            let mut spec = config();
            annotate(&mut spec, &format!("drainit.io/{}", setting.name()), value);
            if rewrite(&mut spec, &around(&[])).is_ok() {
                assert_eq!(spec["mounts"], plain["mounts"], "{setting:?}");
                assert_eq!(spec["process"]["args"], plain["process"]["args"], "{setting:?}");
                assert_eq!(spec["root"], plain["root"], "{setting:?}");
            }
        }
    }
}
