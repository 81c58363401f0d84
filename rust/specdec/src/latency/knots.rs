//! Times by size: a table of measured sizes, with steps or straight lines between them.

use super::LatencyCurve;
use crate::{Error, Result};

/// Sizes of a curve: powers of two up to this.
const LARGEST: u32 = 1 << 14;

/// Milliseconds of a pass over so many rows; it never falls with their number.
#[derive(Clone, Debug, PartialEq)]
pub struct Knots {
    sizes: Vec<u32>,
    ms: Vec<f64>,
    padded: bool,
    /// Of the rows up to each knot, and beyond the last one.
    lines: Vec<Line>,
    /// Knots that are smaller than each power of two.
    below: [u32; 34],
}

/// A straight line.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    begin: u32,
    ms: f64,
    slope: f64,
}

/// The knots that a size lies between, and how much the upper one counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) upper: usize,
    pub(super) share: f64,
}

impl Knots {
    /// Of ascending sizes. With `padded`, passes are filled up to the next of them (CUDA graphs), so their time is a
    /// staircase; larger passes than the last are not, and their time goes on as between the last two.
    pub fn new(sizes: &[u32], ms: &[f64], padded: bool) -> Result<Self> {
        if sizes.is_empty() || sizes.len() != ms.len() {
            let what =
                format!("{} sizes and {} times; as many of both are needed, and at least one", sizes.len(), ms.len());
            return Err(Error::argument("sizes", what));
        }
        if sizes[0] == 0 || sizes.windows(2).any(|w| w[0] >= w[1]) {
            return Err(Error::argument("sizes", "they do not ascend from at least 1"));
        }
        if let Some(bad) = ms.iter().find(|ms| !(**ms >= 0.0 && ms.is_finite())) {
            return Err(Error::argument("ms", format!("{bad} is not a number of at least 0")));
        }
        // Noise of a measurement must not make a larger pass cheaper.
        let rising = ms.iter().scan(0.0f64, |most, &ms| {
            *most = most.max(ms);
            Some(*most)
        });
        let mut knots = Self { sizes: sizes.to_vec(), ms: rising.collect(), padded, lines: Vec::new(), below: [0; 34] };
        knots.lines = (0..=sizes.len()).map(|upper| knots.line(upper)).collect();
        for (bit, below) in knots.below.iter_mut().enumerate() {
            *below = sizes.partition_point(|&size| u64::from(size) < 1 << bit) as u32;
        }
        Ok(knots)
    }

    /// The line that ends at a knot.
    fn line(&self, upper: usize) -> Line {
        let last = self.sizes.len() - 1;
        if upper == 0 || last == 0 || self.padded && upper <= last {
            return Line { begin: 0, ms: self.ms[upper.min(last)], slope: 0.0 };
        }
        let high = upper.min(last);
        let (begin, ms) = (self.sizes[high - 1], self.ms[high - 1]);
        Line { begin, ms, slope: (self.ms[high] - ms) / f64::from(self.sizes[high] - begin) }
    }

    /// The verifications of a curve, exactly up to 16,384 ids; at sizes that are padded to if there are any.
    pub fn of_verify(curve: &LatencyCurve, padded: &[u32]) -> Result<Self> {
        curve.check()?;
        let mut sizes: Vec<u32> = if padded.is_empty() { powers() } else { padded.to_vec() };
        if padded.is_empty() && curve.compute_ms_per_token > 0.0 {
            // Where arithmetic takes over the line bends, so a knot is needed on either side.
            let bend = curve.weights_ms / curve.compute_ms_per_token;
            sizes.extend(
                [bend.floor(), bend.ceil()]
                    .into_iter()
                    .filter(|&n| (1.0..f64::from(LARGEST)).contains(&n))
                    .map(|n| n as u32),
            );
            sizes.sort_unstable();
            sizes.dedup();
        }
        let ms: Vec<f64> = sizes.iter().map(|&n| curve.verify_ms(n.into())).collect();
        Self::new(&sizes, &ms, !padded.is_empty())
    }

    /// The draft passes of a curve, which take as long for one sequence as for many.
    pub fn of_draft(curve: &LatencyCurve) -> Result<Self> {
        curve.check()?;
        let sizes = powers();
        Self::new(&sizes, &vec![curve.draft_ms(); sizes.len()], false)
    }

    /// All of them so many times as long.
    pub fn times(&self, factor: f64) -> Result<Self> {
        let ms: Vec<f64> = self.ms.iter().map(|ms| factor * ms).collect();
        Self::new(&self.sizes, &ms, self.padded)
    }

    /// Milliseconds of a pass over `n` rows; none for no rows.
    #[inline]
    pub fn at(&self, n: u32) -> f64 {
        if n == 0 {
            return 0.0;
        }
        let Line { begin, ms, slope } = self.lines[self.segment(n)];
        ms + slope * f64::from(n - begin)
    }

