//! The hot paths (`cargo bench -p thrifty-slide`).
#![allow(clippy::unwrap_used, missing_docs)] // a panic is the report; criterion's macros write no docs

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use thrifty_base::hash::mix64;
use thrifty_base::math::{LANES, Rows};
use thrifty_base::pool::pool;
use thrifty_base::simd;
use thrifty_slide::active::{Active, Cap, Counter, Draw, Wanted};
use thrifty_slide::adam::{Adam, Updated, update};
use thrifty_slide::batch::Batch;
use thrifty_slide::hash::{Family, Hash, Scratch};
use thrifty_slide::head::{Head, Slice, Weights, WeightsMut};
use thrifty_slide::matrix::{Matrix, Values, ValuesMut};
use thrifty_slide::sampling::{Method, Sampling};
use thrifty_slide::softmax::Loss;
use thrifty_slide::sparse::Sparse;
use thrifty_slide::tables::Tables;

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

/// Rows of the two output layers.
const LAYERS: [usize; 2] = [65_536, 670_091];
/// Rows of a batch.
const BATCH: usize = 128;
/// Sets that are used in turn, so that no step finds its rows in the cache.
const SETS: usize = 32;

fn matrix(weights: &[f32]) -> Matrix<'_> {
    Matrix { values: Values::F32(weights), stride: HIDDEN, length: HIDDEN }
}

/// Short times: what is measured takes much longer to set up.
fn short(group: &mut BenchmarkGroup<'_, WallTime>) {
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
}

/// Different rows, ascending.
fn some_rows(seed: u64, rows: usize, most: usize) -> Vec<u32> {
    let mut out: Vec<u32> = (0..).map(|i| (mix64(seed << 32 | i) % rows as u64) as u32).take(most + most / 8).collect();
    out.sort_unstable();
    out.dedup();
    while out.len() > most {
        out.swap_remove((mix64(out.len() as u64) % out.len() as u64) as usize);
    }
    out.sort_unstable();
    out
}

/// Hidden values of a batch, as a rectifier leaves them.
fn hidden() -> Vec<f32> {
    numbers(3, BATCH * HIDDEN).iter().map(|x| x.max(0.0)).collect()
}

/// DWTA, K = 6, 50 tables: the neurons that sixteen rows are returned; and 256 rows with new weights hashed again.
fn tables(c: &mut Criterion) {
    let path = simd::path().unwrap();
    let pool = pool(0).unwrap();
    let hash = Hash::new(Family::Dwta, 6, 50, 18, HIDDEN, 1).unwrap();
    let (hidden, mut scratch) = (hidden(), Scratch::default());
    let queries: Vec<Vec<u32>> = hidden
        .chunks_exact(HIDDEN * LANES)
        .map(|rows| {
            let starts: Vec<usize> = (0..LANES).map(|i| i * HIDDEN).collect();
            let mut codes = vec![0; 50 * LANES];
            let rows = Rows { data: rows, starts: &starts, length: HIDDEN };
            hash.rows(path, rows, &mut scratch, &mut codes);
            codes
        })
        .collect();
    for rows in LAYERS {
        let mut weights = numbers(2, rows * HIDDEN);
        let mut tables = Tables::new(hash.clone(), 0, rows, rows, 1);
        pool.install(|| tables.rebuild(path, matrix(&weights))).unwrap();
        let mut group = c.benchmark_group("query");
        short(&mut group);
        group.throughput(Throughput::Elements(LANES as u64));
        let (mut counter, mut i) = (Counter::default(), 0);
        group.bench_function(rows.to_string(), |b| {
            b.iter(|| {
                i = (i + 1) % queries.len();
                let mut wanted = Wanted::default();
                counter.ask(&tables, &queries[i], LANES, Cap::Same(128), 64, &mut wanted);
                wanted
            });
        });
        group.finish();
        let mut group = c.benchmark_group("rehash");
        short(&mut group);
        group.throughput(Throughput::Elements(256));
        let sets: Vec<Vec<u32>> = (0..SETS as u64).map(|seed| some_rows(seed, rows, 256)).collect();
        let mut round = 0;
        group.bench_function(rows.to_string(), |b| {
            b.iter_custom(|times| {
                let mut taken = Duration::ZERO;
                for _ in 0..times {
                    round += 1;
                    let set = &sets[round % SETS];
                    // A twentieth of each row's numbers are others now.
                    for &row in set {
                        let row = &mut weights[row as usize * HIDDEN..][..HIDDEN];
                        row.iter_mut().skip(round % 20).step_by(20).for_each(|w| *w = -*w);
                    }
                    let begun = Instant::now();
                    pool.install(|| tables.rehash(path, matrix(&weights), set)).unwrap();
                    taken += begun.elapsed();
                }
                taken
            });
        });
        group.finish();
    }
}

