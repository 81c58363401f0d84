//! Losses over the active neurons, part by part.
//!
//! Scores of a part are turned into exponentials relative to the part's own maximum as soon as they are there; the sums of
//! all parts, of one process or of many, then give what each part is to be multiplied by.

use pulp::{Simd, WithSimd};
use thrifty_base::math::{dispatch, exp};
use thrifty_base::simd::Path;

/// What is minimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Loss {
    /// Cross entropy of the softmax over the active neurons; labels of a row are equal shares.
    Softmax,
    /// Binary cross entropy of each active neuron by itself, summed over neurons.
    Sigmoid,
}

/// Maximum and sum of exponentials relative to it, for each column (row of the batch).
#[derive(Clone, Debug, PartialEq)]
pub struct Sums {
    /// Maxima.
    pub most: Vec<f32>,
    /// Sums.
    pub sums: Vec<f32>,
}

impl Sums {
    /// Of nothing.
    pub fn none(columns: usize) -> Self {
        Self { most: vec![f32::NEG_INFINITY; columns], sums: vec![0.0; columns] }
    }

    /// Of several sets of neurons together.
    pub fn merged<'a>(parts: impl Iterator<Item = &'a Self> + Clone, columns: usize) -> Self {
        let mut out = Self::none(columns);
        for part in parts.clone() {
            out.most.iter_mut().zip(&part.most).for_each(|(o, &m)| *o = if *o >= m { *o } else { m });
        }
        for part in parts {
            for ((sum, &most), (&s, &m)) in out.sums.iter_mut().zip(&out.most).zip(part.sums.iter().zip(&part.most)) {
                *sum += s * relative(m, most);
            }
        }
        out
    }
}

/// e^(m - most), which is 0 when there is no m.
pub fn relative(m: f32, most: f32) -> f32 {
    if m == f32::NEG_INFINITY { 0.0 } else { (m - most).exp() }
}

/// Turns scores, rows of `columns` numbers, into exponentials relative to the maxima of the columns.
pub fn exponentials(path: Path, scores: &mut [f32], columns: usize) -> Sums {
    let mut sums = Sums::none(columns);
    dispatch(path, Exponentials { scores, sums: &mut sums });
    sums
}

/// Multiplies each column by its factor.
pub fn scale(path: Path, scores: &mut [f32], factors: &[f32]) {
    dispatch(path, Scale { scores, factors });
}

/// Turns scores into the gradients of the binary cross entropy of neurons that are no labels, the sigmoid times `factors` of
/// their columns; returns the losses of the columns, to which labels add minus their score.
pub fn sigmoids(path: Path, scores: &mut [f32], factors: &[f32]) -> Vec<f32> {
    let mut losses = vec![0.0; factors.len()];
    dispatch(path, Sigmoids { scores, factors, losses: &mut losses });
    losses
}

struct Scale<'a> {
    scores: &'a mut [f32],
    factors: &'a [f32],
}

impl WithSimd for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let factors = S::as_simd_f32s(self.factors).0;
        for row in self.scores.chunks_exact_mut(self.factors.len()) {
            for (x, &factor) in S::as_mut_simd_f32s(row).0.iter_mut().zip(factors) {
                *x = s.mul_f32s(*x, factor);
            }
        }
    }
}

struct Sigmoids<'a> {
    scores: &'a mut [f32],
    factors: &'a [f32],
    losses: &'a mut [f32],
}

/// Rows whose factors 1 + e^-|x| are multiplied before the logarithm is taken: 2^64 is far from the largest f32.
const PRODUCT: usize = 64;

impl WithSimd for Sigmoids<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let (one, zero) = (s.splat_f32s(1.0), s.splat_f32s(0.0));
        let columns = self.factors.len();
        let factors = S::as_simd_f32s(self.factors).0;
        for rows in self.scores.chunks_mut(PRODUCT * columns) {
            let mut products = vec![1.0f32; columns];
            let losses = S::as_mut_simd_f32s(self.losses).0;
            for row in rows.chunks_exact_mut(columns) {
                let row = S::as_mut_simd_f32s(row).0;
                let products = S::as_mut_simd_f32s(&mut products).0;
                for (((x, &factor), product), loss) in row.iter_mut().zip(factors).zip(products).zip(&mut *losses) {
                    let e = exp(s, s.neg_f32s(s.abs_f32s(*x)));
                    let sum = s.add_f32s(one, e);
                    *loss = s.add_f32s(*loss, s.max_f32s(*x, zero));
                    *product = s.mul_f32s(*product, sum);
                    let numerator = s.select_f32s(s.less_than_f32s(*x, zero), e, one);
                    *x = s.mul_f32s(s.div_f32s(numerator, sum), factor);
                }
            }
            self.losses.iter_mut().zip(&products).for_each(|(loss, product)| *loss += product.ln());
        }
    }
}