    /// How many knots are smaller.
    #[inline]
    fn segment(&self, n: u32) -> usize {
        let bit = n.max(1).ilog2() as usize;
        let (low, high) = (self.below[bit] as usize, self.below[bit + 1] as usize);
        low + self.sizes[low..high].partition_point(|&size| size < n)
    }

    /// Sizes of knots that lie between two numbers of rows.
    #[inline]
    pub fn between(&self, low: u32, high: u32) -> &[u32] {
        let begin = self.segment(low.saturating_add(1));
        match self.sizes.get(begin) {
            Some(&size) if size < high => &self.sizes[begin..self.segment(high)],
            _ => &[],
        }
    }

    pub(super) fn place(&self, n: u32) -> Place {
        let upper = self.segment(n);
        if upper == 0 {
            return Place { upper, share: 1.0 };
        }
        if upper < self.sizes.len() {
            let (low, high) = (self.sizes[upper - 1], self.sizes[upper]);
            let share = if self.padded { 1.0 } else { f64::from(n - low) / f64::from(high - low) };
            return Place { upper, share };
        }
        let last = self.sizes.len() - 1;
        if last == 0 {
            return Place { upper: 0, share: 1.0 };
        }
        let (low, high) = (self.sizes[last - 1], self.sizes[last]);
        Place { upper: last, share: f64::from(n - low) / f64::from(high - low) }
    }

    /// Milliseconds of a knot.
    pub(super) fn of(&self, knot: usize) -> f64 {
        self.ms[knot]
    }

    /// Changes a knot by a factor, but not beyond its neighbours.
    pub(super) fn scale(&mut self, knot: usize, factor: f64) {
        let low = if knot == 0 { 0.0 } else { self.ms[knot - 1] };
        let high = self.ms.get(knot + 1).copied().unwrap_or(f64::INFINITY);
        self.ms[knot] = (self.ms[knot] * factor).clamp(low, high);
        for upper in knot..=self.sizes.len().min(knot + 2) {
            self.lines[upper] = self.line(upper);
        }
    }
}

fn powers() -> Vec<u32> {
    (0..=LARGEST.ilog2()).map(|bit| 1 << bit).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn steps_and_lines() {
        let lines = Knots::new(&[2, 4, 8], &[1.0, 3.0, 4.0], false).unwrap();
        assert_eq!([0, 1, 2, 3, 4, 6, 8, 12].map(|n| lines.at(n)), [0.0, 1.0, 1.0, 2.0, 3.0, 3.5, 4.0, 5.0]);
        assert_eq!(lines.between(2, 9), [4, 8]);
        assert_eq!(lines.between(1, 8), [2, 4]);
        assert!(lines.between(4, 4).is_empty());
        let steps = Knots::new(&[2, 4, 8], &[1.0, 3.0, 4.0], true).unwrap();
        assert_eq!([0, 1, 2, 3, 4, 5, 8, 12].map(|n| steps.at(n)), [0.0, 1.0, 1.0, 3.0, 3.0, 4.0, 4.0, 5.0]);
        assert_eq!(Knots::new(&[4], &[2.0], false).unwrap().at(100), 2.0);
        // Noise is no reason to take more rows.
        assert_eq!(Knots::new(&[1, 2], &[2.0, 1.0], false).unwrap().at(2), 2.0);
    }

    proptest! {
        #[test]
        fn a_curve_is_met_exactly(n in 1u32..16_384, weights in 0.1f64..50.0, compute in 0.0f64..1.0) {
            let curve = LatencyCurve {
                draft_layers: 3, draft_ms_per_layer: 0.2, draft_overhead_ms: 0.1,
                weights_ms: weights, compute_ms_per_token: compute, overhead_ms: 0.5,
            };
            let knots = Knots::of_verify(&curve, &[]).unwrap();
            let wanted = curve.verify_ms(n.into());
            let bend = (weights / compute - f64::from(n)).abs() < 1.0;
            prop_assert!((knots.at(n) / wanted - 1.0).abs() < if bend { 1e-2 } else { 1e-9 }, "{} {}", knots.at(n), wanted);
            prop_assert!((Knots::of_draft(&curve).unwrap().at(n) - curve.draft_ms()).abs() < 1e-12);
        }
    }

    #[test]
    fn what_can_not_be() {
        for (sizes, ms) in [
            (vec![], vec![]),
            (vec![1], vec![1.0, 2.0]),
            (vec![0], vec![1.0]),
            (vec![2, 2], vec![1.0, 1.0]),
            (vec![1], vec![-1.0]),
            (vec![1], vec![f64::NAN]),
        ] {
            assert!(Knots::new(&sizes, &ms, false).is_err(), "{sizes:?} {ms:?}");
        }
    }
}
