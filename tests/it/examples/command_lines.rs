//! Every command line of drainit in the examples, and every variable: drainit takes them, and their times fit those of the engine that runs them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::Duration;

use drainit::cli;
use drainit::plan::Step;
use drainit::settings::Settings;
use drainit::signal::Signal;
use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

use super::{Kind, examples, path, read};
use crate::docs;

/// A use of drainit: its command line, its environment, and what is around it.
#[derive(Debug)]
struct Use {
    place: String,
    line: Vec<String>,
    environment: Vec<(String, String)>,
    /// What the runtime waits before KILL. An image does not know.
    runtime_waits: Option<Duration>,
    /// What the runtime asks with.
    stop_signal: Signal,
}

const DOCKER_WAITS: Duration = Duration::from_secs(10);
const KUBERNETES_WAITS: Duration = Duration::from_secs(30);
/// What drainit keeps for the processes at the end of a drain, and what steps after the end have at least.
const RESERVE: Duration = Duration::from_secs(2);

/// The base images of the examples that ask with something else than TERM.
const STOP_SIGNALS: [(&str, Signal); 1] = [("nginx", Signal::QUIT)];

fn signal(text: &str) -> Signal {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn duration(text: &str) -> Duration {
    humantime::parse_duration(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn is_drainit(word: &str) -> bool {
    matches!(word.rsplit('/').next(), Some("drainit" | "docker-init"))
}

/// What a Dockerfile makes, as its last stage says.
#[derive(Debug)]
pub(super) struct Image {
    base: String,
    entrypoint: Vec<String>,
    command: Vec<String>,
    stop_signal: Option<Signal>,
    /// Where drainit comes from.
    init_from: Option<String>,
    pub(super) copied: Vec<String>,
}

impl Image {
    pub(super) fn read(text: &str) -> Self {
        let mut image = Self {
            base: String::new(),
            entrypoint: vec![],
            command: vec![],
            stop_signal: None,
            init_from: None,
            copied: vec![],
        };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((instruction, rest)) = line.split_once(' ') else { continue };
            assert!(!rest.ends_with('\\'), "an instruction of an example is one line: {line}");
            let list = || serde_json::from_str(rest).unwrap_or_else(|_| panic!("not the exec form: {line}"));
            match instruction {
                "FROM" => image.base = rest.to_owned(),
                "ENTRYPOINT" => image.entrypoint = list(),
                "CMD" => image.command = list(),
                "STOPSIGNAL" => image.stop_signal = Some(signal(rest)),
                "COPY" => match rest.strip_prefix("--from=") {
                    Some(from) => {
                        image.init_from = from.strip_suffix(" /drainit /drainit").map(str::to_owned);
                    }
                    None => image.copied.extend(rest.split(' ').map(str::to_owned)),
                },
                _ => {}
            }
        }
        image
    }

    /// What the container runs.
    pub(super) fn line(&self) -> Vec<String> {
        self.entrypoint.iter().chain(&self.command).cloned().collect()
    }

    fn signal(&self) -> Signal {
        let name = self.base.split(':').next().unwrap_or_default();
        let of_base = STOP_SIGNALS.into_iter().find(|(base, _)| *base == name).map(|(_, signal)| signal);
        self.stop_signal.or(of_base).unwrap_or(Signal::TERM)
    }
}

/// YAML as the JSON that it stands for.
fn json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::String(text) | Yaml::Real(text) => Value::from(text.as_str()),
        Yaml::Integer(number) => Value::from(*number),
        Yaml::Boolean(value) => Value::from(*value),
        Yaml::Array(list) => Value::Array(list.iter().map(json).collect()),
        Yaml::Hash(map) => {
            let key = |key: &Yaml| key.as_str().expect("keys are text").to_owned();
            Value::Object(map.iter().map(|(name, value)| (key(name), json(value))).collect())
        }
        Yaml::Null => Value::Null,
        Yaml::Alias(_) | Yaml::BadValue => panic!("an example is plain YAML"),
    }
}

fn yaml(file: &str) -> Vec<Value> {
    let documents = YamlLoader::load_from_str(&read(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    documents.iter().map(json).collect()
}

fn words(list: &Value) -> Vec<String> {
    let text = |word: &Value| word.as_str().unwrap_or_else(|| panic!("{word} is no text")).to_owned();
    list.as_array().into_iter().flatten().map(text).collect()
}

/// Every mapping in there, at any depth, that has this key.
fn having<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    let mut found: Vec<&Value> = value.get(key).map(|_| value).into_iter().collect();
    let inner: Vec<&Value> = match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![],
    };
    found.extend(inner.into_iter().flat_map(|value| having(value, key)));
    found
}

