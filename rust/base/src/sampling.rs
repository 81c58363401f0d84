//! From scores to a law, and from a law to an id.
//!
//! The law is what is sampled from, exactly. Ids race: each has an exponential time of its own, a function of (seed,
//! stream, position, id), divided by its probability, and the first wins. So nothing depends on the order in which ids
//! are looked at, and every backend that computes the same law draws the same id.

use crate::math::{LANES, dispatch, exp};
use crate::simd::Path;

use pulp::{Simd, WithSimd};

mod race;

pub use race::{Chances, IDS, race, race_of, race_of_chances};

/// How scores become a law: temperature first, then what each limit keeps of what is left, and all is scaled to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Scores are divided by it; 0 takes the best, of equal ones the first.
    pub temperature: f32,
    /// The likeliest so many, of equal ones the first; 0 for all.
    pub top_k: usize,
    /// The fewest likeliest whose probabilities come to this; 1 for all.
    pub top_p: f32,
    /// Those at least so likely as this part of the likeliest; 0 for all.
    pub min_p: f32,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0 }
    }
}

impl Sampling {
    /// What is out of range, if anything is: the name of the argument and what it may be.
    pub fn wrong(&self) -> Option<(&'static str, String)> {
        let Self { temperature, top_p, min_p, .. } = *self;
        if !(temperature >= 0.0 && temperature.is_finite()) {
            return Some(("temperature", format!("{temperature} is not at least 0")));
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Some(("top_p", format!("{top_p} is not above 0 and at most 1")));
        }
        if !(0.0..=1.0).contains(&min_p) {
            return Some(("min_p", format!("{min_p} is not between 0 and 1")));
        }
        None
    }

    /// Turns scores into probabilities, in place; `order` is room. Scores that are no numbers make all of the law none.
    pub fn law(&self, path: Path, scores: &mut [f32], order: &mut Vec<u32>) {
        if scores.is_empty() {
            return;
        }
        let most = dispatch(path, Largest(scores));
        if !most.is_finite() {
            scores.fill(f32::NAN);
            return;
        }
        let scale = 1.0 / self.temperature;
        // Of temperatures whose inverse is no number, only the best is left as well.
        if !scale.is_finite() {
            let best = first(scores, most);
            scores.fill(0.0);
            best.into_iter().for_each(|best| scores[best] = 1.0);
            return;
        }
        let sum = dispatch(path, Exponentials { x: scores, most, scale });
        self.limit(path, scores, sum, order);
    }

    /// Keeps what the limits keep of numbers that sum to `sum`, and scales them to 1.
    fn limit(&self, path: Path, x: &mut [f32], mut sum: f32, order: &mut Vec<u32>) {
        let few = (1..x.len()).contains(&self.top_k);
        if few || self.top_p < 1.0 {
            // What is smaller comes to less than what top_p leaves out, however many there are.
            let least = if few { bound(x, self.top_k) } else { (1.0 - self.top_p) * sum / x.len() as f32 };
            at_least(x, least.max(f32::from_bits(1)), order);
            if few && self.top_k < order.len() {
                order.select_nth_unstable_by_key(self.top_k, |&i| key(x, i));
                order.truncate(self.top_k);
            }
            if self.top_p < 1.0 {
                let total = if few { order.iter().map(|&i| f64::from(x[i as usize])).sum() } else { f64::from(sum) };
                let kept = reaching(x, order, f64::from(self.top_p) * total);
                order.truncate(kept);
            }
            let kept: Vec<f32> = order.iter().map(|&i| x[i as usize]).collect();
            x.fill(0.0);
            for (&i, kept) in order.iter().zip(kept) {
                x[i as usize] = kept;
            }
            sum = x.iter().sum();
        }
        if self.min_p > 0.0 {
            let least = self.min_p * x.iter().fold(0.0f32, |most, &x| most.max(x));
            x.iter_mut().filter(|x| **x < least).for_each(|x| *x = 0.0);
            sum = x.iter().sum();
        }
        dispatch(path, Scale(x, 1.0 / sum));
    }
}

/// What ids are ordered by: the likeliest first, of equal ones the lower.
fn key(x: &[f32], i: u32) -> (std::cmp::Reverse<u32>, u32) {
    (std::cmp::Reverse(x[i as usize].to_bits()), i)
}

/// What the `k` largest numbers are at least: there are so many chunks with one of that size.
fn bound(x: &[f32], k: usize) -> f32 {
    let mut largest: Vec<f32> =
        x.chunks(IDS).map(|chunk| chunk.iter().fold(0.0, |a, &b| if b > a { b } else { a })).collect();
    if largest.len() < k {
        return 0.0;
    }
    *largest.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a)).1
}

