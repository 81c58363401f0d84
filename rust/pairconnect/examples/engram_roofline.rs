//! What lookups of n-grams reach of what memory gives: rows of a table of 2 GiB that are only copied to the result, at
//! places that are known, beside lookups of as many. A JSON line; both take turns on one thread, medians of rounds.
//!
//! Rows are copied in several ways, and the fastest counts.

#![allow(clippy::print_stdout)] // what it is for

use std::hint::black_box;
use std::time::Instant;

use thrifty_base::hash::mix64;
use thrifty_base::prefetch::{prefetch, prefetch_near};
use thrifty_base::progress::Progress;
use thrifty_pairconnect::Result;
use thrifty_pairconnect::engram::{EngramSpec, EngramTable};
use thrifty_pairconnect::spec::Precision;

const POSITIONS: usize = 2048;
const EACH: usize = 16;
const DIM: usize = 64;
const ROUNDS: u64 = 31;

type Way = (&'static str, fn(&[f32], &[usize], &mut [f32]));
const WAYS: [Way; 4] = [
    ("16 ahead, near", copy::<16, true>),
    ("24 ahead", copy::<24, false>),
    ("64 ahead", copy::<64, false>),
    ("by the processor alone", copy::<0, false>),
];

fn main() -> Result<()> {
    let spec = EngramSpec {
        vocab: 129_280,
        orders: vec![2, 3],
        heads: EACH / 2,
        head_dim: DIM,
        sizes: vec![524_288; 2],
        layers: vec![1],
        layer: 1,
        seed: 0,
        pad: 2,
        multipliers: vec![22_166_238_923_025, 42_939_128_327_945, 41_336_139_856_257],
        precision: Precision::F32,
    };
    let mut table = EngramTable::zeros(spec, None, None)?;
    let rows = table.bytes() / (4 * DIM);
    let values: Vec<f32> = (0..DIM << 14).map(|i| i as f32).collect();
    for first in (0..rows).step_by(1 << 14) {
        table.set(first, &values[..DIM * (rows - first).min(1 << 14)])?;
    }
    // The rows themselves: a table gives them no other way than as a copy.
    let mut plain = thrifty_base::pages::Pages::<f32>::zeros(rows * DIM)?;
    plain.chunks_mut(values.len()).for_each(|part| part.copy_from_slice(&values[..part.len()]));
    let progress = Progress::new();
    let mut out = vec![0.0f32; POSITIONS * EACH * DIM];
    let mut looked = Vec::new();
    let mut copied = WAYS.map(|_| Vec::new());
    for round in 0..ROUNDS {
        let random = |i: u64| mix64(i ^ mix64(round));
        let ids: Vec<i64> = (0..POSITIONS as u64).map(|i| (random(i) % 129_280) as i64).collect();
        let begun = Instant::now();
        table.lookup(&ids, POSITIONS, 0, 1, &progress, &mut out)?;
        looked.push(begun.elapsed().as_secs_f64());
        for (turn, ((_, way), seconds)) in WAYS.iter().zip(&mut copied).enumerate() {
            let shift = mix64(turn as u64 + 99); // rows that nobody has read lately
            let places: Vec<usize> =
                (0..(POSITIONS * EACH) as u64).map(|i| mix64(random(i) ^ shift) as usize % rows * DIM).collect();
            let begun = Instant::now();
            way(&plain, &places, &mut out);
            seconds.push(begun.elapsed().as_secs_f64());
            black_box(&out);
        }
    }
    let us = |seconds: Vec<f64>| 1e6 * median(seconds) / POSITIONS as f64;
    let ways: Vec<(&str, f64)> = WAYS.iter().map(|way| way.0).zip(copied.map(us)).collect();
    let (way, least) = *ways.iter().min_by(|a, b| a.1.total_cmp(&b.1)).expect("several ways");
    println!(r#"{{"lookup": {:.4}, "copy": {least:.4}, "way": "{way}"}}"#, us(looked));
    Ok(())
}

/// Copies rows one after the other; memory is asked for them `AHEAD` rows before.
fn copy<const AHEAD: usize, const NEAR: bool>(data: &[f32], places: &[usize], out: &mut [f32]) {
    let ask = |place: usize| {
        let row = &data[place..place + DIM];
        if NEAR { prefetch_near(row) } else { prefetch(row) }
    };
    if AHEAD > 0 {
        places.iter().take(AHEAD).for_each(|&place| ask(place));
    }
    for (i, (&place, out)) in places.iter().zip(out.chunks_exact_mut(DIM)).enumerate() {
        if let Some(&later) = places.get(i + AHEAD).filter(|_| AHEAD > 0) {
            ask(later);
        }
        let row = &data[place..place + DIM];
        out.copy_from_slice(row);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
