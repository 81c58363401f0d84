//! Adam for some rows of a matrix, the others untouched (Kingma and Ba, arXiv 1412.6980).

use pulp::{Simd, WithSimd};

use super::dispatch;
use crate::simd::Path;

/// One step, its bias corrections known.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Decay of the mean of gradients.
    pub beta1: f32,
    /// Decay of the mean of their squares.
    pub beta2: f32,
    /// Added to the root of the latter.
    pub epsilon: f32,
    /// What the ratio of the moments is multiplied by.
    pub size: f32,
}

impl Step {
    /// The step with this number, from 1.
    pub fn new(rate: f32, beta1: f32, beta2: f32, epsilon: f32, number: u64) -> Self {
        let n = number.min(1 << 30) as i32;
        let (c1, c2) = (1.0 - f64::from(beta1).powi(n), 1.0 - f64::from(beta2).powi(n));
        Self { beta1, beta2, epsilon, size: (f64::from(rate) * c2.sqrt() / c1) as f32 }
    }
}

/// Updates the rows that begin at `starts` with gradients, one row after the other, `stride` numbers apart.
pub fn update(path: Path, step: Step, rows: Updated<'_>, starts: &[usize], gradients: &[f32], stride: usize) {
    dispatch(path, Update { step, rows, starts, gradients, stride });
}

/// Rows of weights with their moments.
#[derive(Debug)]
pub struct Updated<'a> {
    /// The weights.
    pub weights: &'a mut [f32],
    /// For each row its moments: means of gradients, then means of their squares.
    pub moments: &'a mut [f32],
    /// Where the moments of each row begin.
    pub places: &'a [usize],
    /// Numbers of a row.
    pub length: usize,
}

struct Update<'a> {
    step: Step,
    rows: Updated<'a>,
    starts: &'a [usize],
    gradients: &'a [f32],
    stride: usize,
}

/// Moments below this are zero: subnormal numbers are slow.
pub const TINY: f32 = f32::MIN_POSITIVE;

impl WithSimd for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Step { beta1, beta2, epsilon, size } = self.step;
        let of = |x: f32| s.splat_f32s(x);
        let (b1, c1, b2, c2) = (of(beta1), of(1.0 - beta1), of(beta2), of(1.0 - beta2));
        let (epsilon, size, tiny, zero) = (of(epsilon), of(-size), of(TINY), of(0.0));
        let Updated { weights, moments, places, length } = self.rows;
        for ((&start, &place), g) in self.starts.iter().zip(places).zip(self.gradients.chunks_exact(self.stride)) {
            let (w, w_rest) = S::as_mut_simd_f32s(&mut weights[start..start + length]);
            let (means, squares) = moments[place..place + 2 * length].split_at_mut(length);
            let (m, m_rest) = S::as_mut_simd_f32s(means);
            let (v, v_rest) = S::as_mut_simd_f32s(squares);
            let (g, g_rest) = S::as_simd_f32s(&g[..length]);
            for (((w, m), v), &g) in w.iter_mut().zip(m).zip(v).zip(g) {
                let mean = s.mul_add_f32s(b1, *m, s.mul_f32s(c1, g));
                let square = s.mul_add_f32s(b2, *v, s.mul_f32s(c2, s.mul_f32s(g, g)));
                *m = s.select_f32s(s.less_than_f32s(s.abs_f32s(mean), tiny), zero, mean);
                *v = s.select_f32s(s.less_than_f32s(square, tiny), zero, square);
                let root = s.add_f32s(s.sqrt_f32s(*v), epsilon);
                *w = s.mul_add_f32s(size, s.div_f32s(*m, root), *w);
            }
            for (((w, m), v), &g) in w_rest.iter_mut().zip(m_rest).zip(v_rest).zip(g_rest) {
                self.step.one(w, m, v, g);
            }
        }
    }
}

impl Step {
    /// The update of a single number.
    pub fn one(&self, weight: &mut f32, first: &mut f32, second: &mut f32, gradient: f32) {
        let Self { beta1, beta2, epsilon, size } = *self;
        let flushed = |x: f32| if x.abs() < TINY { 0.0 } else { x };
        *first = flushed(beta1.mul_add(*first, (1.0 - beta1) * gradient));
        *second = flushed(beta2.mul_add(*second, (1.0 - beta2) * (gradient * gradient)));
        *weight = (-size).mul_add(*first / (second.sqrt() + epsilon), *weight);
    }
}
