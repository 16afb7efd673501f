#![no_main]
drainit::entry!(run);
fn run(_: Vec<std::ffi::OsString>) -> u8 { 0 }