/// A step's two halves over 670,091 neurons, without tables: gathered rows times 128 hidden vectors, then their gradients
/// and Adam. Elements are active neurons.
fn step(c: &mut Criterion) {
    let neurons = LAYERS[1];
    let pool = pool(0).unwrap();
    let mut weights: Vec<f32> = numbers(2, neurons * HIDDEN).iter().map(|w| w * 0.1).collect();
    let mut bias = vec![0.0f32; neurons];
    let numbers: Vec<u32> = (0..BATCH as u32).collect();
    let (ends, labels): (Vec<u64>, Vec<u32>) = numbers.iter().map(|&i| (u64::from(i) + 1, i * 5000)).unzip();
    let targets = Sparse { ends: &ends, indices: &labels, values: &[] };
    let batch = pool.install(|| Batch::new(targets, &numbers, hidden().into(), HIDDEN));
    let slice = Slice { first: 0, rows: neurons, neurons };
    for active in [1000, 3350] {
        let sampling = Sampling {
            method: Method::Random,
            tuned: false,
            k: 1,
            tables: 1,
            range: 1,
            bucket: 1,
            active,
            each: 1,
            pool: 0,
            own: false,
            rehash: 1,
            draw: Draw::Uniform,
            correct: false,
        };
        let mut head = Head::new(slice, HIDDEN, sampling, Loss::Softmax, Adam::default(), 1).unwrap();
        let set = |seed| {
            let mut ids = some_rows(seed, neurons, active - BATCH);
            ids.extend(&labels);
            ids.sort_unstable();
            ids.dedup();
            Active { ids, shifts: Vec::new() }
        };
        let sets: Vec<Active> = (0..SETS as u64).map(set).collect();
        // Memory of moments is there from the second step of a row on.
        for set in &sets {
            let forward = pool.install(|| {
                head.forward(Weights { rows: matrix(&weights), bias: &bias }, &batch, set, &Wanted::default())
            });
            let all = forward.sums.clone();
            let to = WeightsMut { rows: ValuesMut::F32(&mut weights), bias: &mut bias };
            pool.install(|| head.backward(to, &batch, forward, &all, 1.0));
        }
        let mut round = 0;
        let mut group = c.benchmark_group("forward");
        short(&mut group);
        group.throughput(Throughput::Elements(active as u64));
        group.bench_function(active.to_string(), |b| {
            b.iter(|| {
                round += 1;
                let weights = Weights { rows: matrix(&weights), bias: &bias };
                pool.install(|| head.forward(weights, &batch, &sets[round % SETS], &Wanted::default()))
            });
        });
        group.finish();
        let mut group = c.benchmark_group("backward");
        short(&mut group);
        group.throughput(Throughput::Elements(active as u64));
        group.bench_function(active.to_string(), |b| {
            b.iter_custom(|times| {
                let mut taken = Duration::ZERO;
                for _ in 0..times {
                    round += 1;
                    let from = Weights { rows: matrix(&weights), bias: &bias };
                    let forward = pool.install(|| head.forward(from, &batch, &sets[round % SETS], &Wanted::default()));
                    let all = forward.sums.clone();
                    let to = WeightsMut { rows: ValuesMut::F32(&mut weights), bias: &mut bias };
                    let begun = Instant::now();
                    black_box(pool.install(|| head.backward(to, &batch, forward, &all, 1.0)));
                    taken += begun.elapsed();
                }
                taken
            });
        });
        group.finish();
    }
}

/// Adam for 1,000 rows of 670,091, which lie apart, on one thread.
fn adam(c: &mut Criterion) {
    let (path, rows) = (simd::path().unwrap(), LAYERS[1]);
    let mut weights = numbers(2, rows * HIDDEN);
    let mut moments = vec![1e-3f32; 2 * rows * HIDDEN];
    let gradients = numbers(4, 1000 * HIDDEN);
    let starts = |seed| some_rows(seed, rows, 1000).iter().map(|&row| row as usize * HIDDEN).collect();
    let sets: Vec<(Vec<usize>, Vec<usize>)> = (0..SETS as u64)
        .map(|seed| {
            let starts: Vec<usize> = starts(seed);
            let places = starts.iter().map(|start| 2 * start).collect();
            (starts, places)
        })
        .collect();
    let mut number = 0;
    let mut group = c.benchmark_group("adam");
    short(&mut group);
    group.throughput(Throughput::Elements(1000));
    group.bench_function("1000", |b| {
        b.iter(|| {
            number += 1;
            let (starts, places) = &sets[number % SETS];
            let rows = Updated { weights: &mut weights, moments: &mut moments, places, length: HIDDEN };
            update(path, Adam::default().step(number as u64), rows, starts, &gradients, HIDDEN);
        });
    });
    group.finish();
}

criterion_group!(benches, hash, tables, step, adam);
criterion_main!(benches);