fn in_kubernetes(file: &str) -> Vec<Use> {
    let documents = yaml(file);
    let mut uses = Vec::new();
    for pod in documents.iter().flat_map(|document| having(document, "containers")) {
        let waits = pod["terminationGracePeriodSeconds"].as_u64().map(Duration::from_secs);
        for container in pod["containers"].as_array().expect("a list") {
            let place = format!("{file}: {}", container["name"]);
            assert!(
                container["lifecycle"].is_null(),
                "{place}: a hook takes time that drainit does not know of"
            );
            let variable = |entry: &Value| {
                (entry["name"].as_str().map(str::to_owned)).zip(entry["value"].as_str().map(str::to_owned))
            };
            uses.push(Use {
                place,
                line: [words(&container["command"]), words(&container["args"])].concat(),
                environment: container["env"].as_array().into_iter().flatten().filter_map(variable).collect(),
                runtime_waits: Some(waits.unwrap_or(KUBERNETES_WAITS)),
                stop_signal: Signal::TERM,
            });
        }
    }
    uses
}

/// drainit-runtime puts drainit in front of the command, and makes variables of the annotations.
fn in_node_pod(file: &str) -> Vec<Use> {
    let mut uses = in_kubernetes(file);
    let documents = yaml(file);
    let annotations = documents.iter().flat_map(|document| having(document, "annotations"));
    let annotations: Vec<(String, String)> = annotations
        .flat_map(|metadata| metadata["annotations"].as_object().into_iter().flatten())
        .filter_map(|(name, value)| {
            let name = name.strip_prefix("drainit.io/")?.to_ascii_uppercase().replace('-', "_");
            Some((format!("DRAINIT_{name}"), value.as_str().expect("an annotation is text").to_owned()))
        })
        .collect();
    for example in &mut uses {
        example.line.splice(0..0, ["/dev/drainit", "--"].map(str::to_owned));
        example.environment.extend(annotations.iter().cloned());
    }
    uses
}

