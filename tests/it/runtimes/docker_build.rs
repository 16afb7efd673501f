//! `docker build` of the example, as it stands in the repository.
//!
//! Its base images cannot be had without a registry, so images of their names are made here. They are hollow: when they run, the
//! machine's own programs are mounted into them. The build is real, but for optimisation and for the C library, which is not Alpine's.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

use super::daemon::Shared;
use super::docker::{Container, Docker, PROGRAMS};
use super::engine::Contained;
use super::image::{Archive, run};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What runs in place of runc: adds mounts to every container, and calls runc.
const RUNTIME: &str = r#"#!/bin/sh
for word; do
    [ "$before" != --bundle ] || sed -i 's|"mounts":\[|&MOUNTS,|' "$word/config.json"
    before=$word
done
exec runc "$@"
"#;

/// A configuration of nginx that needs nothing but itself, and says on stderr what it does.
const NGINX: &str = "user root;\n\
    error_log stderr notice;\n\
    pid /nginx.pid;\n\
    events {}\n\
    http {\n\
    access_log off;\n\
    server { listen 127.0.0.1:8080; root /; }\n\
    }\n";

/// A dockerd whose containers have this machine's programs, unless they are run with `--runtime=runc`.
pub(super) fn builder() -> Option<Arc<Docker>> {
    static BUILDER: Shared<Docker> = Shared::new();
    BUILDER.get("docker", &PROGRAMS, || {
        let mounts: Vec<String> =
            toolchain().iter().map(|(here, there)| mount(here, there).to_string()).collect();
        Docker::start_with(Some(&RUNTIME.replace("MOUNTS", &mounts.join(","))))
    })
}

fn mount(here: &Path, there: &str) -> Value {
    json!({ "type": "bind", "source": here, "destination": there, "options": ["rbind", "ro"] })
}

/// What the builds need of this machine, and where: its programs with their libraries, the compiler, the sources of the dependencies.
fn toolchain() -> Vec<(PathBuf, String)> {
    let sysroot = run(Command::new("rustc").args(["--print", "sysroot"]).current_dir(ROOT));
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home =
        home.unwrap_or_else(|| Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cargo"));
    let system = ["/usr", "/bin", "/lib", "/lib64", "/etc/alternatives"];
    // Links among them are links in the image too.
    let system = system.iter().filter(|folder| fs::symlink_metadata(folder).is_ok_and(|it| it.is_dir()));
    let rust = [
        (PathBuf::from(sysroot.trim()), "/toolchain".to_owned()),
        (home.join("registry"), "/cargo/registry".to_owned()),
        // Where the sources come from, if that is not the usual place.
        (home.join("config.toml"), "/cargo/config.toml".to_owned()),
    ];
    let all = system.map(|folder| (PathBuf::from(folder), (*folder).to_owned())).chain(rust);
    all.filter(|(here, _)| here.exists()).collect()
}

/// An image with nothing in it but places for what is mounted.
pub(super) fn hollow() -> Archive {
    let archive = Archive::empty();
    let root = archive.root();
    for folder in ["usr", "etc", "tmp", "proc", "dev", "toolchain", "cargo"] {
        fs::create_dir(root.join(folder)).expect("our own folder");
    }
    for name in ["bin", "lib", "lib64"] {
        if let Ok(target) = fs::read_link(Path::new("/").join(name)) {
            symlink(target, root.join(name)).expect("our own folder");
        }
    }
    archive
}

/// An image that stands for one with Rust.
fn rust(name: &str) -> Archive {
    let environment = [
        "PATH=/toolchain/bin:/usr/bin:/bin",
        "CARGO_HOME=/cargo",
        "CARGO_NET_OFFLINE=true",
        // To be quick.
        "CARGO_PROFILE_RELEASE_LTO=off",
        "CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16",
        "CARGO_PROFILE_RELEASE_OPT_LEVEL=0",
    ];
    hollow().image(name, json!({ "Env": environment, "WorkingDir": "/" }))
}

/// An image that stands for one with nginx: like nginx's own, it has an entrypoint that becomes nginx, and asks for QUIT.
pub(super) fn nginx(name: &str) -> Archive {
    let archive = hollow();
    let root = archive.root();
    for folder in ["etc/nginx", "var/log/nginx", "var/lib/nginx"] {
        fs::create_dir_all(root.join(folder)).expect("our own folder");
    }
    let entrypoint = root.join("docker-entrypoint.sh");
    fs::write(&entrypoint, "#!/bin/sh\nexec \"$@\"\n").expect("our own folder");
    fs::set_permissions(&entrypoint, fs::Permissions::from_mode(0o755)).expect("our own folder");
    fs::write(root.join("etc/nginx/nginx.conf"), NGINX).expect("our own folder");
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").expect("our own folder");
    fs::write(root.join("etc/group"), "root:x:0:\n").expect("our own folder");
    let config = json!({
        "Entrypoint": ["/docker-entrypoint.sh"],
        "Cmd": ["nginx", "-g", "daemon off;"],
        "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
        "StopSignal": "SIGQUIT",
    });
    archive.image(name, config)
}

/// Builds an image and gives it this name. `line` is what else stands on the command line.
pub(super) fn build(docker: &Docker, folder: &Path, line: &[&str], name: &str) {
    run(docker
        .client()
        // The builder that every daemon has, and that asks no registry for images that are here.
        .env("DOCKER_BUILDKIT", "0")
        .args(["build", "--network=none", "--tag", name])
        .args(line)
        .arg(".")
        .current_dir(folder));
}

/// It is stopped as Docker does, and nginx finishes what it is at: that is what nginx does at QUIT, and not at TERM.
pub(super) fn stops_gracefully(mut server: Container) {
    server.running().says("start worker process ");
    server.stop();
    let run = server.end();
    run.exits(0);
    assert!(run.stderr.iter().any(|line| line.ends_with("gracefully shutting down")), "{run:#?}");
    assert_eq!(run.warnings(), [""; 0]);
}

#[test]
fn the_example_builds_and_its_image_runs() {
    let Some(docker) = builder() else { return };
    let target = |target, name| {
        build(&docker, Path::new(ROOT), &["--file=Dockerfile.example", "--target", target], name);
    };
    docker.load(&rust("rust:1-alpine").write());
    target("drainit", "drainit-alone");
    assert_eq!(docker.inspect("drainit-alone", "len .RootFS.Layers"), "1", "the program and nothing else");
    let mut version = docker.run(&["--runtime=runc", "drainit-alone", "--version"], None);
    let expected = concat!("drainit ", env!("CARGO_PKG_VERSION"));
    version.end().exits(0).silently().in_order(&[expected]);

    target("build", "drainit-build");
    let mut sources = docker.run(&["drainit-build", "ls", "-a", "/src", "/src/target"], None);
    let sources = sources.end();
    sources.exits(0).in_order(&["Cargo.toml", "release"]);
    // What was built here, and the history, are not sent along.
    assert_eq!(sources.count("debug") + sources.count(".git"), 0, "{sources:#?}");
}
