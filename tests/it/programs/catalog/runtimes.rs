//! Servers in languages with a machine of their own.

use std::io;

use super::{Case, Place, Program, Ready, Stage, client};

const REQUEST: &str = "a request";

pub(crate) const NODE: Program =
    Program { name: "node", needs: &["node"], cases: &[Case::new("node cluster.js", REQUEST, node_cluster)] };

fn node_cluster(place: &Place) -> io::Result<Stage> {
    place.write("cluster.js", include_str!("files/cluster.js"))?;
    Ok(Stage::new(place, &["node", "cluster.js"], Ready::Workers(2), client::get(place, "/")))
}

pub(crate) const NPM: Program = Program {
    name: "npm",
    needs: &["npm", "node"],
    // npm passes TERM on, and dies of it when the script has ended.
    cases: &[Case::new("npm start", REQUEST, npm_start).exits(143)],
};

fn npm_start(place: &Place) -> io::Result<Stage> {
    place.write("server.js", include_str!("files/server.js"))?;
    place.write("package.json", include_str!("files/package.json"))?;
    let stage = Stage::new(place, &["npm", "start"], Ready::Port, client::get(place, "/"));
    Ok(stage.env("npm_config_update_notifier", "false"))
}

pub(crate) const JAVA: Program = Program {
    name: "java",
    needs: &["java"],
    cases: &[Case::new("java Slow.java", REQUEST, java).options(&["--remap-exit", "143"])],
};

fn java(place: &Place) -> io::Result<Stage> {
    place.write("Slow.java", include_str!("files/Slow.java"))?;
    Ok(Stage::new(place, &["java", "-XX:-UsePerfData", "Slow.java"], Ready::Port, client::get(place, "/")))
}
