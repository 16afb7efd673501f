//! Carrying out directives, and handling signals meanwhile.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::ControlFlow::{self, Break, Continue};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use drainit::signal::{Signal, SignalSet};
use drainit::sys::{kill, signals};

use crate::catch::{Catcher, Reaction};
use crate::directive::{Directive, members};
use crate::start::Starter;
use crate::{REFUSED, line, look};

/// The pause between two looks for what no signal tells of.
const POLL: Duration = Duration::from_millis(5);

/// The program while it runs.
pub(crate) struct Workload {
    name: OsString,
    starter: Starter,
    /// The children that `wait` waits for.
    children: Vec<Child>,
    /// None until a signal is caught: it takes descriptors.
    catcher: Option<Catcher>,
    taken: SignalSet,
    /// When to end, and with which exit code.
    finish: Option<(Instant, u8)>,
}

/// Whether to go on or to exit with this code.
type Step = ControlFlow<u8>;

impl Workload {
    /// `program` is the zeroth argument.
    pub(crate) fn new(program: OsString) -> Self {
        Self {
            name: OsString::new(),
            starter: Starter::new(program),
            children: Vec::new(),
            catcher: None,
            taken: SignalSet::default(),
            finish: None,
        }
    }

    /// Returns the exit code.
    pub(crate) fn run(mut self, directives: &[Directive]) -> u8 {
        for directive in directives {
            let step = self.carry_out(directive).unwrap_or_else(|error| {
                line::complain(&format!("{directive:?}: {error}"));
                Break(REFUSED)
            });
            if let Break(code) = step {
                return code;
            }
            if let Break(code) = self.pass(Some(Instant::now())) {
                return code;
            }
        }
        0
    }

    fn carry_out(&mut self, directive: &Directive) -> io::Result<Step> {
        match directive {
            Directive::Name(name) => self.name.clone_from(name),
            Directive::Ignore(set) => self.set_dispositions(*set, signals::ignore),
            Directive::Default(set) => self.set_dispositions(*set, signals::restore_default),
            Directive::Block(set) => signals::block(*set),
            Directive::Catch(set, reaction) => self.catch(*set, *reaction)?,
            Directive::Take(set) => self.take(*set),
            Directive::Start { form, count, inner } => {
                self.children.extend(self.starter.start(*form, *count, inner)?);
            }
            Directive::Zombies(count) => self.starter.start_zombies(*count)?,
            Directive::Ready => self.say(format!("ready {}", std::process::id())),
            Directive::Say(text) => self.say(text),
            Directive::State => self.say(look::state()?),
            Directive::Fds => {
                self.say(look::descriptors(self.catcher.as_ref().map_or(&[], Catcher::descriptors))?);
            }
            Directive::Env(name) => self.say(look::environment(name)),
            Directive::Cwd => self.say(look::directory()?),
            Directive::Ids => self.say(look::ids()?),
            Directive::Argv(arguments) => self.say(format!("argv {arguments:?}")),
            Directive::Sleep(duration) => return Ok(self.pass(Instant::now().checked_add(*duration))),
            Directive::Wait => return Ok(self.wait()),
            Directive::Await(path) => return Ok(self.wait_for_path(path)),
            Directive::Hold => return Ok(self.pass(None)),
            Directive::Stop => self.send_itself(Signal::STOP)?,
            Directive::Exit(code) => return Ok(Break(*code)),
            Directive::Die(signal) => self.die(*signal)?,
            Directive::LeadSession => drop(nix::unistd::setsid()?),
            Directive::Abandon => self.starter.abandons = true,
            Directive::Adopted(parent) => return Ok(self.wait_for_adoption(*parent)),
        }
        Ok(Continue(()))
    }

    fn say(&self, text: impl AsRef<OsStr>) {
        let text = text.as_ref().as_bytes();
        let name = self.name.as_bytes();
        let space: &[u8] = if name.is_empty() { b"" } else { b" " };
        line::print(&[name, space, text].concat());
    }

    fn set_dispositions(&mut self, set: SignalSet, change: fn(Signal)) {
        members(set).for_each(|signal| self.set_disposition(signal, change));
    }

    fn set_disposition(&mut self, signal: Signal, change: fn(Signal)) {
        change(signal);
        if let Some(catcher) = &mut self.catcher {
            catcher.displace(signal);
        }
    }

