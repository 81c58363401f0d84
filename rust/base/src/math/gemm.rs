//! Products of gathered rows with a small dense matrix.

use pulp::{Simd, WithSimd};

use super::{LANES, dispatch};
use crate::simd::Path;

/// Rows of a matrix, wherever they begin.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The numbers.
    pub data: &'a [f32],
    /// Where each row begins.
    pub starts: &'a [usize],
    /// Numbers of a row.
    pub length: usize,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    fn row(&self, i: usize) -> &'a [f32] {
        &self.data[self.starts[i]..self.starts[i] + self.length]
    }
}

/// `out[i][..] = initial[i] + sum over k of a[i][k] * b[k][..]`.
///
/// `b` has `a.length` rows and `out` a row for each of `a`, all of `columns` numbers, a multiple of [`LANES`]; `initial`
/// is one number for each row of `a`, or nothing.
pub fn multiply(path: Path, a: Rows<'_>, b: &[f32], columns: usize, initial: Option<&[f32]>, out: &mut [f32]) {
    assert!(columns.is_multiple_of(LANES) && b.len() == a.length * columns && out.len() == a.starts.len() * columns);
    dispatch(path, Multiply { a, b, columns, initial, out });
}

/// `out[k][..] += sum over i of a[i][k] * b[i][..]`: the other product with the same rows, a row of `b` for each.
///
/// `b` and `out` have rows of `columns` numbers, a multiple of [`LANES`]; `out` has the rows `first..` of `a`'s columns.
pub fn accumulate(path: Path, a: Rows<'_>, b: &[f32], columns: usize, first: usize, out: &mut [f32]) {
    let rows = out.len() / columns;
    assert!(columns.is_multiple_of(LANES) && b.len() == a.starts.len() * columns && out.len() == rows * columns);
    assert!(first + rows <= a.length);
    dispatch(path, Accumulate { a, b, columns, first, out });
}

/// `out[..] += sum over i of scales[i] * rows[i][..]`; rows have as many numbers as `out`, a multiple of [`LANES`].
pub fn combine(path: Path, rows: Rows<'_>, scales: &[f32], out: &mut [f32]) {
    assert!(out.len() == rows.length && out.len().is_multiple_of(LANES) && scales.len() == rows.starts.len());
    dispatch(path, Combine { rows, scales, out });
}

struct Combine<'a> {
    rows: Rows<'a>,
    scales: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, s: S) {
        let lanes = S::F32_LANES;
        let mut column = 0;
        while column < self.out.len() {
            if self.out.len() - column >= 8 * lanes {
                self.tile::<S, 8>(s, column);
                column += 8 * lanes;
            } else {
                self.tile::<S, 1>(s, column);
                column += lanes;
            }
        }
    }
}

impl Combine<'_> {
    #[inline(always)]
    fn tile<S: Simd, const V: usize>(&mut self, s: S, column: usize) {
        let span = column..column + V * S::F32_LANES;
        let out = S::as_mut_simd_f32s(&mut self.out[span.clone()]).0;
        let mut sums: [S::f32s; V] = std::array::from_fn(|v| out[v]);
        for (i, &scale) in self.scales.iter().enumerate() {
            let row = S::as_simd_f32s(&self.rows.row(i)[span.clone()]).0;
            let scale = s.splat_f32s(scale);
            for (sum, &x) in sums.iter_mut().zip(row) {
                *sum = s.mul_add_f32s(scale, x, *sum);
            }
        }
        out.copy_from_slice(&sums);
    }
}

struct Multiply<'a> {
    a: Rows<'a>,
    b: &'a [f32],
    columns: usize,
    initial: Option<&'a [f32]>,
    out: &'a mut [f32],
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, s: S) {
        let mut row = 0;
        while row + 3 <= self.a.starts.len() {
            self.rows::<S, 3>(s, row);
            row += 3;
        }
        while row < self.a.starts.len() {
            self.rows::<S, 1>(s, row);
            row += 1;
        }
    }
}

