//! The hot paths: hashing, insertion, single items and sequences (`cargo bench -p thrifty-rambo`).
#![allow(clippy::unwrap_used, missing_docs)] // a panic is the report; criterion's macros write no docs

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use thrifty_base::container::Target;
use thrifty_base::hash::mix64;
use thrifty_base::memory::Mode;
use thrifty_base::progress::Progress;
use thrifty_rambo::Index;
use thrifty_rambo::builder::Builder;
use thrifty_rambo::items::Items;
use thrifty_rambo::items::distinct::dedup;
use thrifty_rambo::plan::{Plan, Wish, plan_uniform};
use thrifty_rambo::query::{SearchOptions, query_items, search_items};

const LETTERS: usize = 20_000;

fn letters(seed: u64) -> Vec<u8> {
    (0..LETTERS as u64).map(|i| b"ACGT"[(mix64(seed << 32 | i) >> 62) as usize]).collect()
}

fn planned(documents: u64) -> Plan {
    plan_uniform(documents, LETTERS as u64, &Wish { fpr: 3e-3, multiplicity: 1.5, ..Wish::new(1) }).unwrap()
}

fn built(documents: u64) -> Index {
    let mut builder = Builder::new(Items::dna(31).unwrap(), planned(documents), None).unwrap();
    let all: Vec<_> = (0..documents).map(|d| (format!("d{d}"), letters(d))).collect();
    builder.add_all(&all, 1, &Progress::new()).unwrap();
    builder.freeze(&Target::Memory, 1, Mode::Load, &Progress::new()).unwrap()
}

fn build(c: &mut Criterion) {
    let items = Items::dna(31).unwrap();
    let sequence = letters(7);
    let mut group = c.benchmark_group("build");
    group.throughput(Throughput::Elements(LETTERS as u64));
    let mut hashes = Vec::new();
    group.bench_function("hash", |b| {
        b.iter(|| {
            hashes.clear();
            items.hashes(&sequence, &mut hashes)
        });
    });
    group.bench_function("distinct", |b| b.iter_batched_ref(|| hashes.clone(), dedup, BatchSize::SmallInput));
    let all: Vec<_> = (0..200).map(|d| (format!("d{d}"), letters(d))).collect();
    group.throughput(Throughput::Elements(200 * LETTERS as u64)).sample_size(20);
    group.bench_function("insert and freeze, 200 documents", |b| {
        b.iter(|| {
            let mut builder = Builder::new(items, planned(200), None).unwrap();
            builder.add_all(&all, 1, &Progress::new()).unwrap();
            builder.freeze(&Target::Memory, 1, Mode::Load, &Progress::new()).unwrap()
        });
    });
    group.finish();
}

fn query(c: &mut Criterion) {
    let progress = Progress::new();
    let options = SearchOptions { theta: 0.5, top: None, threads: 1 };
    for documents in [100, 1000] {
        let index = built(documents);
        let mut held = Vec::new();
        index.items().hashes(&letters(3), &mut held);
        let mut group = c.benchmark_group(format!("{documents} documents"));
        group.throughput(Throughput::Elements(held.len() as u64));
        let absent: Vec<u64> = (0..held.len() as u64).map(mix64).collect();
        group.bench_function("absent items", |b| b.iter(|| query_items(&index, &absent, 1, &progress).unwrap()));
        group.bench_function("held items", |b| b.iter(|| query_items(&index, &held, 1, &progress).unwrap()));
        let reads: Vec<&[u64]> = held.chunks(120).collect();
        group.bench_function("reads", |b| b.iter(|| search_items(&index, &reads, &options, &progress).unwrap()));
        group.finish();
    }
}

criterion_group!(benches, build, query);
criterion_main!(benches);
