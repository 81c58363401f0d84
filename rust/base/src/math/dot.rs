//! Products and sums of vectors, of any length.
//!
//! Element i goes to lane i mod 16, whatever the instruction set; the lanes are then added in pairs. So all paths give
//! the same bits, and a row gives the same number alone as among others.

use pulp::{Simd, WithSimd};

use super::{LANES, Rows, dispatch};
use crate::simd::Path;

/// The sum of `a[i] * b[i]`.
pub fn dot(path: Path, a: &[f32], b: &[f32]) -> f32 {
    assert!(a.len() == b.len());
    let mut out = [0.0];
    dots(path, Rows { data: a, starts: &[0], length: a.len() }, b, &mut out);
    out[0]
}

/// `out[i] = rows[i] . x`: the bits that [`dot`] gives for each row.
pub fn dots(path: Path, rows: Rows<'_>, x: &[f32], out: &mut [f32]) {
    assert!(x.len() == rows.length && out.len() == rows.starts.len());
    dispatch(path, Dots { rows, x, out });
}

/// `y[i] += alpha * x[i]`, each rounded once.
pub fn axpy(path: Path, alpha: f32, x: &[f32], y: &mut [f32]) {
    assert!(x.len() == y.len());
    dispatch(path, Axpy { alpha, x, y });
}

/// The sum of the elements.
pub fn sum(path: Path, x: &[f32]) -> f32 {
    dispatch(path, Sum(x))
}

/// Sums in [`LANES`] lanes; of the vectors only as many are in use as make that many lanes.
#[derive(Clone, Copy, Debug)]
pub struct Lanes<S: Simd>([S::f32s; LANES]);

impl<S: Simd> Lanes<S> {
    /// Nothing yet.
    #[inline(always)]
    pub fn zero(s: S) -> Self {
        Self([s.splat_f32s(0.0); LANES])
    }

    /// Adds `a[i] * b[i]` to lane i, rounded once.
    #[inline(always)]
    pub fn add_product(&mut self, s: S, a: &[f32; LANES], b: &[f32; LANES]) {
        for ((&a, &b), sum) in S::as_simd_f32s(a).0.iter().zip(S::as_simd_f32s(b).0).zip(&mut self.0) {
            *sum = s.mul_add_f32s(a, b, *sum);
        }
    }

    /// The lanes added in pairs: i and i + 8, then i and i + 4, and so on.
    #[inline(always)]
    pub fn total(self) -> f32 {
        let mut lanes = [0.0f32; LANES];
        for (lanes, vector) in S::as_mut_simd_f32s(&mut lanes).0.iter_mut().zip(self.0) {
            *lanes = vector;
        }
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                lanes[i] += lanes[i + half];
            }
            half /= 2;
        }
        lanes[0]
    }
}

/// The numbers after the last whole block, and zeros.
#[inline(always)]
fn filled(rest: &[f32]) -> [f32; LANES] {
    let mut block = [0.0; LANES];
    block[..rest.len()].copy_from_slice(rest);
    block
}

struct Dots<'a> {
    rows: Rows<'a>,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Self { rows, x, out } = self;
        let (four, rest) = out.as_chunks_mut::<4>();
        for (i, out) in four.iter_mut().enumerate() {
            *out = products(s, std::array::from_fn(|r| rows.row(4 * i + r)), x);
        }
        let done = 4 * four.len();
        for (i, out) in rest.iter_mut().enumerate() {
            [*out] = products(s, [rows.row(done + i)], x);
        }
    }
}

#[inline(always)]
fn products<S: Simd, const R: usize>(s: S, rows: [&[f32]; R], x: &[f32]) -> [f32; R] {
    let (blocks, rest) = x.as_chunks::<LANES>();
    let rows = rows.map(|row| row.as_chunks::<LANES>());
    let whole = rows.map(|row| &row.0[..blocks.len()]);
    let mut sums = [Lanes::zero(s); R];
    for (i, x) in blocks.iter().enumerate() {
        for (sums, row) in sums.iter_mut().zip(&whole) {
            sums.add_product(s, &row[i], x);
        }
    }
    if !rest.is_empty() {
        let x = filled(rest);
        for (sums, row) in sums.iter_mut().zip(&rows) {
            sums.add_product(s, &filled(row.1), &x);
        }
    }
    sums.map(Lanes::total)
}

struct Axpy<'a> {
    alpha: f32,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for Axpy<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let (x, x_rest) = S::as_simd_f32s(self.x);
        let (y, y_rest) = S::as_mut_simd_f32s(self.y);
        let alpha = s.splat_f32s(self.alpha);
        for (y, &x) in y.iter_mut().zip(x) {
            *y = s.mul_add_f32s(alpha, x, *y);
        }
        for (y, &x) in y_rest.iter_mut().zip(x_rest) {
            *y = self.alpha.mul_add(x, *y);
        }
    }
}

struct Sum<'a>(&'a [f32]);

impl WithSimd for Sum<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> f32 {
        let (blocks, rest) = self.0.as_chunks::<LANES>();
        let mut sums = Lanes::zero(s);
        for block in blocks.iter().chain((!rest.is_empty()).then_some(&filled(rest))) {
            for (sum, &x) in sums.0.iter_mut().zip(S::as_simd_f32s(block).0) {
                *sum = s.add_f32s(*sum, x);
            }
        }
        sums.total()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hash::mix64;
    use crate::math::gemm::numbers;

    proptest! {
        /// Against double precision, and in the promised order bit for bit.
        #[test]
        fn products_and_sums(n in 0usize..600, rows in 0usize..11, seed in 0u64..1000, alpha in -2.0f32..2.0) {
            let data = numbers(seed, 3 * n);
            let starts: Vec<usize> = (0..rows).map(|i| mix64(seed + i as u64) as usize % (2 * n + 1)).collect();
            let (x, y) = (numbers(seed + 1, n), numbers(seed + 2, n));
            let plain = |term: &dyn Fn(usize, f32) -> f32| {
                let mut lanes = [0.0; LANES];
                (0..n).for_each(|i| lanes[i % LANES] = term(i, lanes[i % LANES]));
                let eight: Vec<f32> = (0..8).map(|i| lanes[i] + lanes[i + 8]).collect();
                let four: Vec<f32> = (0..4).map(|i| eight[i] + eight[i + 4]).collect();
                (four[0] + four[2]) + (four[1] + four[3])
            };
            for path in Path::usable() {
                let mut out = vec![f32::NAN; rows];
                dots(path, Rows { data: &data, starts: &starts, length: n }, &x, &mut out);
                for (&got, &start) in out.iter().zip(&starts) {
                    let row = &data[start..start + n];
                    let exact: f64 = row.iter().zip(&x).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
                    prop_assert!((f64::from(got) - exact).abs() < 1e-6 * (n as f64).max(1.0).sqrt());
                    prop_assert_eq!(got.to_bits(), plain(&|i, sum| row[i].mul_add(x[i], sum)).to_bits());
                    prop_assert_eq!(got.to_bits(), dot(path, row, &x).to_bits());
                }
                let total = sum(path, &x);
                let exact: f64 = x.iter().map(|&x| f64::from(x)).sum();
                prop_assert!((f64::from(total) - exact).abs() < 1e-6 * (n as f64).max(1.0).sqrt());
                prop_assert_eq!(total.to_bits(), plain(&|i, sum| sum + x[i]).to_bits());
                let mut scaled = y.clone();
                axpy(path, alpha, &x, &mut scaled);
                for i in 0..n {
                    prop_assert_eq!(scaled[i].to_bits(), alpha.mul_add(x[i], y[i]).to_bits());
                }
            }
        }
    }
}
