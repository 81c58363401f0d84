//! An index against plain sets.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic or a line is the report

use std::collections::HashSet;

use thrifty_base::container::Target;
use thrifty_base::hash::mix64;
use thrifty_base::memory::Mode;
use thrifty_base::progress::Progress;
use thrifty_base::simd::Path;
use thrifty_rambo::Index;
use thrifty_rambo::builder::Builder;
use thrifty_rambo::items::Items;
use thrifty_rambo::plan::{Wish, plan};
use thrifty_rambo::query::query_items_on;

/// `n` documents of unlike size that share some items.
fn documents(n: u64) -> Vec<Vec<u64>> {
    (0..n)
        .map(|d| {
            let own = 200 + mix64(d) % 300;
            let mut items: Vec<u64> = (0..own).map(|i| mix64(d << 32 | i)).collect();
            items.extend((0..50).filter(|i| mix64(d ^ mix64(*i)).is_multiple_of(20)).map(|i| mix64(u64::MAX - i)));
            items
        })
        .collect()
}

fn build(docs: &[Vec<u64>], wish: &Wish) -> Index {
    let counts: Vec<u64> = docs.iter().map(|d| d.len() as u64).collect();
    let p = plan(&counts, wish).unwrap();
    let mut b = Builder::new(Items::dna(31).unwrap(), p, None).unwrap();
    for (i, d) in docs.iter().enumerate() {
        b.add(&format!("d{i}"), &mut d.clone()).unwrap();
    }
    b.freeze(&Target::Memory, 2, Mode::Map, &Progress::new()).unwrap()
}

#[test]
fn no_false_negative_and_the_planned_rate() {
    for n in [1, 7, 100, 900, 5000] {
        let docs = documents(n);
        let wish = Wish { fpr: 3e-3, multiplicity: 1.5, ..Wish::new(7) };
        let index = build(&docs, &wish);
        let progress = Progress::new();
        let sets: Vec<HashSet<u64>> = docs.iter().map(|d| d.iter().copied().collect()).collect();
        let queries: Vec<u64> = docs.iter().flatten().copied().take(20_000).collect();
        let answers = query_items_on(Path::Scalar, &index, &queries, 1, &progress).unwrap();
        for (i, q) in queries.iter().enumerate() {
            let got: HashSet<u32> = answers.documents.as_slice()
                [answers.starts[i] as usize..answers.starts[i + 1] as usize]
                .iter()
                .copied()
                .collect();
            let n_got = (answers.starts[i + 1] - answers.starts[i]) as usize;
            assert_eq!(n_got, got.len(), "no document twice");
            let own = &answers.documents.as_slice()[answers.starts[i] as usize..answers.starts[i + 1] as usize];
            assert!(own.is_sorted(), "ids ascend");
            if n <= 900 {
                let names: HashSet<&str> = got.iter().map(|&id| index.name(id)).collect();
                for (d, s) in sets.iter().enumerate() {
                    assert!(!s.contains(q) || names.contains(format!("d{d}").as_str()), "false negative");
                }
            }
        }
        let absent: Vec<u64> = (0..40_000u64).map(|i| mix64(i ^ 0xDEAD_0000_0000)).collect();
        let answers = query_items_on(Path::Scalar, &index, &absent, 2, &progress).unwrap();
        let rate = answers.documents.len() as f64 / (absent.len() as f64 * n as f64);
        let planned = index.plan().predicted_fpr();
        println!(
            "n={n} segments={} B={} reps={:?} planned {planned:.2e} measured {rate:.2e} present {:.2e} bits/item {:.2}",
            index.segments().len(),
            index.plan().segments[0].buckets(),
            index.plan().segments[0].repetitions,
            index.segments()[0].present_fpr(),
            8.0 * index.bytes() as f64 / index.pairs() as f64
        );
        if n >= 100 {
            assert!((0.8..1.25).contains(&(rate / planned)), "{rate} {planned}");
        }
        for path in Path::usable() {
            assert_eq!(query_items_on(path, &index, &absent, 1, &progress).unwrap(), answers, "{}", path.name());
        }
    }
}
