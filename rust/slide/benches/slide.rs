//! The hot paths (`cargo bench -p thrifty-slide`).
#![allow(clippy::unwrap_used, missing_docs)] // a panic is the report; criterion's macros write no docs

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use thrifty_base::hash::mix64;
use thrifty_base::math::{LANES, Rows};
use thrifty_base::simd;
use thrifty_slide::hash::{Family, Hash, Scratch};

const HIDDEN: usize = 128;

fn numbers(seed: u64, n: usize) -> Vec<f32> {
    (0..n as u64).map(|i| (mix64(seed << 40 | i) >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// Sixteen vectors of 128 coordinates, K = 6, 50 tables.
fn hash(c: &mut Criterion) {
    let path = simd::path().unwrap();
    let x = numbers(1, HIDDEN * LANES);
    let rectified: Vec<f32> = x.iter().map(|x| x.max(0.0)).collect();
    let weights = numbers(2, 4096 * HIDDEN);
    let starts: Vec<usize> = (0..LANES).map(|i| (mix64(i as u64) % 4096) as usize * HIDDEN).collect();
    let rows = Rows { data: &weights, starts: &starts, length: HIDDEN };
    let mut group = c.benchmark_group("hash");
    group.throughput(Throughput::Elements(LANES as u64));
    let mut scratch = Scratch::default();
    let mut out = vec![0; 50 * LANES];
    for (name, family) in Family::ALL {
        let hash = Hash::new(family, 6, 50, 18, HIDDEN, 1).unwrap();
        group.bench_function(format!("{name}/dense"), |b| {
            b.iter(|| hash.codes(path, &x, LANES, &mut scratch, &mut out));
        });
        group.bench_function(format!("{name}/rectified"), |b| {
            b.iter(|| hash.codes(path, &rectified, LANES, &mut scratch, &mut out));
        });
        group.bench_function(format!("{name}/rows"), |b| b.iter(|| hash.rows(path, rows, &mut scratch, &mut out)));
    }
    let mixed = Hash::new(Family::Dwta, 6, 50, 14, HIDDEN, 1).unwrap();
    group.bench_function("dwta/mixed", |b| b.iter(|| mixed.codes(path, &x, LANES, &mut scratch, &mut out)));
    group.finish();
}

criterion_group!(benches, hash);
criterion_main!(benches);
