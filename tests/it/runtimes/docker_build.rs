//! `docker build` of the example, as it stands in the repository.
//!
//! Its base images cannot be had without a registry, so images of their names are made here: the one with nginx out of the nginx
//! that is installed, and the one with Rust out of nothing. The machine's own toolchain is mounted into the latter when it runs: the
//! build is real, but for optimisation and for the C library, which is not Alpine's.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

use super::daemon::Shared;
use super::docker::{Docker, PROGRAMS};
use super::engine::Contained;
use super::image::{Archive, run};
use super::{installed, not_run};

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

fn builder() -> Option<Arc<Docker>> {
    static BUILDER: Shared<Docker> = Shared::new();
    BUILDER.get("docker", &PROGRAMS, || {
        let mounts: Vec<String> =
            toolchain().iter().map(|(here, there)| mount(here, there).to_string()).collect();
        let docker = Docker::start_with(Some(&RUNTIME.replace("MOUNTS", &mounts.join(","))))?;
        docker.load(&rust().write());
        Ok(docker)
    })
}

fn mount(here: &Path, there: &str) -> Value {
    json!({ "type": "bind", "source": here, "destination": there, "options": ["rbind", "ro"] })
}

/// What the build needs of this machine, and where: the compiler, a linker with its libraries, the sources of the dependencies.
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

/// The image that stands for `rust:1-alpine`.
fn rust() -> Archive {
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
    let environment = [
        "PATH=/toolchain/bin:/usr/bin:/bin",
        "CARGO_HOME=/cargo",
        "CARGO_NET_OFFLINE=true",
        // To be quick.
        "CARGO_PROFILE_RELEASE_LTO=off",
        "CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16",
        "CARGO_PROFILE_RELEASE_OPT_LEVEL=0",
    ];
    archive.image("rust:1-alpine", json!({ "Env": environment, "WorkingDir": "/" }))
}

/// The image that stands for `nginx:stable`: like it, it has an entrypoint that becomes nginx, and asks for QUIT.
fn nginx(program: &Path) -> Archive {
    let archive = Archive::new();
    let root = archive.root();
    let put = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("our own folder");
        fs::write(&path, text).expect("our own folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own folder");
    };
    put("docker-entrypoint.sh", "#!/bin/sh\nexec \"$@\"\n");
    put("etc/nginx/nginx.conf", NGINX);
    put("etc/passwd", "root:x:0:0::/:/bin/sh\n");
    put("etc/group", "root:x:0:\n");
    for folder in ["var/log/nginx", "var/lib/nginx", "usr/sbin", "usr/share/nginx"] {
        fs::create_dir_all(root.join(folder)).expect("our own folder");
    }
    fs::copy(program, root.join("usr/sbin/nginx")).expect("our own folder");
    // Each line has the path of a library, or none for the kernel's own.
    for library in
        run(Command::new("ldd").arg(program)).split_whitespace().filter(|word| word.starts_with('/'))
    {
        let there = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(there.parent().expect("it has one")).expect("our own folder");
        fs::copy(library, there).expect("our own folder");
    }
    let config = json!({
        "Entrypoint": ["/docker-entrypoint.sh"],
        "Cmd": ["nginx", "-g", "daemon off;"],
        "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
        "StopSignal": "SIGQUIT",
    });
    archive.image("nginx:stable", config)
}

/// Builds a target of the example and gives it this name.
fn build(docker: &Docker, target: &str, name: &str) {
    run(docker
        .client()
        // The builder that every daemon has, and that asks nobody for images that are here.
        .env("DOCKER_BUILDKIT", "0")
        .args([
            "build",
            "--network=none",
            "--file=Dockerfile.example",
            "--target",
            target,
            "--tag",
            name,
            ".",
        ])
        .current_dir(ROOT));
}

#[test]
fn the_example_builds_and_its_images_run() {
    let Some(program) = installed("nginx") else {
        not_run("docker build", "nginx is not installed");
        return;
    };
    let Some(docker) = builder() else { return };
    build(&docker, "drainit", "drainit-alone");
    assert_eq!(docker.inspect("drainit-alone", "len .RootFS.Layers"), "1", "the program and nothing else");
    let mut version = docker.run(&["--runtime=runc", "drainit-alone", "--version"], None);
    let expected = concat!("drainit ", env!("CARGO_PKG_VERSION"));
    version.end().exits(0).silently().in_order(&[expected]);

    build(&docker, "build", "drainit-build");
    let mut sources = docker.run(&["drainit-build", "ls", "-a", "/src", "/src/target"], None);
    let sources = sources.end();
    sources.exits(0).in_order(&["Cargo.toml", "release"]);
    // What was built here, and the history, are not sent along.
    assert_eq!(sources.count("debug") + sources.count(".git"), 0, "{sources:#?}");

    docker.load(&nginx(&program).write());
    build(&docker, "nginx", "drainit-nginx");
    let mut server = docker.run(&["--runtime=runc", "drainit-nginx"], None);
    server.running().says("start worker process ");
    server.stop();
    let run = server.end();
    run.exits(0);
    // That is what nginx does at QUIT, and not at the TERM that Docker sends.
    assert!(run.stderr.iter().any(|line| line.ends_with("gracefully shutting down")), "{run:#?}");
    assert_eq!(run.warnings(), [""; 0]);
}
