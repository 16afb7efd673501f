//! What runs other services, or other people's sessions.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;

use super::{Case, Place, Program, Ready, Stage, client, tools};

const REQUEST: &str = "a request to its service";

pub(crate) const SUPERVISORD: Program = Program {
    name: "supervisord",
    needs: &["supervisord", "python3"],
    cases: &[Case::new("supervisord -n", REQUEST, supervisord)],
};

fn supervisord(place: &Place) -> io::Result<Stage> {
    place.write("server.py", include_str!("files/server.py"))?;
    place.write("supervisord.conf", include_str!("files/supervisord.conf"))?;
    let command = ["supervisord", "-n", "-c", "@FOLDER@/supervisord.conf"];
    Ok(Stage::new(place, &command, Ready::Port, client::get(place, "/")))
}

pub(crate) const RUNSVDIR: Program = Program {
    name: "runsvdir",
    needs: &["runsvdir", "runsv", "python3"],
    cases: &[
        // HUP has it send TERM to each runsv, which sends it to the service, and once more for each TERM that it gets. So
        // TERM is no stop here, and drainit sends nothing else.
        Case::new("runsvdir -P services", REQUEST, runsvdir).options(&[
            "--stop-signal",
            "INT",
            "--rewrite",
            "TERM:HUP",
            "--wait-for-all",
            "--remap-exit",
            "111",
        ]),
    ],
};

fn runsvdir(place: &Place) -> io::Result<Stage> {
    place.write("server.py", include_str!("files/server.py"))?;
    fs::create_dir_all(place.path("services/web"))?;
    place.write("services/web/run", "#!/bin/sh\nexec python3 @FOLDER@/server.py\n")?;
    fs::set_permissions(place.path("services/web/run"), fs::Permissions::from_mode(0o755))?;
    let command = ["runsvdir", "-P", "@FOLDER@/services"];
    Ok(Stage::new(place, &command, Ready::Port, client::get(place, "/")))
}

pub(crate) const SSHD: Program = Program {
    name: "sshd",
    needs: &["sshd", "ssh", "ssh-keygen"],
    cases: &[Case::new("sshd -D", "a session", sshd).options(&[
        "--pre-stop-idle",
        "@PORT@",
        "--pre-stop-timeout",
        "20s",
    ])],
};

fn sshd(place: &Place) -> io::Result<Stage> {
    place.write("sshd_config", include_str!("files/sshd_config"))?;
    for name in ["host", "client"] {
        let mut keygen = client::plain("ssh-keygen");
        client::succeed(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(place.path(name)))?;
    }
    // It refuses a name without a path.
    let command = [&tools::path("sshd"), "-D", "-e", "-f", "@FOLDER@/sshd_config"];
    let mut ssh = client::plain("ssh");
    ssh.args(["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes"]);
    ssh.args(["-o", &place.fill("UserKnownHostsFile=@FOLDER@/known"), "-i"]).arg(place.path("client"));
    ssh.args(["-p", &place.port().to_string(), "root@127.0.0.1"]);
    ssh.arg(place.fill("touch @FOLDER@/begun && sleep 3 && touch @FOLDER@/done"));
    let stage = Stage::new(place, &command, Ready::Port, client::command(ssh));
    Ok(stage.check(|place| place.has("done").then_some(()).ok_or_else(|| "the session was cut short".into())))
}
