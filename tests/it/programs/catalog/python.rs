//! Servers and pools of workers in Python.

use std::io;

use drainit::signal::Signal;

use super::client::Companion;
use super::{Case, Place, Program, Ready, Stage, client};

pub(crate) const CELERY: Program = Program {
    name: "celery",
    needs: &["celery", "redis-server", "setpriv"],
    cases: &[
        Case::new("celery -A tasks worker", TASK, celery),
        Case::new("sh -c 'celery -A tasks worker; true'", TASK, celery_behind_a_shell).exits(143),
    ],
};

const TASK: &str = "a task";

const WORKER: &str = "celery -A tasks worker --concurrency 2 --loglevel info \
                      --without-gossip --without-mingle --without-heartbeat";

fn celery(place: &Place) -> io::Result<Stage> {
    lay_celery(place, &WORKER.split(' ').collect::<Vec<_>>())
}

fn celery_behind_a_shell(place: &Place) -> io::Result<Stage> {
    lay_celery(place, &["sh", "-c", &format!("{WORKER}; true")])
}

fn lay_celery(place: &Place, command: &[&str]) -> io::Result<Stage> {
    place.write("tasks.py", include_str!("files/tasks.py"))?;
    let broker = ["--port", "0", "--save", "", "--unixsocket", "@FOLDER@/broker.sock"];
    let broker = Companion::start("redis-server", &broker.map(|word| place.fill(word)))?;
    let mut call = client::plain("celery");
    call.args(["-A", "tasks", "call", "tasks.slow"]).current_dir(place.path(""));
    let stage = Stage::new(place, command, Ready::Says(" ready."), client::command(call));
    Ok(stage.check(|place| done(place, &["done"])).beside(broker))
}

/// The work has left its marks.
pub(super) fn done(place: &Place, marks: &[&str]) -> Result<(), String> {
    match marks.iter().find(|mark| !place.has(mark)) {
        None => Ok(()),
        Some(mark) => Err(format!("there is no file {mark}")),
    }
}

const REQUEST: &str = "a request";

pub(crate) const GUNICORN: Program = Program {
    name: "gunicorn",
    needs: &["gunicorn"],
    cases: &[
        Case::new("gunicorn -w 2", REQUEST, gunicorn),
        Case::new("gunicorn -w 2", "a request, at a reload", gunicorn).signal(Signal::HUP).then(Signal::TERM),
    ],
};

fn gunicorn(place: &Place) -> io::Result<Stage> {
    place.write("web.py", include_str!("files/wsgi.py"))?;
    let command = ["gunicorn", "-w", "2", "--bind", "unix:@FOLDER@/web.sock", "web:application"];
    Ok(Stage::new(place, &command, Ready::Workers(2), client::get_by_socket(place, "web.sock")))
}

pub(crate) const UVICORN: Program = Program {
    name: "uvicorn",
    needs: &["uvicorn"],
    cases: &[Case::new("uvicorn --workers 2", REQUEST, uvicorn)],
};

fn uvicorn(place: &Place) -> io::Result<Stage> {
    place.write("web.py", include_str!("files/asgi.py"))?;
    let command = ["uvicorn", "--workers", "2", "--host", "127.0.0.1", "--port", "@PORT@", "web:application"];
    // The workers listen themselves, after they have started.
    let ready = Ready::All(&[Ready::Workers(2), Ready::Port]);
    Ok(Stage::new(place, &command, ready, client::get(place, "/")))
}

pub(crate) const UWSGI: Program =
    Program { name: "uwsgi", needs: &["uwsgi"], cases: &[Case::new("uwsgi --ini web.ini", REQUEST, uwsgi)] };

fn uwsgi(place: &Place) -> io::Result<Stage> {
    place.write("web.py", include_str!("files/wsgi.py"))?;
    place.write("web.ini", include_str!("files/uwsgi.ini"))?;
    let client = client::get_by_socket(place, "web.sock");
    Ok(Stage::new(place, &["uwsgi", "--ini", "@FOLDER@/web.ini"], Ready::Socket("web.sock"), client))
}

pub(crate) const POOL: Program = Program {
    name: "multiprocessing.Pool",
    needs: &["python3"],
    cases: &[Case::new("python3 pool.py", "two tasks; TERM: `close` and `join`", pool)],
};

fn pool(place: &Place) -> io::Result<Stage> {
    place.write("pool.py", include_str!("files/pool.py"))?;
    let stage = Stage::new(place, &["python3", "pool.py"], Ready::AtWork, client::none());
    Ok(stage.check(|place| done(place, &["done-1", "done-2"])))
}
