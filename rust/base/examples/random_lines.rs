//! How many random cache lines a second one thread can read from a file, held as an index holds it and with no other
//! work: `random_lines FILE map|load`. It says `ready`, then answers every line of its input with one measurement.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use thrifty_base::hash::{mix64, reduce};
use thrifty_base::memory::{Bytes, Mode};

const LINE: usize = 64;
const READS: u64 = 1 << 23;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, mode) = match arguments.as_slice() {
        [path, mode] if mode == "map" => (Path::new(path), Mode::Map),
        [path, mode] if mode == "load" => (Path::new(path), Mode::Load),
        _ => return Err("usage: random_lines FILE map|load".into()),
    };
    let bytes = Bytes::of(&mut File::open(path)?, path, mode)?;
    bytes.expect_random_reads();
    let lines = u64::from(u32::try_from(bytes.len() / LINE)?);
    // A first walk, so that no measurement waits for the disk or for an entry of the page table.
    black_box(bytes.iter().step_by(LINE).fold(0u64, |sum, &byte| sum + u64::from(byte)));
    let mut out = std::io::stdout();
    writeln!(out, "ready")?;
    for (round, line) in (0..).zip(std::io::stdin().lock().lines()) {
        line?;
        let places = (round * READS..(round + 1) * READS).map(|i| reduce(mix64(i), lines) as u32);
        writeln!(out, "{:.0}", lines_a_second(&bytes, &places.collect::<Vec<u32>>()))?;
    }
    Ok(())
}

/// Reads a byte of each line. No read waits for another, and the places are known beforehand and walked in order, so
/// the processor runs as far ahead as it can.
fn lines_a_second(bytes: &[u8], places: &[u32]) -> f64 {
    let started = Instant::now();
    let sum = places.iter().fold(0u64, |sum, &line| sum + u64::from(bytes[LINE * line as usize]));
    black_box(sum);
    places.len() as f64 / started.elapsed().as_secs_f64()
}
