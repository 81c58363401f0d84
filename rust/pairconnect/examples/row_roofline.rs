//! What lookups reach of what memory gives: rows that are only read, at places that are known, beside lookups of as many
//! rows. A JSON line a table; both take turns, medians of rounds.

#![allow(clippy::print_stdout)] // what it is for

use std::hint::black_box;
use std::time::Instant;

use thrifty_base::hash::mix64;
use thrifty_base::pages::Pages;
use thrifty_base::prefetch::prefetch;
use thrifty_base::progress::Progress;
use thrifty_pairconnect::Result;
use thrifty_pairconnect::spec::{Kind, PairSpec, Pool, Precision};
use thrifty_pairconnect::table::PairTable;

const BAGS: usize = 2048;
const WINDOW: usize = 64;
const DIM: usize = 128;
const ROUNDS: usize = 41;
/// Rows ahead for which memory is asked.
const AHEAD: usize = 8;
/// Numbers of a cache line.
const LINE: usize = 16;

fn main() -> Result<()> {
    for (name, rows) in [("8 MB", 1 << 14), ("256 MB", 1 << 19), ("1 GB", 1 << 21)] {
        let spec = PairSpec {
            vocab: 30_000,
            rows,
            heads: 1,
            head_dim: DIM,
            window: WINDOW,
            offsets: true,
            include_self: false,
            pool: Pool::Sum,
            query_gram: 1,
            key_gram: 1,
            hash: Kind::Mix64,
            seed: 1,
            precision: Precision::F32,
        };
        let mut table = PairTable::zeros(spec, None)?;
        let values: Vec<f32> = (0..1 << 14).flat_map(|r| (0..DIM).map(move |i| (r * i) as f32)).collect();
        for first in (0..rows).step_by(1 << 14) {
            table.set(first, &values, None)?;
        }
        let mut plain = Pages::<f32>::zeros(rows * DIM)?;
        plain.iter_mut().enumerate().for_each(|(i, x)| *x = i as f32);
        let progress = Progress::new();
        let mut out = vec![0.0; BAGS * DIM];
        let (mut read, mut looked) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS as u64 {
            let places: Vec<usize> =
                (0..(BAGS * WINDOW) as u64).map(|i| mix64(i ^ mix64(round)) as usize % rows * DIM).collect();
            let begun = Instant::now();
            black_box(sum_of_lines(&plain, &places));
            read.push((places.len() * DIM * 4) as f64 / begun.elapsed().as_secs_f64() / 1e9);
            let ids: Vec<u32> = (0..BAGS as u64).map(|i| (mix64(i ^ mix64(round + 99)) % 30_000) as u32).collect();
            let begun = Instant::now();
            table.lookup(&ids, BAGS, None, 1, &progress, &mut out)?;
            let pairs: usize = (0..BAGS).map(|t| t.min(WINDOW)).sum();
            looked.push((pairs * DIM * 4) as f64 / begun.elapsed().as_secs_f64() / 1e9);
            black_box(&out);
        }
        let (roof, lookup) = (median(read), median(looked));
        println!(r#"{{"name": "{name}", "roof": {roof:.3}, "lookup": {lookup:.3}}}"#);
    }
    Ok(())
}

/// A number of each line of rows: no less can be done to have read them.
fn sum_of_lines(data: &[f32], places: &[usize]) -> f32 {
    let mut sums = [0.0f32; DIM / LINE];
    for (i, &place) in places.iter().enumerate() {
        if let Some(&later) = places.get(i + AHEAD) {
            prefetch(&data[later..later + DIM]);
        }
        let row = &data[place..place + DIM];
        for (sum, line) in sums.iter_mut().zip(row.chunks_exact(LINE)) {
            *sum += line[0];
        }
    }
    sums.iter().sum()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
