//! The program: reads its options, starts the command, and runs until no process is left.

#![no_main]

use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};

use drainit::cli::{self, EarlyExit};
use drainit::error::StartError;
use drainit::logging;
use drainit::outcome::INIT_FAILED;
use drainit::settings::Settings;
use drainit::signal::SignalSet;
use drainit::supervisor::{self, Supervisor};
use drainit::sys::memory::Allocator;
use drainit::sys::{copy, machine, output, process, signals};
use drainit::text::plain;
use drainit::useless;

drainit::entry!(run);

#[global_allocator]
static ALLOCATOR: Allocator = Allocator { failed: without_memory };

/// Whether the machine is to be powered off when this process ends.
static POWER_OFF: AtomicBool = AtomicBool::new(false);

/// Nothing is done before every signal is blocked; from then on none can be lost.
// If it were inlined, its frame would exist before `reserve_stack` has checked that there is room.
#[inline(never)]
fn run(arguments: Vec<OsString>) -> u8 {
    let inherited_mask = match signals::block_all() {
        Ok(mask) => mask,
        Err(error) => return refuse(&StartError::Wait(error)),
    };
    signals::reset_child_signal();
    logging::report_panics();
    match start(arguments, inherited_mask) {
        Ok((mut supervisor, power_off)) => end(supervisor.run(), power_off),
        Err(code) => code,
    }
}

/// Starts the command; if that fails, returns the exit code.
// Keeps start-up stack usage out of the loop's frame, which lives as long as the container (docs/decisions/what-a-start-costs.md).
#[inline(never)]
fn start(arguments: Vec<OsString>, inherited_mask: SignalSet) -> Result<(Box<Supervisor>, bool), u8> {
    let settings = read_settings(arguments)?;
    logging::set_up(settings.log_level, settings.log_format);
    let power_off = settings.power_off;
    POWER_OFF.store(power_off, Ordering::Relaxed);
    check_place(power_off).map_err(|error| refuse(&error))?;
    useless::check(&settings).map_err(|error| end(refuse(&error), power_off))?;
    if settings.pause {
        return Err(end(supervisor::pause(&settings).unwrap_or_else(|error| refuse(&error)), power_off));
    }
    let started = Supervisor::start(settings, inherited_mask);
    started.map(|supervisor| (supervisor, power_off)).map_err(|error| end(refuse(&error), power_off))
}

/// Returns the exit code, unless the machine is switched off.
fn end(code: u8, power_off: bool) -> u8 {
    if power_off {
        switch_off();
    }
    code
}

/// What the command line and the environment ask for; or the exit code, if there is nothing more to do.
fn read_settings(arguments: Vec<OsString>) -> Result<Settings, u8> {
    let typed = match cli::parse(arguments) {
        Ok(typed) => typed,
        Err(EarlyExit::Print(text)) => return Err(print(&text)),
        Err(EarlyExit::Copy(path)) => return Err(copy_program(path)),
        Err(EarlyExit::Refuse(problem)) => return Err(refuse(&StartError::CommandLine(problem))),
    };
    let settings = Settings::new(typed, |name| std::env::var_os(name));
    settings.map_err(|problem| refuse(&StartError::Usage(problem)))
}

/// The init of a machine must not exit, and no other process may switch it off.
fn check_place(power_off: bool) -> Result<(), StartError> {
    match (machine::is_its_init(), power_off) {
        (false, false) => Ok(()),
        (true, true) => {
            machine::take_ctrl_alt_del();
            Ok(())
        }
        (true, false) => Err(StartError::WouldPanic),
        (false, true) => Err(StartError::NotTheMachine),
    }
}

/// Powers the machine off. Returns only if that failed; then all that is left is to exit.
fn switch_off() {
    if let Err(error) = machine::power_off() {
        logging::say_error(&format_args!("cannot power the machine off: {}", plain(&error)));
    }
}

/// An allocation has failed, which nothing can return from. Once the command runs, its end is waited for all the same.
fn without_memory() -> ! {
    logging::say_without_memory(supervisor::goes_on_without_memory());
    let code = supervisor::go_on_without_memory().unwrap_or(INIT_FAILED);
    // At most once: powering off may allocate, fail, and lead here again.
    if POWER_OFF.swap(false, Ordering::Relaxed) {
        let _ = machine::power_off();
    }
    process::exit_now(code)
}

fn refuse(error: &StartError) -> u8 {
    logging::say_error(error);
    error.exit_code()
}

/// For an init container that hands drainit to another one: an image from scratch has no `cp`.
fn copy_program(path: OsString) -> u8 {
    match copy::program_to(&path) {
        Ok(()) => 0,
        Err(error) => refuse(&StartError::Copy { path, error }),
    }
}

/// Prints help, version or licence. A reader that is missing, or that stops in the middle, is no failure.
fn print(text: &str) -> u8 {
    match output::write_stdout(text.as_bytes()) {
        Err(error) if !output::is_unread(&error) => {
            logging::say_error(&format_args!("cannot write to stdout: {}", plain(&error)));
            INIT_FAILED
        }
        Ok(()) | Err(_) => 0,
    }
}
