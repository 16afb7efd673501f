//! Proxies in front of a slow server.

use std::io;

use drainit::signal::Signal;

use super::client::{Backend, Client};
use super::{Case, Place, Program, Ready, Stage, client};

const REQUEST: &str = "a request to a slow server";

pub(crate) const HAPROXY: Program = Program {
    name: "haproxy",
    needs: &["haproxy"],
    cases: &[
        Case::new("haproxy -W", REQUEST, haproxy).options(&["--rewrite", "TERM:USR1"]),
        Case::new("haproxy -W", REQUEST, haproxy).signal(Signal::USR1),
    ],
};

fn haproxy(place: &Place) -> io::Result<Stage> {
    let (backend, configuration) = behind(place, include_str!("files/haproxy.cfg"))?;
    place.write("haproxy.cfg", &configuration)?;
    let command = ["haproxy", "-W", "-S", "@FOLDER@/master.sock", "-f", "@FOLDER@/haproxy.cfg"];
    // Its first process executes itself once more when the worker is there, and misses signals until it has done so.
    let ready = Ready::Answers("master.sock", "show proc\n");
    Ok(Stage::new(place, &command, ready, client::get(place, "/")).beside(backend))
}

pub(crate) const SQUID: Program =
    Program { name: "squid", needs: &["squid"], cases: &[Case::new("squid --foreground", REQUEST, squid)] };

fn squid(place: &Place) -> io::Result<Stage> {
    place.write("squid.conf", include_str!("files/squid.conf"))?;
    let backend = Backend::start(place)?;
    let command = ["squid", "--foreground", "-f", "@FOLDER@/squid.conf"];
    let client = client::get(place, &format!("http://127.0.0.1:{}/", backend.port));
    Ok(Stage::new(place, &command, Ready::Port, client).beside(backend))
}

pub(crate) const VARNISHD: Program = Program {
    name: "varnishd",
    needs: &["varnishd", "gcc"],
    // It ends what is in flight at TERM. If its child hears the signal too, it exits with 64.
    cases: &[
        Case::new("varnishd -F", "nothing", varnishd),
        Case::new("varnishd -F", REQUEST, varnishd_with_a_request).options(&[
            "--pre-stop-idle",
            "@PORT@",
            "--pre-stop-timeout",
            "20s",
        ]),
    ],
};

fn varnishd(place: &Place) -> io::Result<Stage> {
    lay_varnishd(place, client::idle(place))
}

fn varnishd_with_a_request(place: &Place) -> io::Result<Stage> {
    lay_varnishd(place, client::get(place, "/"))
}

fn lay_varnishd(place: &Place, client: Client) -> io::Result<Stage> {
    let backend = Backend::start(place)?;
    let address = format!("127.0.0.1:{}", backend.port);
    let mut command = vec!["varnishd", "-F", "-a", "127.0.0.1:@PORT@", "-b", &address];
    command.extend(["-n", "@FOLDER@/varnish", "-s", "malloc,10m"]);
    Ok(Stage::new(place, &command, Ready::Says("Child starts"), client).beside(backend))
}

/// A backend, and the configuration with its port.
fn behind(place: &Place, configuration: &str) -> io::Result<(Backend, String)> {
    let backend = Backend::start(place)?;
    let configuration = configuration.replace("@BACKEND@", &backend.port.to_string());
    Ok((backend, configuration))
}
