//! What dense Adam does to rows in steps that have no gradient for them, done when they are next needed.
//!
//! In such steps k = 1, 2, … the moments decay to beta1^k m and beta2^k v, and the weight moves by
//! size(k) beta1^k m / (sqrt(beta2^k v) + epsilon). With q = beta1 / sqrt(beta2) and 1 + d(k) = beta2^(-k/2) that is
//! size(k) q^k m / (sqrt(v) + epsilon (1 + d(k))). While q^k counts, d(k) is small: four terms of the series in
//! epsilon / (sqrt(v) + epsilon) are exact to the rounding of f32, and the sums over k are those of all numbers of a row.

use pulp::{Simd, WithSimd};
use thrifty_base::math::adam::TINY;
use thrifty_base::math::dispatch;
use thrifty_base::simd::Path;

use crate::adam::{Adam, Updated};

/// Terms of the series.
const TERMS: usize = 4;
/// Steps count while q^k is above this.
const LEAST: f64 = 1e-10;

/// Which steps each row has had.
#[derive(Debug)]
pub(crate) struct Drift {
    adam: Adam,
    /// Sizes of the steps since all rows were up to date.
    sizes: Vec<f32>,
    /// For each row how many of them it has had.
    had: Vec<u32>,
    /// For k = 1, 2, … the factors of size(k) in the coefficients of the series.
    factors: Vec<[f64; TERMS]>,
}

/// What a row is to be moved by.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Due {
    /// Coefficients of the series.
    series: [f32; TERMS],
    /// What the moments decay to.
    decay: [f32; 2],
}

impl Drift {
    /// For rows that are up to date; nothing where rows without a gradient stand still.
    pub(crate) fn new(adam: Adam, rows: usize) -> Option<Self> {
        let (beta1, beta2) = (f64::from(adam.beta1), f64::from(adam.beta2));
        let q = beta1 / beta2.sqrt();
        let counted = (LEAST.ln() / q.ln()).ceil() as i32;
        let factors = (1..=counted).map(|k| {
            let d = beta2.powf(-f64::from(k) / 2.0) - 1.0;
            std::array::from_fn(|term| q.powi(k) * (-d).powi(term as i32))
        });
        adam.dense.then(|| Self { adam, sizes: Vec::new(), had: vec![0; rows], factors: factors.collect() })
    }

    /// Of the rows `ids` those that lack steps, with the number that they have had; from now on they have had all.
    pub(crate) fn take(&mut self, ids: impl Iterator<Item = u32>) -> (Vec<u32>, Vec<u32>) {
        let now = self.sizes.len() as u32;
        ids.filter_map(|id| {
            let had = std::mem::replace(&mut self.had[id as usize], now);
            (had < now).then_some((id, had))
        })
        .unzip()
    }

    /// Whether no row lacks a step.
    pub(crate) fn is_settled(&self) -> bool {
        self.sizes.is_empty()
    }

    /// After [`Self::take`] of all rows: the steps are forgotten.
    pub(crate) fn settle(&mut self) {
        self.had.fill(0);
        self.sizes.clear();
    }

    /// A step of some size was made, with gradients for `ids`.
    pub(crate) fn stepped(&mut self, size: f32, ids: &[u32]) {
        self.sizes.push(size);
        let now = self.sizes.len() as u32;
        ids.iter().for_each(|&id| self.had[id as usize] = now);
    }

    /// What a row lacks that has had so many of the steps.
    pub(crate) fn due(&self, had: u32) -> Due {
        let lacking = &self.sizes[had as usize..];
        let mut sums = [0.0f64; TERMS];
        for (&size, factors) in lacking.iter().zip(&self.factors) {
            sums.iter_mut().zip(factors).for_each(|(sum, factor)| *sum += f64::from(size) * factor);
        }
        let decay = |beta: f32| f64::from(beta).powf(lacking.len() as f64) as f32;
        Due { series: sums.map(|sum| sum as f32), decay: [decay(self.adam.beta1), decay(self.adam.beta2)] }
    }

    /// Moves a single number.
    pub(crate) fn one(&self, due: &Due, weight: &mut f32, first: &mut f32, second: &mut f32) {
        let flushed = |x: f32| if x.abs() < TINY { 0.0 } else { x };
        let below = second.sqrt() + self.adam.epsilon;
        let small = self.adam.epsilon / below;
        let [a, b, c, d] = due.series;
        *weight -= *first / below * small.mul_add(small.mul_add(small.mul_add(d, c), b), a);
        *first = flushed(*first * due.decay[0]);
        *second = flushed(*second * due.decay[1]);
    }

