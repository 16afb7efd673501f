//! The program: reads its options, starts the command, and runs until everybody has left.

#![no_main]

use std::ffi::OsString;
use std::io::Write;

use drainit::cli::{self, Instead};
use drainit::error::StartError;
use drainit::logging;
use drainit::settings::{self, Settings};
use drainit::signal::SignalSet;
use drainit::supervisor::{self, Supervisor};
use drainit::sys::{machine, process, signals};

drainit::entry!(run);

/// Nothing is done before every signal is blocked; from then on none can be lost.
fn run(arguments: Vec<OsString>) -> u8 {
    let inherited_mask = signals::block_all();
    signals::reset_child_signal();
    logging::report_panics();
    let typed = match cli::parse(arguments) {
        Ok(typed) => typed,
        Err(Instead::Print(text)) => return print(&text),
        Err(Instead::Refuse(problem)) => return refuse(&StartError::CommandLine(problem)),
    };
    let settings = if typed.is_plain() && !has_variables() {
        Settings::plain(typed)
    } else {
        Settings::new(typed, |name| std::env::var_os(name))
    };
    let settings = match settings {
        Ok(settings) => settings,
        Err(problem) => return refuse(&StartError::Usage(problem)),
    };
    start(settings, inherited_mask)
}

/// Most containers have none of them, and then none has to be looked for.
fn has_variables() -> bool {
    process::environment().any(|entry| settings::is_setting(entry.to_bytes()))
}

fn start(settings: Settings, inherited_mask: SignalSet) -> u8 {
    logging::set_up(settings.log_level, settings.log_format);
    let power_off = settings.power_off;
    if let Err(error) = check_place(power_off) {
        return refuse(&error);
    }
    let code = run_command(settings, inherited_mask).unwrap_or_else(|error| refuse(&error));
    if power_off {
        switch_off();
    }
    code
}

/// The init of a machine must not exit, and nobody else may switch it off.
fn check_place(power_off: bool) -> Result<(), StartError> {
    match (machine::is_ours(), power_off) {
        (false, false) => Ok(()),
        (true, true) => {
            machine::take_ctrl_alt_del();
            Ok(())
        }
        (true, false) => Err(StartError::WouldPanic),
        (false, true) => Err(StartError::NotTheMachine),
    }
}

fn run_command(settings: Settings, inherited_mask: SignalSet) -> Result<u8, StartError> {
    if settings.pause {
        return Ok(supervisor::pause(&settings));
    }
    Ok(Supervisor::start(settings, inherited_mask)?.run())
}

/// Returns only where that failed; then there is nothing better to do than to exit.
#[cold]
fn switch_off() {
    if let Err(error) = machine::power_off() {
        logging::say_error(&format_args!("cannot power the machine off: {error}"));
    }
}

fn refuse(error: &StartError) -> u8 {
    logging::say_error(error);
    error.exit_code()
}

/// What was asked for goes to stdout; a closed one is nobody's loss.
fn print(text: &str) -> u8 {
    let _ = std::io::stdout().write_all(text.as_bytes());
    0
}
