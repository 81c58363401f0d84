//! From scores to a law, and from a law to an id.
//!
//! The law is what is sampled from, exactly. Ids race: each has an exponential time of its own, a function of (seed,
//! stream, position, id), divided by its probability, and the first wins. So nothing depends on the order in which ids
//! are looked at, and every backend that computes the same law draws the same id.

use crate::math::{dispatch, exp};
use crate::philox::Philox;
use crate::simd::Path;

use pulp::{Simd, WithSimd};

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
        let Some(best) = best(scores) else { return };
        let most = scores[best];
        if !most.is_finite() {
            scores.fill(f32::NAN);
            return;
        }
        let scale = 1.0 / self.temperature;
        // Of temperatures whose inverse is no number, only the best is left as well.
        if !scale.is_finite() {
            scores.fill(0.0);
            scores[best] = 1.0;
            return;
        }
        let sum = dispatch(path, Exponentials { x: scores, most, scale });
        self.limit(scores, sum, order);
    }

    /// Keeps what the limits keep of numbers that sum to `sum`, and scales them to 1.
    fn limit(&self, x: &mut [f32], mut sum: f32, order: &mut Vec<u32>) {
        let few = (1..x.len()).contains(&self.top_k);
        if few || self.top_p < 1.0 {
            order.clear();
            order.extend((0..x.len() as u32).filter(|&i| x[i as usize] > 0.0));
            let key = |i: u32| (std::cmp::Reverse(x[i as usize].to_bits()), i);
            let keep = if few { self.top_k.min(order.len()) } else { order.len() };
            if keep < order.len() {
                order.select_nth_unstable_by_key(keep, |&i| key(i));
            }
            let mut kept = keep;
            if self.top_p < 1.0 {
                order[..keep].sort_unstable_by_key(|&i| key(i));
                let total: f32 = order[..keep].iter().map(|&i| x[i as usize]).sum();
                let mut reached = 0.0;
                let within = |&&i: &&u32| {
                    let more = reached < self.top_p * total;
                    reached += x[i as usize];
                    more
                };
                kept = order[..keep].iter().take_while(within).count();
            }
            for &i in &order[kept..] {
                x[i as usize] = 0.0;
            }
            sum = x.iter().sum();
        }
        if self.min_p > 0.0 {
            let least = self.min_p * x.iter().fold(0.0f32, |most, &x| most.max(x));
            x.iter_mut().filter(|x| **x < least).for_each(|x| *x = 0.0);
            sum = x.iter().sum();
        }
        let scale = 1.0 / sum;
        x.iter_mut().for_each(|x| *x *= scale);
    }
}

/// The first of the largest; a number that is none counts as the largest. `None` where there is nothing.
fn best(x: &[f32]) -> Option<usize> {
    let mut best = 0;
    for (i, &value) in x.iter().enumerate() {
        if value.is_nan() {
            return Some(i);
        }
        if value > x[best] {
            best = i;
        }
    }
    (!x.is_empty()).then_some(best)
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
        let (most_, scale_) = (s.splat_f32s(most), s.splat_f32s(scale));
        let mut sums = [0.0f32; 16];
        let mut block = |x: &mut [f32; 16]| {
            for (x, sum) in S::as_mut_simd_f32s(x).0.iter_mut().zip(S::as_mut_simd_f32s(&mut sums).0) {
                *x = exp(s, s.mul_f32s(scale_, s.sub_f32s(*x, most_)));
                *sum = s.add_f32s(*sum, *x);
            }
        };
        let (whole, rest) = x.as_chunks_mut::<16>();
        whole.iter_mut().for_each(&mut block);
        if !rest.is_empty() {
            let mut last = [f32::NEG_INFINITY; 16];
            last[..rest.len()].copy_from_slice(rest);
            block(&mut last);
            rest.copy_from_slice(&last[..rest.len()]);
        }
        sums.iter().sum()
    }
}

/// The id that wins the race at `position` (below 2^40) of a stream: id i with probability `law[i]` over their sum.
/// `None` where no probability is positive, or one is no number.
pub fn race(law: &[f32], random: Philox, position: u64) -> Option<usize> {
    let likeliest = best(law)?;
    // What is no number is "best" as well.
    if law[likeliest].is_nan() || law[likeliest] <= 0.0 {
        return None;
    }
    let mut winner = likeliest;
    let mut rate = f64::from(law[likeliest]) / time(uniform(random, position, likeliest));
    for (block, law) in law.chunks(4).enumerate() {
        // A time is at least 2^-33, so ids whose probability is this small have lost whatever they draw.
        let least = rate * 2f64.powi(-33);
        if law.iter().all(|&p| f64::from(p) < least) {
            continue;
        }
        let words = random.words_at(position << 24 | block as u64);
        for (i, (&p, word)) in law.iter().zip(words).enumerate() {
            let (p, u, id) = (f64::from(p), unit(word), 4 * block + i);
            // -ln u >= 1 - u: most ids have lost before their logarithm is taken.
            if p <= 0.0 || p < rate * (1.0 - u) || id == likeliest {
                continue;
            }
            let own = p / time(u);
            if own > rate || own == rate && id < winner {
                (winner, rate) = (id, own);
            }
        }
    }
    Some(winner)
}

fn uniform(random: Philox, position: u64, id: usize) -> f64 {
    unit(random.words_at(position << 24 | (id / 4) as u64)[id % 4])
}

/// The middle of one of 2^32 parts of 0..1.
fn unit(word: u32) -> f64 {
    (f64::from(word) + 0.5) * 2f64.powi(-32)
}

/// An exponential time.
fn time(u: f64) -> f64 {
    -u.ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hash::mix64;

    fn scores(seed: u64, n: usize) -> Vec<f32> {
        (0..n).map(|i| (mix64(seed ^ mix64(i as u64)) % 10_000) as f32 / 1000.0 - 5.0).collect()
    }

    proptest! {
        /// Against the same in double precision, with limits that are applied the slow way.
        #[test]
        fn laws(
            seed in 0u64..1000, n in 1usize..200, temperature in 0.1f32..3.0, top_k in 0usize..30,
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
        fn races(seed in 0u64..10_000, n in 1usize..60, position in 0u64..(1 << 40), zeros in 0usize..3) {
            let mut law = scores(seed, n);
            law.iter_mut().for_each(|x| *x = if *x < -5.0 + 4.0 * zeros as f32 { 0.0 } else { x.exp() });
            let random = Philox::new(seed, 9);
            let slow = (0..n)
                .filter(|&i| law[i] > 0.0)
                .map(|i| (time(uniform(random, position, i)) / f64::from(law[i]), i))
                .min_by(|a, b| a.0.total_cmp(&b.0));
            prop_assert_eq!(race(&law, random, position), slow.map(|s| s.1));
        }
    }

    #[test]
    fn the_law_is_what_is_drawn() {
        let law = [0.5f32, 0.0, 0.3, 0.15, 0.05];
        let n = 200_000u64;
        let mut counts = [0u64; 5];
        for position in 0..n {
            counts[race(&law, Philox::new(3, 1), position).unwrap()] += 1;
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
        assert_eq!((race(&x, Philox::new(0, 0), 0), race(&[], Philox::new(0, 0), 0)), (None, None));
        assert_eq!(race(&[0.0, 0.0], Philox::new(0, 0), 0), None);
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
