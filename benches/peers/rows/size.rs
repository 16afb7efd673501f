//! What an init adds to an image.

use std::fs;

use crate::bench::Bench;
use crate::stats::Samples;
use crate::table::Line;
use crate::trouble::Trouble;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Line>, Trouble> {
    let mut samples = Samples::lanes(bench.candidates.len());
    let mut dynamic = Vec::new();
    for (lane, candidate) in bench.candidates.iter().enumerate() {
        samples[lane].push((fs::metadata(&candidate.path)?.len() as f64 / 1024.0).round());
        if needs_loader(&fs::read(&candidate.path)?).unwrap_or(true) {
            dynamic.push(lane);
        }
    }
    let mut line = Line::new("binary, KB", samples);
    for lane in dynamic {
        line.note(lane, "+ libc");
    }
    Ok(vec![line])
}

/// Whether it brings no libc of its own: whether it is a 64-bit ELF program that names an interpreter.
fn needs_loader(image: &[u8]) -> Option<bool> {
    const PT_INTERP: usize = 3;
    let number = |at: usize, size: usize| {
        let bytes = image.get(at..at + size)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    };
    // elf(5): e_phoff, e_phentsize, e_phnum; each program header begins with its p_type.
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    (0..count)
        .map(|header| Some(number(table + header * size, 4)? == PT_INTERP))
        .try_fold(false, |found, one| one.map(|one| found || one))
}
