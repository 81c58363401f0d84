//! How near verification comes to the pace of memory: bytes of the rows that a rule must read, over its time, beside a
//! plain sum of the same bytes; and what arithmetic takes where numbers lie in the first cache: an exponential, and an
//! id of a race with its random number.
//!
//! `cargo run --release -p thrifty-specdec --example roofline -- [vocab] [requests] [width] [rule]`
#![allow(clippy::print_stdout)]

use std::time::Instant;

use pulp::{Simd, WithSimd};
use thrifty_base::hash::mix64;
use thrifty_base::math::{dispatch, exps, log_sum_exp, sum};
use thrifty_base::noise::{Noise, Purpose};
use thrifty_base::progress::Progress;
use thrifty_base::sampling::{Sampling, race};
use thrifty_specdec::verify::{Batch, Drafted, Numbers, Params, Rule, verify};

/// Sums of four uniform numbers: near enough to normal.
fn scores(seed: u64, n: usize, scale: f32) -> Vec<f32> {
    let part = |word: u64, i: u32| (word >> (16 * i) & 0xFFFF) as f32 / 65_536.0 - 0.5;
    (0..n as u64).map(|i| mix64(seed ^ i << 8)).map(|w| scale * (0..4).map(|i| part(w, i)).sum::<f32>()).collect()
}

/// e^x - 1 in place, of numbers that stay 0.
struct Exponentials<'a>(&'a mut [f32]);

impl WithSimd for Exponentials<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        for pair in S::as_mut_simd_f32s(self.0).0.as_chunks_mut::<2>().0 {
            *pair = exps(s, *pair);
            for x in pair {
                *x = s.sub_f32s(*x, s.splat_f32s(1.0));
            }
        }
    }
}

/// Nanoseconds an element of 4,096 that are worked on again and again.
fn near(mut work: impl FnMut()) -> f64 {
    least(|| (0..100).for_each(|_| work())) * 1e9 / 409_600.0
}

fn least(mut work: impl FnMut()) -> f64 {
    let times = (0..7).map(|_| {
        let begun = Instant::now();
        work();
        begun.elapsed().as_secs_f64()
    });
    times.fold(f64::INFINITY, f64::min)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let at = |i: usize, standard: usize| arguments.get(i).copied().unwrap_or(standard);
    let (vocab, n, width) = (at(0, 128_256), at(1, 16), at(2, 8));
    let path = thrifty_base::simd::path()?;
    let p = scores(1, n * (width + 1) * vocab, 3.5);
    let other = scores(2, n * width * vocab, 1.2);
    let mut q = vec![0.0f32; n * width * vocab];
    for (i, (q, other)) in q.chunks_mut(vocab).zip(other.chunks(vocab)).enumerate() {
        let p = &p[(i / width * (width + 1) + i % width) * vocab..][..vocab];
        q.iter_mut().zip(p).zip(other).for_each(|((q, p), other)| *q = p + other);
    }
    let lse: Vec<f32> = q.chunks(vocab).map(|row| log_sum_exp(path, row)).collect();
    let (mut draft, mut told) = (Vec::new(), Vec::new());
    for (i, row) in q.chunks(vocab).enumerate() {
        let mut law = row.to_vec();
        Sampling::default().law(path, &mut law, &mut Vec::new());
        let random = Noise::new(3, (i / width) as u64).of(Purpose::Draft, 10);
        let id = race(path, &law, random, 10 + (i % width) as u64).ok_or("no law")?;
        draft.push(id as i64);
        told.push((row[id] - lse[i]).exp());
    }
    let (uid, position): (Vec<u64>, _) = ((0..n as u64).collect(), vec![10i64; n]);
    let batch = Batch {
        vocab,
        width,
        p: Numbers::F32(&p),
        q: Drafted::Dense(Numbers::F32(&q)),
        draft: &draft,
        uid: &uid,
        position: &position,
        scores: Some(Params::default()),
        q_lse: Some(&lse),
        q_token: Some(&told),
    };
    let plain = 4.0 * p.len() as f64 / least(|| assert!(sum(path, &p).is_finite())) / 1e9;
    println!("{}: {n} requests, {width} drafts, {vocab} ids; a sum reads {plain:.1} GB/s", path.name());
    let (mut zeros, chances) = (vec![0.0f32; 4096], vec![1.0 / 4096.0; 4096]);
    let exponential = near(|| dispatch(path, Exponentials(&mut zeros)));
    let mut position = 0;
    let racing = near(|| {
        position += 1;
        assert!(race(path, &chances, Noise::new(1, 1).of(Purpose::Bonus, 0), position).is_some());
    });
    println!("an exponential takes {exponential:.2} ns, an id of a race {racing:.2} ns");
    for rule in Rule::ALL.into_iter().filter(|rule| std::env::args().nth(4).is_none_or(|only| only == rule.name())) {
        let (mut accepted, mut tokens) = (vec![0; n], vec![0; n * (width + 1)]);
        let progress = Progress::new();
        let mut failed = None;
        let seconds = least(|| failed = verify(&batch, rule, 3, 1, &progress, &mut accepted, &mut tokens).err());
        failed.map_or(Ok(()), Err)?;
        let rows = accepted.iter().map(|&a| match rule {
            // One row of q where a draft was rejected.
            Rule::Token => a + 1 + i64::from(a < width as i64),
            Rule::Block => width as i64 + 1,
            Rule::Greedy | Rule::SeedExact => a + 1,
        });
        let rows = rows.sum::<i64>() as f64;
        let mean = accepted.iter().sum::<i64>() as f64 / n as f64;
        let (pace, each) = (4e-9 * rows * vocab as f64 / seconds, 1e9 * seconds / rows / vocab as f64);
        println!(
            "{:10} {:7.2} ms, {mean:.2} accepted, {pace:.1} GB/s, {:.0} % of the sum's, {each:.2} ns an id, {rows} rows",
            rule.name(),
            1e3 * seconds,
            100.0 * pace / plain,
        );
    }
    Ok(())
}