/// Writes which numbers are at least so much.
fn at_least(x: &[f32], least: f32, order: &mut Vec<u32>) {
    order.clear();
    for (chunk, numbers) in x.chunks(IDS).enumerate() {
        if numbers.iter().fold(false, |any, &x| any | (x >= least)) {
            let ids = (chunk * IDS) as u32..;
            order.extend(ids.zip(numbers).filter(|(_, x)| **x >= least).map(|(i, _)| i));
        }
    }
}

/// Brings the fewest likeliest of some ids whose numbers come to `enough` to the front, in their order; returns how many
/// they are. Mostly few: so the likeliest are told apart from the rest, then more of them, and only those are sorted.
fn reaching(x: &[f32], order: &mut [u32], enough: f64) -> usize {
    let (mut sorted, mut more, mut reached) = (0, 256, 0.0);
    while sorted < order.len() {
        let rest = &mut order[sorted..];
        let here = more.min(rest.len());
        if here < rest.len() {
            rest.select_nth_unstable_by_key(here, |&i| key(x, i));
        }
        rest[..here].sort_unstable_by_key(|&i| key(x, i));
        for (at, &i) in rest[..here].iter().enumerate() {
            if reached >= enough {
                return sorted + at;
            }
            reached += f64::from(x[i as usize]);
        }
        sorted += here;
        more *= 8;
    }
    order.len()
}

/// Numbers times one.
struct Scale<'a>(&'a mut [f32], f32);

impl WithSimd for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.0.iter_mut().for_each(|x| *x *= self.1);
    }
}

/// Where the first of the largest is.
fn first(x: &[f32], most: f32) -> Option<usize> {
    let is = |&x: &f32| (x == most) | x.is_nan();
    // A chunk at a time, without a branch for each number.
    let chunk = x.chunks(IDS).position(|chunk| chunk.iter().fold(false, |any, x| any | is(x)))?;
    x[chunk * IDS..].iter().position(is).map(|i| chunk * IDS + i)
}

/// The largest number, or one that is none where there is one.
struct Largest<'a>(&'a [f32]);

impl WithSimd for Largest<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f32 {
        let (whole, rest) = self.0.as_chunks::<LANES>();
        let (mut most, mut none) = ([f32::NEG_INFINITY; LANES], [false; LANES]);
        for block in whole {
            for i in 0..LANES {
                most[i] = if block[i] > most[i] { block[i] } else { most[i] };
                none[i] |= block[i].is_nan();
            }
        }
        let none = none.contains(&true) || rest.iter().any(|x| x.is_nan());
        let most = most.iter().chain(rest).fold(f32::NEG_INFINITY, |most, &x| most.max(x));
        if none { f32::NAN } else { most }
    }
}

/// `x = e^(scale (x - most))`; returns the sum, of 16 lanes that are then added one after the other.
struct Exponentials<'a> {
    x: &'a mut [f32],
    most: f32,
    scale: f32,
}

impl WithSimd for Exponentials<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> f32 {
        let Self { x, most, scale } = self;
        let (most, scale) = (s.splat_f32s(most), s.splat_f32s(scale));
        let mut sums = [0.0f32; LANES];
        let (whole, rest) = x.as_chunks_mut::<LANES>();
        for block in whole {
            exponentials(s, block, most, scale, &mut sums);
        }
        if !rest.is_empty() {
            let mut last = [f32::NEG_INFINITY; LANES];
            last[..rest.len()].copy_from_slice(rest);
            exponentials(s, &mut last, most, scale, &mut sums);
            rest.copy_from_slice(&last[..rest.len()]);
        }
        sums.iter().sum()
    }
}

