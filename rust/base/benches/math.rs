//! Dense arithmetic at the shapes of training steps (`cargo bench -p thrifty-base`); products count floating-point
//! operations, vectors elements.
//!
//! Rows lie near, in 2 MB, or far, anywhere in 350 MB. THRIFTY_SIMD chooses the instruction set.
#![allow(clippy::unwrap_used, missing_docs)] // a panic is the report; criterion's macros write no docs

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pulp::{Simd, WithSimd};
use thrifty_base::hash::mix64;
use thrifty_base::math::{self, Rows, bf16, dispatch};
use thrifty_base::philox::Philox;
use thrifty_base::simd::{Path, path};

const NEAR: usize = 1 << 19;
const FAR: usize = 350_000_000 / 4;

fn numbers(n: usize) -> Vec<f32> {
    (0..n as u64).map(|i| (mix64(i) >> 40) as f32 / (1 << 24) as f32 - 0.5).collect()
}

/// Rows at random in `size` numbers, other ones at each turn where these are many.
struct Places(Vec<Vec<usize>>, usize);

impl Places {
    fn new(rows: usize, length: usize, size: usize) -> Self {
        // Far rows come back only when the caches have long lost them.
        let turns = if size == NEAR { 1 } else { (size / 2).div_ceil(rows * length) };
        let place = |i: usize| mix64(i as u64) as usize % (size / length) * length;
        Self((0..turns).map(|t| (t * rows..(t + 1) * rows).map(place).collect()).collect(), 0)
    }

    fn next<'a>(&'a mut self, data: &'a [f32], length: usize) -> Rows<'a> {
        self.1 = (self.1 + 1) % self.0.len();
        Rows { data, starts: &self.0[self.1], length }
    }
}

/// Fused multiply-adds on registers alone: what there is to reach.
struct Registers(usize);

impl WithSimd for Registers {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> f32 {
        let mut sums = [s.splat_f32s(black_box(0.0)); 12];
        let (a, b) = (s.splat_f32s(black_box(1.0)), s.splat_f32s(black_box(1e-9)));
        for _ in 0..self.0 {
            for sum in &mut sums {
                *sum = s.mul_add_f32s(a, b, *sum);
            }
        }
        s.reduce_sum_f32s(sums.into_iter().reduce(|a, b| s.add_f32s(a, b)).unwrap())
    }
}

fn peak(c: &mut Criterion) {
    let path = path().unwrap();
    let lanes = [1, 8, 16][path as usize];
    let mut group = c.benchmark_group("peak");
    group.throughput(Throughput::Elements(2 * 12 * lanes * 10_000));
    group.bench_function("registers", |b| b.iter(|| dispatch(path, Registers(10_000))));
}

fn products(c: &mut Criterion) {
    let path = path().unwrap();
    let data = numbers(FAR);
    for (place, size) in [("near", NEAR), ("far", FAR)] {
        let data = &data[..size];
        let mut group = c.benchmark_group(format!("multiply, {place}"));
        for (rows, length, columns) in [
            (48, 128, 128),
            (1000, 128, 128),
            (3350, 128, 128),
            (48, 64, 64),
            (48, 256, 256),
            (48, 512, 128),
            (48, 128, 512),
            (48, 512, 512),
        ] {
            let mut places = Places::new(rows, length, size);
            let (b, mut out) = (numbers(length * columns), vec![0.0; rows * columns]);
            group.throughput(Throughput::Elements(2 * (rows * length * columns) as u64));
            group.bench_function(format!("{rows} rows of {length}, {columns} columns"), |bench| {
                bench.iter(|| math::multiply(path, places.next(data, length), &b, columns, None, &mut out));
            });
        }
        group.finish();

        let mut group = c.benchmark_group(format!("accumulate, {place}"));
        for (rows, length, columns, outs) in [
            (1000, 128, 128, 16),
            (3350, 128, 128, 16),
            (3350, 128, 128, 64),
            (3350, 128, 128, 128),
            (1000, 64, 64, 64),
            (1000, 512, 512, 16),
        ] {
            let mut places = Places::new(rows, length, size);
            let (b, mut out) = (numbers(rows * columns), vec![0.0; outs * columns]);
            group.throughput(Throughput::Elements(2 * (rows * outs * columns) as u64));
            group.bench_function(format!("{rows} rows, {outs} of {length}, {columns} columns"), |bench| {
                bench.iter(|| math::accumulate(path, places.next(data, length), &b, columns, length - outs, &mut out));
            });
        }
        group.finish();

        let mut group = c.benchmark_group(format!("rows, {place}"));
        for (rows, length) in [(75, 128), (1000, 128), (1000, 100)] {
            let mut places = Places::new(rows, length, size);
            let (x, scales) = (numbers(length), numbers(rows));
            let (mut sums, mut out) = (vec![0.0; length], vec![0.0; rows]);
            group.throughput(Throughput::Elements(2 * (rows * length) as u64));
            group.bench_function(format!("combine {rows} of {length}"), |bench| {
                bench.iter(|| math::combine(path, places.next(data, length), &scales, &mut sums));
            });
            group.bench_function(format!("dots {rows} of {length}"), |bench| {
                bench.iter(|| math::dots(path, places.next(data, length), &x, &mut out));
            });
        }
    }
}

struct Exp<'a>(&'a [f32], &'a mut [f32]);

impl WithSimd for Exp<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        for (y, &x) in S::as_mut_simd_f32s(self.1).0.iter_mut().zip(S::as_simd_f32s(self.0).0) {
            *y = math::exp(s, x);
        }
    }
}

fn vectors(c: &mut Criterion) {
    let path: Path = path().unwrap();
    let n = 4096;
    let x: Vec<f32> = numbers(n).iter().map(|x| 20.0 * (x - 0.5)).collect();
    let (mut y, mut half) = (x.clone(), vec![0u16; n]);
    let mut group = c.benchmark_group("vectors of 4096");
    group.throughput(Throughput::Elements(n as u64));
    group.bench_function("exp", |b| b.iter(|| dispatch(path, Exp(&x, &mut y))));
    group.bench_function("log_sum_exp", |b| b.iter(|| math::log_sum_exp(path, black_box(&x))));
    group.bench_function("sum", |b| b.iter(|| math::sum(path, black_box(&x))));
    group.bench_function("dot", |b| b.iter(|| math::dot(path, black_box(&x), &x)));
    group.bench_function("axpy", |b| b.iter(|| math::axpy(path, 1e-9, black_box(&x), &mut y)));
    group.bench_function("narrow", |b| b.iter(|| bf16::narrow(path, black_box(&x), &mut half)));
    let random = Philox::new(1, 2);
    group.bench_function("narrow_stochastic", |b| {
        b.iter(|| bf16::narrow_stochastic(path, black_box(&x), random, 0, &mut half));
    });
    group.bench_function("widen", |b| b.iter(|| bf16::widen(path, black_box(&half), &mut y)));
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .measurement_time(Duration::from_secs(1))
        .warm_up_time(Duration::from_millis(300));
    targets = peak, products, vectors
}
criterion_main!(benches);
