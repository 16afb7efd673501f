//! The example that can be run without an image: a Python server behind a shell.

use std::path::Path;

use drainit::signal::Signal;

use super::command_lines::Image;
use super::{Kind, examples, path, read};
use crate::harness::Init;
use crate::runtimes::{installed, not_run};

/// As the Dockerfile says, but for the image's own folders and its user.
#[test]
fn the_shell_dies_and_the_server_finishes() {
    if installed("python3").is_none() {
        return not_run("python3", "it is not installed");
    }
    let image = Image::read(&read("docker/python/Dockerfile"));
    let words = image.line();
    let end = words.iter().position(|word| word == "--").expect("the command begins somewhere");
    let (options, command) = (&words[1..end], &words[end + 1..]);
    assert!(command.iter().any(|word| word.ends_with("entrypoint.sh")), "{command:?}");
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    // A network of its own, so that the server's port is free.
    let mut run = Init::pid_one()
        .under(&["unshare", "--net", "--"])
        .flags(&["-v"])
        .flags(&options)
        .command(command)
        .in_directory(path("docker/python"))
        .start();
    run.line("server: up").signal(Signal::TERM);
    let run = run.finish();
    run.exits(0).in_order(&["server: up", "server: finished"]);
    assert!(run.stderr.iter().any(|line| line.contains("died of TERM")), "the shell has a handler: {run:?}");
}

/// Whatever the image copies beside drainit is there and was run above.
#[test]
fn what_the_image_copies_is_there() {
    let image = Image::read(&read("docker/python/Dockerfile"));
    for file in examples(Kind::PythonImage) {
        let name = Path::new(&file).file_name().expect("a file has a name").to_str().expect("text");
        assert!(image.copied.iter().any(|copied| copied == name), "{name} is not in the image");
    }
}