impl Multiply<'_> {
    /// Rows from `row` on, as many vectors at a time as registers hold.
    #[inline(always)]
    fn rows<S: Simd, const R: usize>(&mut self, s: S, row: usize) {
        let lanes = S::F32_LANES;
        let mut column = 0;
        while column < self.columns {
            let left = (self.columns - column) / lanes;
            if lanes >= 16 && left >= 8 {
                self.tile::<S, R, 8>(s, row, column);
                column += 8 * lanes;
            } else if left >= 4 {
                self.tile::<S, R, 4>(s, row, column);
                column += 4 * lanes;
            } else {
                self.tile::<S, R, 1>(s, row, column);
                column += lanes;
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(&mut self, s: S, row: usize, column: usize) {
        let rows: [&[f32]; R] = std::array::from_fn(|r| self.a.row(row + r));
        let width = V * S::F32_LANES;
        let mut sums = [[s.splat_f32s(0.0); V]; R];
        if let Some(initial) = self.initial {
            for (r, sums) in sums.iter_mut().enumerate() {
                *sums = [s.splat_f32s(initial[row + r]); V];
            }
        }
        for (k, b) in self.b.chunks_exact(self.columns).enumerate() {
            let b = S::as_simd_f32s(&b[column..column + width]).0;
            let b: [S::f32s; V] = std::array::from_fn(|v| b[v]);
            for (sums, row) in sums.iter_mut().zip(&rows) {
                let a = s.splat_f32s(row[k]);
                for (sum, &b) in sums.iter_mut().zip(&b) {
                    *sum = s.mul_add_f32s(a, b, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            let at = (row + r) * self.columns + column;
            S::as_mut_simd_f32s(&mut self.out[at..at + width]).0.copy_from_slice(sums);
        }
    }
}

/// Rows of `a` whose products are summed before the next columns come, so that their part of `b` stays in the cache.
const PANEL: usize = 64;

struct Accumulate<'a> {
    a: Rows<'a>,
    b: &'a [f32],
    columns: usize,
    first: usize,
    out: &'a mut [f32],
}

impl WithSimd for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, s: S) {
        let rows = self.out.len() / self.columns;
        for from in (0..self.a.starts.len()).step_by(PANEL) {
            let to = (from + PANEL).min(self.a.starts.len());
            let mut k = 0;
            while k + 3 <= rows {
                self.rows::<S, 3>(s, from, to, k);
                k += 3;
            }
            while k < rows {
                self.rows::<S, 1>(s, from, to, k);
                k += 1;
            }
        }
    }
}

impl Accumulate<'_> {
    #[inline(always)]
    fn rows<S: Simd, const R: usize>(&mut self, s: S, from: usize, to: usize, k: usize) {
        let lanes = S::F32_LANES;
        let mut column = 0;
        while column < self.columns {
            let left = (self.columns - column) / lanes;
            if lanes >= 16 && left >= 8 {
                self.tile::<S, R, 8>(s, from, to, k, column);
                column += 8 * lanes;
            } else if left >= 4 {
                self.tile::<S, R, 4>(s, from, to, k, column);
                column += 4 * lanes;
            } else {
                self.tile::<S, R, 1>(s, from, to, k, column);
                column += lanes;
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(&mut self, s: S, from: usize, to: usize, k: usize, column: usize) {
        let width = V * S::F32_LANES;
        let mut sums: [[S::f32s; V]; R] = std::array::from_fn(|r| {
            let at = (k + r) * self.columns + column;
            let out = S::as_simd_f32s(&self.out[at..at + width]).0;
            std::array::from_fn(|v| out[v])
        });
        for i in from..to {
            let at = i * self.columns + column;
            let b = S::as_simd_f32s(&self.b[at..at + width]).0;
            let b: [S::f32s; V] = std::array::from_fn(|v| b[v]);
            let begin = self.a.starts[i] + self.first + k;
            let a: &[f32; R] = self.a.data[begin..begin + R].try_into().expect("R numbers");
            for (sums, &a) in sums.iter_mut().zip(a) {
                let a = s.splat_f32s(a);
                for (sum, &b) in sums.iter_mut().zip(&b) {
                    *sum = s.mul_add_f32s(a, b, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            let at = (k + r) * self.columns + column;
            S::as_mut_simd_f32s(&mut self.out[at..at + width]).0.copy_from_slice(sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hash::mix64;

    fn numbers(seed: u64, n: usize) -> Vec<f32> {
        (0..n as u64).map(|i| (mix64(seed * 1_000_003 + i) >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
    }

    proptest! {
        /// Both products against sums in double precision; all paths bit for bit.
        #[test]
        fn against_plain_sums(rows in 0usize..20, length in 1usize..40, wide in 1usize..12, seed in 0u64..1000) {
            let columns = wide * LANES;
            let data = numbers(seed, 3 * (rows + 1) * length);
            let starts: Vec<usize> = (0..rows).map(|i| mix64(seed + i as u64) as usize % (data.len() - length)).collect();
            let a = Rows { data: &data, starts: &starts, length };
            let (b, c, initial) = (numbers(seed + 1, length * columns), numbers(seed + 2, rows * columns), numbers(seed + 3, rows));
            let mut first: Option<(Vec<f32>, Vec<f32>)> = None;
            for path in Path::usable() {
                let mut product = vec![0.0; rows * columns];
                multiply(path, a, &b, columns, Some(&initial), &mut product);
                let from = length / 3;
                let mut sums = vec![1.0; (length - from) * columns];
                accumulate(path, a, &c, columns, from, &mut sums);
                for i in 0..rows {
                    for j in 0..columns {
                        let exact: f64 = (0..length).map(|k| f64::from(data[starts[i] + k]) * f64::from(b[k * columns + j])).sum();
                        prop_assert!((f64::from(product[i * columns + j]) - exact - f64::from(initial[i])).abs() < 1e-5);
                    }
                }
                for k in from..length {
                    for j in 0..columns {
                        let exact: f64 = (0..rows).map(|i| f64::from(data[starts[i] + k]) * f64::from(c[i * columns + j])).sum();
                        prop_assert!((f64::from(sums[(k - from) * columns + j]) - exact - 1.0).abs() < 1e-5);
                    }
                }
                let first = first.get_or_insert_with(|| (product.clone(), sums.clone()));
                prop_assert!(first.0.iter().chain(&first.1).zip(product.iter().chain(&sums)).all(|(a, b)| a.to_bits() == b.to_bits()));
            }
        }

        #[test]
        fn combinations(rows in 0usize..9, wide in 1usize..20, seed in 0u64..1000) {
            let length = wide * LANES;
            let data = numbers(seed, 3 * length);
            let starts: Vec<usize> = (0..rows).map(|i| mix64(seed + i as u64) as usize % (2 * length)).collect();
            let scales = numbers(seed + 1, rows);
            let mut first: Option<Vec<f32>> = None;
            for path in Path::usable() {
                let mut out = vec![0.5; length];
                combine(path, Rows { data: &data, starts: &starts, length }, &scales, &mut out);
                for (j, &got) in out.iter().enumerate() {
                    let exact: f64 = (0..rows).map(|i| f64::from(scales[i]) * f64::from(data[starts[i] + j])).sum();
                    prop_assert!((f64::from(got) - exact - 0.5).abs() < 1e-5);
                }
                let first = first.get_or_insert_with(|| out.clone());
                prop_assert!(first.iter().zip(&out).all(|(a, b)| a.to_bits() == b.to_bits()));
            }
        }
    }
}