    /// Moves the rows that begin at `starts`, by what each lacks.
    pub(crate) fn rows(&self, path: Path, rows: Updated<'_>, starts: &[usize], dues: &[Due]) {
        dispatch(path, Moved { drift: self, rows, starts, dues });
    }
}

struct Moved<'a> {
    drift: &'a Drift,
    rows: Updated<'a>,
    starts: &'a [usize],
    dues: &'a [Due],
}

impl WithSimd for Moved<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let of = |x: f32| s.splat_f32s(x);
        let (epsilon, tiny, zero) = (of(self.drift.adam.epsilon), of(TINY), of(0.0));
        let Updated { weights, moments, places, length } = self.rows;
        for ((&start, &place), due) in self.starts.iter().zip(places).zip(self.dues) {
            let (w, w_rest) = S::as_mut_simd_f32s(&mut weights[start..start + length]);
            let (means, squares) = moments[place..place + 2 * length].split_at_mut(length);
            let (m, m_rest) = S::as_mut_simd_f32s(means);
            let (v, v_rest) = S::as_mut_simd_f32s(squares);
            let ([a, b, c, d], [decay1, decay2]) = (due.series.map(of), due.decay.map(of));
            for ((w, m), v) in w.iter_mut().zip(m).zip(v) {
                let below = s.add_f32s(s.sqrt_f32s(*v), epsilon);
                let small = s.div_f32s(epsilon, below);
                let series = s.mul_add_f32s(small, s.mul_add_f32s(small, s.mul_add_f32s(small, d, c), b), a);
                *w = s.sub_f32s(*w, s.mul_f32s(s.div_f32s(*m, below), series));
                let (mean, square) = (s.mul_f32s(*m, decay1), s.mul_f32s(*v, decay2));
                *m = s.select_f32s(s.less_than_f32s(s.abs_f32s(mean), tiny), zero, mean);
                *v = s.select_f32s(s.less_than_f32s(square, tiny), zero, square);
            }
            for ((w, m), v) in w_rest.iter_mut().zip(m_rest).zip(v_rest) {
                self.drift.one(due, w, m, v);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use thrifty_base::simd;

    use super::*;

    /// Dense Adam in f64, step by step without gradients.
    fn slowly(adam: Adam, sizes: &[f32], weight: f64, first: f64, second: f64) -> [f64; 3] {
        let (mut w, mut m, mut v) = (weight, first, second);
        for &size in sizes {
            m *= f64::from(adam.beta1);
            v *= f64::from(adam.beta2);
            w -= f64::from(size) * m / (v.sqrt() + f64::from(adam.epsilon));
        }
        [w, m, v]
    }

    /// Over gaps of one step to many, and gradients of 1e-12 (far below epsilon) to 1.
    #[test]
    fn moves_are_those_of_all_the_steps() {
        let adam = Adam { dense: true, ..Adam::default() };
        for gap in [1, 2, 5, 30, 300, 3000] {
            let sizes: Vec<f32> = (0..gap).map(|k| 0.01 / (1.0 + k as f32 * 0.01)).collect();
            let gradients: Vec<f64> = (0..19).map(|i| 10f64.powf(f64::from(i - 18) * 0.7)).collect();
            let first: Vec<f32> = gradients.iter().map(|&g| g as f32).collect();
            let second: Vec<f32> = gradients.iter().map(|&g| (g * g) as f32).collect();
            let (mut weights, mut moments) = (vec![0.0f32; 19], [first.clone(), second.clone()].concat());
            let mut drift = Drift::new(adam, 3).unwrap();
            sizes.iter().for_each(|&size| drift.stepped(size, &[2]));
            let (ids, had) = drift.take(0..3);
            assert_eq!((ids, had), (vec![0, 1], vec![0, 0]));
            assert_eq!(drift.take(0..3).0, [0u32; 0]);
            let due = drift.due(0);
            let rows = Updated { weights: &mut weights, moments: &mut moments, places: &[0], length: 19 };
            drift.rows(simd::path().unwrap(), rows, &[0], &[due]);
            for i in 0..19 {
                let exact = slowly(adam, &sizes, 0.0, f64::from(first[i]), f64::from(second[i]));
                let close = |x: f32, y: f64| (f64::from(x) - y).abs() <= 1e-6 * y.abs() + 2e-38;
                let got = [weights[i], moments[i], moments[19 + i]];
                assert!(close(got[0], exact[0]) && close(got[2], exact[2]), "{gap} {i} {got:?} {exact:?}");
                assert!((f64::from(got[1]) - exact[1]).abs() <= 1e-5 * exact[1].abs() + 2e-38, "{gap} {i}");
            }
        }
    }
}