fn in_dockerfile(file: &str) -> Vec<Use> {
    let image = Image::read(&read(file));
    let version = format!("drainit:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(image.init_from, Some(version), "{file}: the image that drainit is copied from");
    vec![Use {
        place: file.to_owned(),
        line: image.line(),
        environment: vec![],
        runtime_waits: None,
        stop_signal: image.signal(),
    }]
}

fn in_compose(file: &str) -> Vec<Use> {
    let [compose] = <[Value; 1]>::try_from(yaml(file)).expect("one document");
    let services = compose["services"].as_object().expect("services").iter();
    let uses = services.map(|(name, service)| {
        let image =
            service["build"].as_str().map(|folder| Image::read(&read(&format!("{folder}/Dockerfile"))));
        let from_image = image.as_ref().map(Image::line).unwrap_or_default();
        let line = match service["init"].as_bool() {
            // Docker's way to call its init.
            Some(true) => {
                [vec!["/sbin/docker-init".to_owned(), "--".to_owned()], words(&service["command"])].concat()
            }
            _ => from_image,
        };
        assert!(
            service["entrypoint"].is_null() && service["stop_signal"].is_null(),
            "{name}: read it here too"
        );
        let variable = |(name, value): (&String, &Value)| {
            (name.clone(), value.as_str().unwrap_or_else(|| panic!("{name}: {value} is no text")).to_owned())
        };
        Use {
            place: format!("{file}: {name}"),
            line,
            environment: service["environment"].as_object().into_iter().flatten().map(variable).collect(),
            runtime_waits: Some(service["stop_grace_period"].as_str().map_or(DOCKER_WAITS, duration)),
            stop_signal: image.map_or(Signal::TERM, |image| image.signal()),
        }
    });
    uses.collect()
}

/// The image's own command line is not known; its variables are in `docker run`.
fn in_workflow(file: &str) -> Vec<Use> {
    let documents = yaml(file);
    let steps = documents.iter().flat_map(|document| having(document, "run"));
    let runs = steps.filter_map(|step| step["run"].as_str()).flat_map(str::lines);
    let uses = runs.filter(|line| line.contains("DRAINIT_")).map(|line| {
        let words = shlex::split(line).unwrap_or_else(|| panic!("no shell reads {line:?}"));
        assert_eq!(words[..2], ["docker", "run"], "{file}: {line}");
        let variables = words.iter().filter_map(|word| word.split_once('='));
        let variables = variables.filter(|(name, _)| name.starts_with("DRAINIT_"));
        Use {
            place: format!("{file}: {line}"),
            line: ["drainit", "--", "true"].map(str::to_owned).to_vec(),
            environment: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            runtime_waits: None,
            stop_signal: Signal::TERM,
        }
    });
    uses.collect()
}

/// Finds the uses in a file.
type Reader = fn(&str) -> Vec<Use>;

/// Every use in every example; each file that can have one has one.
fn uses() -> Vec<Use> {
    let kinds: [(Kind, Reader); 5] = [
        (Kind::Kubernetes, in_kubernetes),
        (Kind::NodePod, in_node_pod),
        (Kind::Dockerfile, in_dockerfile),
        (Kind::Compose, in_compose),
        (Kind::Workflow, in_workflow),
    ];
    let mut all = Vec::new();
    for (kind, uses) in kinds {
        for file in examples(kind) {
            let found = uses(&file);
            assert!(!found.is_empty(), "{file} shows nothing of drainit");
            all.extend(found);
        }
    }
    all
}

impl Use {
    /// What drainit makes of it.
    fn settings(&self) -> Settings {
        assert!(self.line.first().is_some_and(|word| is_drainit(word)), "{}: {:?}", self.place, self.line);
        assert!(self.line.iter().any(|word| word == "--"), "{}: where does the command begin?", self.place);
        let line = self.line.iter().map(OsString::from).collect();
        let typed = cli::parse(line).unwrap_or_else(|error| panic!("{}: {error:?}", self.place));
        let find = |name: &str| {
            self.environment.iter().find(|(known, _)| known == name).map(|(_, value)| OsString::from(value))
        };
        Settings::new(typed, find).unwrap_or_else(|error| panic!("{}: {error}", self.place))
    }
}

#[test]
fn drainit_takes_every_command_line() {
    for example in uses() {
        let settings = example.settings();
        assert!(!settings.command.is_empty(), "{example:?} runs nothing");
        assert!(!settings.command.iter().any(|word| word == "--"), "{example:?}: two ends of the options");
    }
}

#[test]
fn every_variable_is_one_of_drainits() {
    let known: BTreeSet<String> = docs::options().iter().filter_map(docs::variable).collect();
    for example in uses() {
        for (name, _) in example.environment.iter().filter(|(name, _)| name.starts_with("DRAINIT_")) {
            assert!(known.contains(name), "{}: nothing reads {name}", example.place);
        }
    }
}

/// The first rule of the index.
#[test]
fn the_grace_period_is_a_little_below_that_of_the_runtime() {
    for example in uses() {
        let stop = example.settings().stop;
        let Some(waits) = example.runtime_waits else { continue };
        let grace = stop.grace_period.unwrap_or_else(|| panic!("{}: no grace period", example.place));
        let reserve = if stop.post_exit.is_empty() { Duration::from_secs(1) } else { RESERVE };
        assert!(grace + reserve <= waits, "{}: {grace:?} of {waits:?}", example.place);
        let little = (waits / 10).max(Duration::from_secs(5));
        assert!(grace + little >= waits, "{}: only {grace:?} of {waits:?}", example.place);
    }
}

/// The second rule.
#[test]
fn the_drain_fits_into_the_grace_period() {
    for example in uses() {
        let stop = example.settings().stop;
        if stop.pre_stop.is_empty() {
            continue;
        }
        let grace = stop.grace_period.unwrap_or(DOCKER_WAITS);
        assert!(stop.pre_stop_timeout + RESERVE <= grace, "{}: {:?}", example.place, stop.pre_stop_timeout);
        let sleeps: Duration = (stop.pre_stop.iter())
            .filter_map(|step| if let Step::Sleep(time) = step { Some(*time) } else { None })
            .sum();
        assert!(sleeps < stop.pre_stop_timeout, "{}: sleeps for {sleeps:?}", example.place);
    }
}

/// The third rule.
#[test]
fn the_runtime_s_stop_signal_begins_a_stop() {
    for example in uses() {
        let stop = example.settings().stop;
        assert!(stop.stop_signals.contains(example.stop_signal), "{example:?}");
    }
}

/// The class is one that there is, and its handler is what drainit-runtime calls itself.
#[test]
fn a_pod_of_a_node_names_its_class() {
    let documents: Vec<Value> =
        [Kind::Node, Kind::NodePod].into_iter().flat_map(examples).flat_map(|file| yaml(&file)).collect();
    let classes: Vec<&Value> =
        documents.iter().filter(|document| document["kind"] == "RuntimeClass").collect();
    let [class] = classes.as_slice() else { panic!("not one class: {classes:?}") };
    assert_eq!(class["handler"], "drainit");
    let pods = documents.iter().flat_map(|document| having(document, "runtimeClassName"));
    let names: Vec<&Value> = pods.map(|pod| &pod["runtimeClassName"]).collect();
    assert!(!names.is_empty() && names.iter().all(|name| **name == class["metadata"]["name"]), "{names:?}");
}

/// Kubernetes shows what is written where the container says so.
#[test]
fn the_termination_message_is_read_where_it_is_written() {
    let mut seen = 0;
    for file in examples(Kind::Kubernetes) {
        for container in yaml(&file).iter().flat_map(|document| having(document, "terminationMessagePath")) {
            let line = [words(&container["command"]), words(&container["args"])].concat();
            let typed = cli::parse(line.into_iter().map(OsString::from).collect());
            let settings = Settings::new(typed.expect("looked at above"), |_| None).expect("looked at above");
            let path = settings.termination_log.expect("it says where it is read");
            assert_eq!(path.to_str(), container["terminationMessagePath"].as_str(), "{file}");
            seen += 1;
        }
    }
    assert!(seen > 0, "no example shows the termination message");
}

/// Where an example says where a program comes from, it is there.
#[test]
fn compose_builds_what_is_there() {
    for file in examples(Kind::Compose) {
        for service in yaml(&file).iter().flat_map(|document| having(document, "build")) {
            let folder = service["build"].as_str().expect("a folder");
            assert!(path(folder).join("Dockerfile").is_file(), "{file}: {folder}");
        }
    }
}
