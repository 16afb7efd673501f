//! Real programs with work in flight: how each is set up, what its work is, and how a stop in the middle of it ends.
//!
//! The tests run them under drainit, the benchmark under its peers too. To add a case, write a function that lays out
//! its stage, and list it among the program's cases.

mod client;
mod databases;
mod place;
mod proxies;
mod python;
mod run;
mod runtimes;
mod services;
mod standins;
pub(crate) mod tools;
mod web;

use std::io;

use drainit::signal::Signal;

pub(crate) use place::Place;
pub(crate) use run::{Init, OUTPUT, Run, Work, run};

use client::Client;

/// A program, and what of it has to be installed.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    needs: &'static [&'static str],
    pub(crate) cases: &'static [Case],
}

impl Program {
    /// What it needs and this machine has not.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        self.needs.iter().copied().find(|name| tools::find(name).is_none())
    }
}

pub(crate) const PROGRAMS: &[Program] = &[
    web::NGINX,
    web::APACHE2,
    web::PHP_FPM,
    proxies::HAPROXY,
    proxies::SQUID,
    proxies::VARNISHD,
    databases::POSTGRES,
    databases::REDIS,
    python::CELERY,
    python::GUNICORN,
    python::UVICORN,
    python::UWSGI,
    python::POOL,
    runtimes::NODE,
    runtimes::NPM,
    runtimes::JAVA,
    services::SUPERVISORD,
    services::RUNSVDIR,
    services::SSHD,
    standins::GAME,
    standins::RUNNER,
];

/// One way of running a program, and of stopping it.
pub(crate) struct Case {
    /// The command as a reader would write it.
    pub(crate) entrypoint: &'static str,
    pub(crate) work: &'static str,
    /// drainit's options: none, or a recipe. [`Place::fill`] fills them.
    pub(crate) options: &'static [&'static str],
    /// What PID 1 is sent while the work is in flight.
    pub(crate) signal: Signal,
    /// If [`Self::signal`] is no stop: what is sent when the work is over.
    pub(crate) then: Option<Signal>,
    pub(crate) code: i32,
    stage: fn(&Place) -> io::Result<Stage>,
}

impl Case {
    /// Default options, TERM, exit code 0.
    const fn new(
        entrypoint: &'static str,
        work: &'static str,
        stage: fn(&Place) -> io::Result<Stage>,
    ) -> Self {
        Self { entrypoint, work, options: &[], signal: Signal::TERM, then: None, code: 0, stage }
    }

    const fn options(self, options: &'static [&'static str]) -> Self {
        Self { options, ..self }
    }

    const fn signal(self, signal: Signal) -> Self {
        Self { signal, ..self }
    }

    const fn then(self, signal: Signal) -> Self {
        Self { then: Some(signal), ..self }
    }

    const fn exits(self, code: i32) -> Self {
        Self { code, ..self }
    }
}

/// What a case needs around the program, and what is looked at.
struct Stage {
    command: Vec<String>,
    environment: Vec<(&'static str, String)>,
    ready: Ready,
    client: Client,
    check: Check,
    /// What the program talks to; ends with the run.
    companions: Vec<Box<dyn Send>>,
}

/// Looks at what is left when all is over.
type Check = Box<dyn FnOnce(&Place) -> Result<(), String>>;

/// How it is seen that the program is up.
enum Ready {
    /// It listens on the place's port.
    Port,
    /// It listens on this Unix socket.
    Socket(&'static str),
    /// It answers this question on this Unix socket.
    Answers(&'static str, &'static str),
    /// It has written this, to one of its outputs or to the file `log`.
    Says(&'static str),
    /// So many of its workers have each written a file whose name begins with [`place::UP`]: one that is still starting may miss
    /// the signal.
    Workers(usize),
    /// Its work begins by itself.
    AtWork,
    /// All of these.
    All(&'static [Self]),
}

impl Stage {
    fn new(place: &Place, command: &[&str], ready: Ready, client: Client) -> Self {
        Self {
            command: command.iter().map(|word| place.fill(word)).collect(),
            environment: Vec::new(),
            ready,
            client,
            check: Box::new(|_| Ok(())),
            companions: Vec::new(),
        }
    }

    fn env(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    fn check(mut self, check: impl FnOnce(&Place) -> Result<(), String> + 'static) -> Self {
        self.check = Box::new(check);
        self
    }

    fn beside(mut self, companion: impl Send + 'static) -> Self {
        self.companions.push(Box::new(companion));
        self
    }
}
