//! A large configuration takes no time to speak of.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bundle::{Node, config};

#[test]
fn ten_thousand_entries_of_everything_stay_as_they_are() {
    let many = |entry: &dyn Fn(usize) -> Value| (0..10_000).map(entry).collect::<Vec<_>>();
    let mut large = config();
    large["process"]["env"] = many(&|n| json!(format!("NAME{n}=value {n}"))).into();
    large["mounts"].as_array_mut().expect("a list").extend(many(
        &|n| json!({ "destination": format!("/mnt/{n}"), "type": "bind", "source": "/x", "options": ["rbind"] }),
    ));
    large["annotations"] = (0..10_000).map(|n| (format!("key/{n}"), json!("value"))).collect();
    let node = Node::new();
    node.write(&large.to_string());
    let begun = Instant::now();
    node.creates();
    let took = begun.elapsed();
    // Unoptimized and beside other tests; `runtime/overhead` measures it.
    assert!(took < Duration::from_secs(2), "{took:?}");
    let mut expected = large;
    let words = expected["process"]["args"].as_array_mut().expect("a list");
    words.splice(0..0, [json!("/dev/drainit"), json!("--")]);
    let mut found = node.config();
    let mounts = found["mounts"].as_array_mut().expect("a list");
    assert_eq!(mounts.pop().expect("the new one")["destination"], "/dev/drainit");
    assert!(found == expected, "something else has changed");
}
