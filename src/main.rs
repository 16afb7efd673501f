//! The program: reads its options, starts the command, and runs until everybody has left.

#![no_main]

use std::ffi::OsString;

use drainit::cli::{self, Instead};
use drainit::error::StartError;
use drainit::logging;
use drainit::settings::{self, Settings};
use drainit::signal::SignalSet;
use drainit::supervisor::{self, Supervisor};
use drainit::sys::{defect, machine, output, process, signals};

drainit::entry!(run);

/// Nothing is done before every signal is blocked; from then on none can be lost.
fn run(arguments: Vec<OsString>) -> u8 {
    let open = defect::report(logging::say_defect);
    let inherited_mask = signals::block_all_but(open);
    signals::reset_child_signal();
    #[cfg(worded_panics)]
    logging::report_panics();
    match read_settings(arguments) {
        Ok(settings) => start(settings, inherited_mask),
        Err(code) => code,
    }
}

/// What is to be done; or the exit code, where that has been said or printed.
// Its frame is not to stay below the loop's.
#[inline(never)]
fn read_settings(arguments: Vec<OsString>) -> Result<Settings, u8> {
    let typed = match cli::parse(arguments) {
        Ok(typed) => typed,
        Err(Instead::Print(text)) => return Err(print(&text)),
        Err(Instead::Refuse(problem)) => return Err(refuse(&StartError::CommandLine(problem))),
    };
    let settings = if typed.is_plain() && !has_variables() {
        Settings::plain(typed)
    } else {
        Settings::new(typed, |name| std::env::var_os(name))
    };
    settings.map_err(|problem| refuse(&StartError::Usage(problem)))
}

/// Most containers have none of them, and then none has to be looked for.
fn has_variables() -> bool {
    process::environment().any(|entry| settings::is_setting(entry.to_bytes()))
}

#[inline(never)]
fn start(settings: Settings, inherited_mask: SignalSet) -> u8 {
    logging::set_up(settings.log_level, settings.log_format);
    let power_off = settings.power_off;
    if let Err(error) = check_place(power_off) {
        return refuse(&error);
    }
    let code = run_command(settings, inherited_mask);
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

// Called, the settings are handed over as they are; inlined, they would be copied into the frame below the loop's.
#[inline(never)]
fn run_command(settings: Settings, inherited_mask: SignalSet) -> u8 {
    if settings.pause {
        return supervisor::pause(&settings);
    }
    match Supervisor::start(settings, inherited_mask) {
        Ok(mut supervisor) => supervisor.run(),
        Err(error) => refuse(&error),
    }
}

/// Returns only where that failed; then there is nothing better to do than to exit.
#[cold]
fn switch_off() {
    if let Err(error) = machine::power_off() {
        logging::say_error(&format_args!("cannot power the machine off: {error}"));
    }
}

#[cold]
fn refuse(error: &StartError) -> u8 {
    logging::say_error(error);
    error.exit_code()
}

/// What was asked for goes to stdout; a closed one is nobody's loss.
fn print(text: &str) -> u8 {
    let _ = output::write_stdout(text.as_bytes());
    0
}