    fn catch(&mut self, set: SignalSet, reaction: Reaction) -> io::Result<()> {
        let catcher = match self.catcher.take() {
            Some(catcher) => catcher,
            None => Catcher::new()?,
        };
        let catcher = self.catcher.insert(catcher);
        members(set).try_for_each(|signal| catcher.catch(signal, reaction))
    }

    fn take(&mut self, set: SignalSet) {
        signals::block(set);
        self.taken = SignalSet::from_bits(self.taken.bits() | set.bits());
    }

    fn send_itself(&self, signal: Signal) -> io::Result<()> {
        kill::send(std::process::id().cast_signed(), signal)
    }

    fn die(&mut self, signal: Signal) -> io::Result<()> {
        self.set_disposition(signal, signals::restore_default);
        signals::unblock(SignalSet::default().with(signal));
        self.send_itself(signal)
    }

    fn wait(&mut self) -> Step {
        while let Some(child) = self.children.last_mut() {
            // The only error is ECHILD, if SIGCHLD is ignored: that child is gone.
            if matches!(child.try_wait(), Ok(None)) {
                self.pass(Some(Instant::now() + POLL))?;
            } else {
                self.children.pop();
            }
        }
        Continue(())
    }

    fn wait_for_path(&mut self, path: &Path) -> Step {
        while !path.exists() {
            self.pass(Some(Instant::now() + POLL))?;
        }
        Continue(())
    }

    fn wait_for_adoption(&mut self, parent: i32) -> Step {
        // Ever longer: a thousand of them would keep the parent from starting the rest.
        let mut interval = Duration::from_millis(1);
        while nix::unistd::getppid().as_raw() == parent {
            self.pass(Some(Instant::now() + interval))?;
            interval *= 2;
        }
        Continue(())
    }

    /// Handles signals until then; `None` is for ever. What has come already is handled in any case.
    fn pass(&mut self, until: Option<Instant>) -> Step {
        loop {
            self.handle_caught();
            self.handle_taken();
            let now = Instant::now();
            if let Some((_, code)) = self.finish.filter(|(at, _)| *at <= now) {
                self.say("finished");
                return Break(code);
            }
            if until.is_some_and(|until| until <= now) {
                return Continue(());
            }
            let next = until.into_iter().chain(self.finish.map(|(at, _)| at)).min();
            self.rest(next.map(|next| next - now));
        }
    }

    /// Waits for a signal, at most for `timeout`.
    fn rest(&mut self, timeout: Option<Duration>) {
        match &mut self.catcher {
            Some(catcher) if self.taken == SignalSet::default() => return catcher.rest(timeout),
            Some(_) | None => {}
        }
        if self.taken == SignalSet::default() {
            // Not in sigtimedwait(2), in which a process takes signals.
            return timeout.map_or_else(std::thread::park, std::thread::park_timeout);
        }
        // A handler that runs just before sigtimedwait(2) begins does not interrupt it: with handlers, look again soon.
        let timeout = if self.catcher.is_some() { Some(timeout.unwrap_or(POLL).min(POLL)) } else { timeout };
        if let Some(received) = signals::wait(self.taken, timeout) {
            self.say_got(received.signal);
        }
    }

    fn handle_taken(&self) {
        if self.taken == SignalSet::default() {
            return;
        }
        while let Some(received) = signals::wait(self.taken, Some(Duration::ZERO)) {
            self.say_got(received.signal);
        }
    }

    fn handle_caught(&mut self) {
        while let Some((signal, count, reaction)) = self.catcher.as_mut().and_then(Catcher::next) {
            match reaction {
                Reaction::GoOn => (0..count).for_each(|_| self.say_got(signal)),
                Reaction::Finish { delay, code } => {
                    (0..count).for_each(|_| self.say_got(signal));
                    self.finish_after(delay, code);
                }
                Reaction::FinishOnce { delay, code } => {
                    self.set_disposition(signal, signals::restore_default);
                    let count = count + self.catcher.as_mut().map_or(0, |catcher| catcher.count(signal));
                    self.say_got(signal);
                    if count > 1 {
                        // The handler got a second one, which was meant to find the default action.
                        let _ = self.send_itself(signal);
                    }
                    self.finish_after(delay, code);
                }
            }
        }
    }

    fn say_got(&self, signal: Signal) {
        self.say(format!("got {signal}"));
    }

    /// If several signals request an end, the earliest counts.
    fn finish_after(&mut self, delay: Duration, code: u8) {
        let new = Instant::now().checked_add(delay).map(|at| (at, code));
        self.finish = self.finish.into_iter().chain(new).min_by_key(|(at, _)| *at);
    }
}