struct Exponentials<'a> {
    scores: &'a mut [f32],
    sums: &'a mut Sums,
}

impl WithSimd for Exponentials<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let columns = self.sums.most.len();
        let most = S::as_mut_simd_f32s(&mut self.sums.most).0;
        let sums = S::as_mut_simd_f32s(&mut self.sums.sums).0;
        for row in self.scores.chunks_exact(columns) {
            for (most, &x) in most.iter_mut().zip(S::as_simd_f32s(row).0) {
                *most = s.max_f32s(*most, x);
            }
        }
        for row in self.scores.chunks_exact_mut(columns) {
            for ((x, &most), sum) in S::as_mut_simd_f32s(row).0.iter_mut().zip(&*most).zip(&mut *sums) {
                *x = exp(s, s.sub_f32s(*x, most));
                *sum = s.add_f32s(*sum, *x);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use thrifty_base::hash::mix64;

    use super::*;

    fn scores(rows: usize, columns: usize) -> Vec<f32> {
        (0..(rows * columns) as u64).map(|i| (mix64(i) >> 40) as f32 / (1 << 20) as f32 - 8.0).collect()
    }

    /// Sums of parts are those of the whole; all paths bit for bit.
    #[test]
    fn parts_make_the_whole() {
        let (rows, columns) = (70, 32);
        let mut first: Option<Vec<f32>> = None;
        for path in Path::usable() {
            let mut whole = scores(rows, columns);
            let all = exponentials(path, &mut whole, columns);
            let mut parts = scores(rows, columns);
            let sums: Vec<Sums> = parts.chunks_mut(16 * columns).map(|p| exponentials(path, p, columns)).collect();
            let merged = Sums::merged(sums.iter().chain([&Sums::none(columns)]), columns);
            assert_eq!(merged.most, all.most);
            for (part, sums) in parts.chunks_mut(16 * columns).zip(&sums) {
                let factors: Vec<f32> = sums.most.iter().zip(&all.most).map(|(&m, &most)| relative(m, most)).collect();
                scale(path, part, &factors);
            }
            for (i, &x) in scores(rows, columns).iter().enumerate() {
                let exact = f64::from(x - all.most[i % columns]).exp();
                assert!((f64::from(whole[i]) - exact).abs() < 1e-6 && (f64::from(parts[i]) - exact).abs() < 1e-6);
            }
            for (c, (&a, &b)) in all.sums.iter().zip(&merged.sums).enumerate() {
                let exact: f64 = whole.iter().skip(c).step_by(columns).map(|&x| f64::from(x)).sum();
                assert!((f64::from(a) / exact - 1.0).abs() < 1e-5 && (f64::from(b) / exact - 1.0).abs() < 1e-5);
            }
            assert_eq!(first.get_or_insert_with(|| whole.clone()), &whole);
        }
    }

    #[test]
    fn binary_cross_entropy() {
        let (rows, columns) = (150, 16);
        let mut first: Option<Vec<f32>> = None;
        for path in Path::usable() {
            let mut got = scores(rows, columns);
            let losses = sigmoids(path, &mut got, &vec![0.5; columns]);
            let x = scores(rows, columns);
            for (c, loss) in losses.iter().enumerate() {
                let exact: f64 = x.iter().skip(c).step_by(columns).map(|&x| f64::from(x).exp().ln_1p()).sum();
                assert!((f64::from(*loss) / exact - 1.0).abs() < 1e-5);
            }
            for (x, got) in x.iter().zip(&got) {
                assert!((f64::from(*got) - 0.5 / (1.0 + (-f64::from(*x)).exp())).abs() < 1e-6);
            }
            got.extend(losses);
            assert_eq!(first.get_or_insert_with(|| got.clone()), &got);
        }
    }
}
