//! Programs that stand for others, which cannot be installed here.

use std::io;

use super::{Case, Place, Program, Ready, Stage, client, python};

pub(crate) const GAME: Program = Program {
    name: "game server",
    needs: &["python3", "mkfifo"],
    cases: &[Case::new("sh -c 'mkfifo console; exec server <>console'", "the world, to be saved", game)
        .options(&[
            "--pre-stop",
            "sh -c \"echo stop >console\"",
            "--pre-stop-sleep",
            "50s",
            "--pre-stop-timeout",
            "60s",
        ])],
};

fn game(place: &Place) -> io::Result<Stage> {
    place.write("game.py", include_str!("files/game.py"))?;
    let command = ["sh", "-c", "mkfifo console; exec python3 game.py <>console"];
    let stage = Stage::new(place, &command, Ready::AtWork, client::none());
    Ok(stage.check(|place| python::done(place, &["done"])))
}

pub(crate) const RUNNER: Program = Program {
    name: "CI runner",
    needs: &["python3"],
    cases: &[Case::new("runner", "a job", runner).options(&["--rewrite", "TERM:QUIT"])],
};

fn runner(place: &Place) -> io::Result<Stage> {
    place.write("runner.py", include_str!("files/runner.py"))?;
    let stage = Stage::new(place, &["python3", "runner.py"], Ready::AtWork, client::none());
    Ok(stage.check(|place| python::done(place, &["done"])))
}