#[inline(always)]
fn exponentials<S: Simd>(s: S, x: &mut [f32; LANES], most: S::f32s, scale: S::f32s, sums: &mut [f32; LANES]) {
    for (x, sum) in S::as_mut_simd_f32s(x).0.iter_mut().zip(S::as_mut_simd_f32s(sums).0) {
        *x = exp(s, s.mul_f32s(scale, s.sub_f32s(*x, most)));
        *sum = s.add_f32s(*sum, *x);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::race::{time, uniform};
    use super::*;
    use crate::hash::mix64;
    use crate::philox::Philox;

    fn scores(seed: u64, n: usize) -> Vec<f32> {
        (0..n).map(|i| (mix64(seed ^ mix64(i as u64)) % 10_000) as f32 / 1000.0 - 5.0).collect()
    }

    proptest! {
        /// Against the same in double precision, with limits that are applied the slow way.
        #[test]
        fn laws(
            seed in 0u64..1000, n in prop_oneof![1usize..200, 2000usize..5000], temperature in 0.1f32..3.0,
            top_k in prop_oneof![Just(0), 0usize..30, 30usize..3000],
            top_p in 0.05f32..1.0, min_p in 0.0f32..0.5,
        ) {
            let x = scores(seed, n);
            let sampling = Sampling { temperature, top_k, top_p, min_p };
            let most = x.iter().copied().fold(f32::MIN, f32::max);
            let mut slow: Vec<(f64, usize)> =
                x.iter().enumerate().map(|(i, &x)| (f64::from((x - most) / temperature).exp(), i)).collect();
            slow.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            if top_k > 0 {
                slow.truncate(top_k);
            }
            let total: f64 = slow.iter().map(|s| s.0).sum();
            let mut reached = 0.0;
            let mut near = false;
            slow.retain(|s| {
                near |= (reached / total - f64::from(top_p)).abs() < 1e-5;
                let keep = reached < f64::from(top_p) * total;
                reached += s.0;
                keep
            });
            near |= slow.iter().any(|s| (s.0 - f64::from(min_p)).abs() < 1e-5);
            slow.retain(|s| s.0 >= f64::from(min_p));
            prop_assume!(!near);
            let total: f64 = slow.iter().map(|s| s.0).sum();
            let mut wanted = vec![0.0; n];
            slow.iter().for_each(|s| wanted[s.1] = s.0 / total);
            let mut first: Option<Vec<f32>> = None;
            for path in Path::usable() {
                let mut law = x.clone();
                sampling.law(path, &mut law, &mut Vec::new());
                for (a, b) in law.iter().zip(&wanted) {
                    prop_assert!((f64::from(*a) - b).abs() < 2e-6, "{a} {b}");
                }
                prop_assert_eq!(first.get_or_insert_with(|| law.clone()), &law);
            }
        }

        /// The filters of the race change nothing.
        #[test]
        fn races(seed in 0u64..10_000, n in 1usize..300, position in 0u64..(1 << 40), zeros in 0usize..3) {
            let mut law = scores(seed, n);
            law.iter_mut().for_each(|x| *x = if *x < -5.0 + 4.0 * zeros as f32 { 0.0 } else { x.exp() });
            let random = Philox::new(seed, 9);
            let slow = (0..n)
                .filter(|&i| law[i] > 0.0)
                .map(|i| (time(uniform(random, position, i)) / f64::from(law[i]), i))
                .min_by(|a, b| a.0.total_cmp(&b.0));
            for path in Path::usable() {
                prop_assert_eq!(race(path, &law, random, position), slow.map(|s| s.1));
            }
            // Of some ids alone, in whatever order they stand.
            let some: Vec<u32> = (0..n as u32).rev().filter(|i| law[*i as usize] > 0.0).collect();
            let of_some: Vec<f32> = some.iter().map(|&i| law[i as usize]).collect();
            let found = race_of(&some, &of_some, random, position);
            prop_assert_eq!(found.map(|f| f.0 as usize), slow.map(|s| s.1));
            prop_assert!(found.is_none_or(|(id, place)| some[place] == id));
        }
    }

    #[test]
    fn the_law_is_what_is_drawn() {
        let law = [0.5f32, 0.0, 0.3, 0.15, 0.05];
        let n = 200_000u64;
        let mut counts = [0u64; 5];
        for position in 0..n {
            counts[race(Path::Scalar, &law, Philox::new(3, 1), position).unwrap()] += 1;
        }
        assert_eq!(counts[1], 0);
        for (count, p) in counts.iter().zip(law) {
            let (mean, sd) = (n as f64 * f64::from(p), (n as f64 * f64::from(p) * f64::from(1.0 - p)).sqrt());
            assert!((*count as f64 - mean).abs() <= 4.5 * sd, "{counts:?}");
        }
    }

    #[test]
    fn extremes() {
        let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
        let mut x = vec![1.0, 3.0, 3.0];
        greedy.law(Path::Scalar, &mut x, &mut Vec::new());
        assert_eq!(x, [0.0, 1.0, 0.0]);
        let mut x = vec![1.0, 3.0, 2.0];
        Sampling { temperature: 1e-45, ..greedy }.law(Path::Scalar, &mut x, &mut Vec::new());
        assert_eq!(x, [0.0, 1.0, 0.0]);
        let mut x = vec![1.0, f32::NAN, 3.0];
        Sampling::default().law(Path::Scalar, &mut x, &mut Vec::new());
        assert!(x.iter().all(|x| x.is_nan()));
        assert_eq!(
            (race(Path::Scalar, &x, Philox::new(0, 0), 0), race(Path::Scalar, &[], Philox::new(0, 0), 0)),
            (None, None)
        );
        assert_eq!(race(Path::Scalar, &[0.0, 0.0], Philox::new(0, 0), 0), None);
        let mut x = vec![f32::NEG_INFINITY, 2.0];
        Sampling::default().law(Path::Scalar, &mut x, &mut Vec::new());
        assert_eq!(x, [0.0, 1.0]);
        for bad in [-1.0, f32::NAN, f32::INFINITY] {
            assert!(Sampling { temperature: bad, ..greedy }.wrong().is_some());
        }
        assert!(
            Sampling { top_p: 0.0, ..greedy }.wrong().is_some() && Sampling { min_p: 1.5, ..greedy }.wrong().is_some()
        );
        assert!(greedy.wrong().is_none());
    }
}
