//! It runs as root on the node: what others could have made is neither followed nor mounted.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use serde_json::json;

use crate::bundle::{Node, Spoiled, config};

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own");
}

#[test]
fn a_drainit_that_others_could_change_is_not_mounted() {
    let drainit = |node: &Node| node.path("bin/drainit");
    let cases: [Spoiled<'_>; 9] = [
        ("belongs to user 1, not to root", &|node| chown(drainit(node), Some(1), None).expect("root may")),
        ("it can be written by others", &|node| mode(&drainit(node), 0o775)),
        ("it can be written by others", &|node| mode(&drainit(node), 0o757)),
        ("bin can be written by others", &|node| mode(&node.path("bin"), 0o777)),
        ("bin belongs to user 1, not to root", &|node| {
            chown(node.path("bin"), Some(1), None).expect("root may")
        }),
        ("not every user may read and run it", &|node| mode(&drainit(node), 0o750)),
        ("it is not a program", &|node| {
            fs::write(drainit(node), "#!/bin/sh\n").expect("our own file");
        }),
        ("it is not static", &|node| {
            fs::copy("/bin/sh", drainit(node)).expect("our own file");
            mode(&drainit(node), 0o755);
        }),
        ("it is not a plain file", &|node| {
            fs::remove_file(drainit(node)).expect("our own file");
            fs::create_dir(drainit(node)).expect("our own folder");
        }),
    ];
    for (reason, spoil) in cases {
        let node = Node::new();
        let before = node.text();
        spoil(&node);
        let line = node.refuses();
        assert!(line.contains("cannot inject ") && line.contains(reason), "{reason} is not in {line}");
        assert_eq!(node.text(), before);
    }
}

#[test]
fn a_sticky_folder_is_as_good_as_a_closed_one_and_a_link_is_looked_through() {
    let node = Node::new();
    mode(&node.path("bin"), 0o1777);
    node.creates();

    let node = Node::new();
    fs::rename(node.path("bin/drainit"), node.path("real")).expect("our own folder");
    symlink(node.path("real"), node.path("bin/drainit")).expect("our own folder");
    node.creates();
    assert_eq!(node.config()["mounts"][1]["source"], node.path("real").to_str().expect("text"));
    chown(node.path("real"), Some(1), None).expect("root may");
    node.write(&config().to_string());
    assert!(node.refuses().contains("belongs to user 1"));
}

#[test]
fn a_file_system_without_exec_is_refused() {
    let node = Node::new();
    let script =
        "mount -t tmpfs -o mode=755,noexec none \"$0\" && cp \"$0\"/../bin/drainit \"$0\" && exec \"$@\"";
    let folder = node.path("noexec");
    fs::create_dir(&folder).expect("our own folder");
    let around = ["unshare", "--mount", "sh", "-c", script, folder.to_str().expect("text")];
    let mut command = node.run_by(&around);
    command.args(["create", "id"]).env("DRAINIT_RUNTIME_DRAINIT", folder.join("drainit"));
    let output = command.output().expect("it can be run");
    let line = crate::bundle::said(&output.stderr);
    assert!(line.contains("its file system is mounted noexec"), "{line}");
}

#[test]
fn the_configuration_s_name_does_not_lead_out_of_the_bundle() {
    let node = Node::new();
    fs::write(node.path("outside.json"), config().to_string()).expect("our own folder");
    for name in ["../outside.json", node.path("outside.json").to_str().expect("text"), ".."] {
        let output = node.run(&format!("create --config {name} id"));
        let line = crate::bundle::said(&output.stderr);
        assert!(line.contains("is not in the bundle"), "{line}");
    }
    let outside = fs::read_to_string(node.path("outside.json")).expect("it is there");
    assert_eq!(outside, config().to_string());
    // crun's option for another name is heeded.
    fs::copy(node.path("outside.json"), node.path("bundle/other.json")).expect("our own folder");
    node.run("create --config other.json id");
    assert!(
        fs::read_to_string(node.path("bundle/other.json")).expect("it is there").contains("/dev/drainit")
    );
    assert_eq!(node.config(), config());
}

/// What the image has put there, links too, is looked at and not followed.
#[test]
fn what_an_image_has_at_the_place_is_not_covered() {
    let node = Node::new();
    let mut config = config();
    config["mounts"] = json!([]);
    fs::write(node.path("bundle/rootfs/drainit"), "the image's own").expect("our own folder");
    symlink("/nowhere", node.path("bundle/rootfs/drainit-1")).expect("our own folder");
    node.write(&config.to_string());
    node.creates();
    assert_eq!(node.config()["mounts"][0]["destination"], "/drainit-2/drainit");
    assert_eq!(node.config()["process"]["args"][0], "/drainit-2/drainit");
}

/// The root of a user namespace is some user of the node: it has to get to the file.
#[test]
fn a_folder_that_is_closed_to_other_users_is_refused_for_a_user_namespace() {
    let node = Node::new();
    let mut config = config();
    config["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": 100000, "size": 65536 }]);
    node.write(&config.to_string());
    mode(&node.path("bin"), 0o700);
    let line = node.refuses();
    assert!(line.contains("bin is closed to the root of a user namespace"), "{line}");
    mode(&node.path("bin"), 0o755);
    node.creates();
}
