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
    pub(super) fn row(&self, i: usize) -> &'a [f32] {
        &self.data[self.starts[i]..self.starts[i] + self.length]
    }
}

/// `out[i][..] = initial[i] + sum over k of a[i][k] * b[k][..]`.
///
/// `b` has `a.length` rows and `out` a row for each of `a`, all of `columns` numbers, a multiple of [`LANES`];
/// `initial` is one number for each row of `a`, or nothing.
pub fn multiply(path: Path, a: Rows<'_>, b: &[f32], columns: usize, initial: Option<&[f32]>, out: &mut [f32]) {
    assert!(columns.is_multiple_of(LANES) && b.len() == a.length * columns && out.len() == a.starts.len() * columns);
    dispatch(path, Multiply { a, b, columns, initial, out });
}

/// `out[k][..] += sum over i of a[i][k] * b[i][..]`: the other product with the same rows, a row of `b` for each.
///
/// `b` and `out` have rows of `columns` numbers, a multiple of [`LANES`]; `out` has a row for each of `a`'s columns
/// from `first` on.
pub fn accumulate(path: Path, a: Rows<'_>, b: &[f32], columns: usize, first: usize, out: &mut [f32]) {
    let rows = out.len().checked_div(columns).unwrap_or(0);
    assert!(columns.is_multiple_of(LANES) && b.len() == a.starts.len() * columns && out.len() == rows * columns);
    assert!(first + rows <= a.length);
    if rows == 0 {
        return;
    }
    dispatch(path, Accumulate { a, b, columns, first, out });
}

/// `out[..] += sum over i of scales[i] * rows[i][..]`; rows have as many numbers as `out`.
pub fn combine(path: Path, rows: Rows<'_>, scales: &[f32], out: &mut [f32]) {
    assert!(out.len() == rows.length && scales.len() == rows.starts.len());
    dispatch(path, Combine { rows, scales, out });
}

/// A product that is computed tile by tile: some rows of `out` by some vectors of its columns, held in registers.
trait Tiled {
    /// The tile of `R` rows from `row` on and `V` vectors from `column` on.
    fn tile<S: Simd, const R: usize, const V: usize>(&mut self, s: S, row: usize, column: usize);
}

/// All tiles of a product. 24 sums, 4 vectors and a broadcast number fill the registers of AVX-512 and 12, 2 and 1
/// those of AVX2; a tile loads little for what it computes, so that `b` may lie in the second cache, aligned or not.
#[inline(always)]
fn tiles<S: Simd>(s: S, product: &mut impl Tiled, rows: usize, columns: usize) {
    let mut row = 0;
    while row < rows {
        row += match rows - row {
            6.. => band::<S, 6>(s, product, row, columns),
            4.. => band::<S, 4>(s, product, row, columns),
            2.. => band::<S, 2>(s, product, row, columns),
            _ => band::<S, 1>(s, product, row, columns),
        };
    }
}

/// The tiles of `R` rows; says how many rows these are.
#[inline(always)]
fn band<S: Simd, const R: usize>(s: S, product: &mut impl Tiled, row: usize, columns: usize) -> usize {
    let mut column = 0;
    while column < columns {
        let left = (columns - column) / S::F32_LANES;
        let vectors = if S::REGISTER_COUNT >= 32 && left >= 4 {
            product.tile::<S, R, 4>(s, row, column);
            4
        } else if left >= 2 {
            product.tile::<S, R, 2>(s, row, column);
            2
        } else {
            product.tile::<S, R, 1>(s, row, column);
            1
        };
        column += vectors * S::F32_LANES;
    }
    R
}

#[inline(always)]
fn load<S: Simd, const V: usize>(from: &[f32]) -> [S::f32s; V] {
    let from = S::as_simd_f32s(&from[..V * S::F32_LANES]).0;
    std::array::from_fn(|v| from[v])
}

#[inline(always)]
fn store<S: Simd, const V: usize>(to: &mut [f32], values: &[S::f32s; V]) {
    S::as_mut_simd_f32s(&mut to[..V * S::F32_LANES]).0.copy_from_slice(values);
}

#[inline(always)]
fn add_outer<S: Simd, const R: usize, const V: usize>(
    s: S,
    a: [f32; R],
    b: [S::f32s; V],
    sums: &mut [[S::f32s; V]; R],
) {
    for (sums, a) in sums.iter_mut().zip(a) {
        let a = s.splat_f32s(a);
        for (sum, &b) in sums.iter_mut().zip(&b) {
            *sum = s.mul_add_f32s(a, b, *sum);
        }
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
        let (rows, columns) = (self.a.starts.len(), self.columns);
        tiles(s, &mut self, rows, columns);
    }
}

impl Tiled for Multiply<'_> {
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(&mut self, s: S, row: usize, column: usize) {
        // All of one length, which spares a check of each number.
        let rows: [&[f32]; R] = std::array::from_fn(|r| self.a.row(row + r));
        let mut sums = match self.initial {
            Some(initial) => std::array::from_fn(|r| [s.splat_f32s(initial[row + r]); V]),
            None => [[s.splat_f32s(0.0); V]; R],
        };
        for (k, b) in self.b.chunks_exact(self.columns).take(self.a.length).enumerate() {
            add_outer(s, std::array::from_fn(|r| rows[r][k]), load::<S, V>(&b[column..]), &mut sums);
        }
        for (r, sums) in sums.iter().enumerate() {
            store::<S, V>(&mut self.out[(row + r) * self.columns + column..], sums);
        }
    }
}

/// Rows of `a` whose products are summed before the next tile comes: their part of `b` stays in the second cache.
const PANEL: usize = 128;

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
    fn with_simd<S: Simd>(self, s: S) {
        let Self { a, b, columns, first, out } = self;
        let rows = out.len() / columns;
        for (starts, b) in a.starts.chunks(PANEL).zip(b.chunks(PANEL * columns)) {
            tiles(s, &mut Accumulate { a: Rows { starts, ..a }, b, columns, first, out }, rows, columns);
        }
    }
}

impl Tiled for Accumulate<'_> {
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(&mut self, s: S, row: usize, column: usize) {
        let at = |r: usize| (row + r) * self.columns + column;
        let mut sums: [[S::f32s; V]; R] = std::array::from_fn(|r| load::<S, V>(&self.out[at(r)..]));
        let data = &self.a.data[(self.first + row).min(self.a.data.len())..];
        for (&start, b) in self.a.starts.iter().zip(self.b.chunks_exact(self.columns)) {
            let a = data[start..].first_chunk::<R>().expect("rows lie in the data");
            add_outer(s, *a, load::<S, V>(&b[column..]), &mut sums);
        }
        for (r, sums) in sums.iter().enumerate() {
            store::<S, V>(&mut self.out[at(r)..], sums);
        }
    }
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
        while self.out.len() - column >= lanes {
            let vectors = match (self.out.len() - column) / lanes {
                8.. => self.tile::<S, 8>(s, column),
                4.. => self.tile::<S, 4>(s, column),
                2.. => self.tile::<S, 2>(s, column),
                _ => self.tile::<S, 1>(s, column),
            };
            column += vectors * lanes;
        }
        for (i, &scale) in self.scales.iter().enumerate() {
            for (out, &x) in self.out[column..].iter_mut().zip(&self.rows.row(i)[column..]) {
                *out = scale.mul_add(x, *out);
            }
        }
    }
}

impl Combine<'_> {
    /// `V` vectors from `column` on; says how many these are.
    #[inline(always)]
    fn tile<S: Simd, const V: usize>(&mut self, s: S, column: usize) -> usize {
        let span = column..column + V * S::F32_LANES;
        let mut sums: [S::f32s; V] = load::<S, V>(&self.out[span.clone()]);
        for (i, &scale) in self.scales.iter().enumerate() {
            let row = S::as_simd_f32s(&self.rows.row(i)[span.clone()]).0;
            let scale = s.splat_f32s(scale);
            for (sum, &x) in sums.iter_mut().zip(row) {
                *sum = s.mul_add_f32s(scale, x, *sum);
            }
        }
        store::<S, V>(&mut self.out[span], &sums);
        V
    }
}

/// Numbers from -1 to 1 for tests.
#[cfg(test)]
pub(super) fn numbers(seed: u64, n: usize) -> Vec<f32> {
    (0..n as u64).map(|i| (crate::hash::mix64(seed * 1_000_003 + i) >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hash::mix64;

    fn same(a: &[f32], b: &[f32]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
    }

    #[test]
    fn nothing_at_all() {
        for path in Path::usable() {
            let none = Rows { data: &[], starts: &[], length: 0 };
            multiply(path, none, &[], 0, None, &mut []);
            accumulate(path, none, &[], 0, 0, &mut []);
            combine(path, none, &[], &mut []);
            let empty = Rows { data: &[1.0], starts: &[0, 1], length: 0 };
            let mut out = [9.0; 2 * LANES];
            multiply(path, empty, &[], LANES, Some(&[1.0, 2.0]), &mut out);
            assert!(out[..LANES].iter().all(|&x| x == 1.0) && out[LANES..].iter().all(|&x| x == 2.0));
        }
    }

    proptest! {
        /// Both products against sums in double precision; all paths bit for bit.
        #[test]
        fn against_plain_sums(rows in 0usize..41, length in 1usize..40, wide in 1usize..18, seed in 0u64..1000) {
            let columns = wide * LANES;
            let data = numbers(seed, 3 * (rows + 1) * length);
            let starts: Vec<usize> =
                (0..rows).map(|i| mix64(seed + i as u64) as usize % (data.len() - length)).collect();
            let a = Rows { data: &data, starts: &starts, length };
            let (b, c) = (numbers(seed + 1, length * columns), numbers(seed + 2, rows * columns));
            let initial = numbers(seed + 3, rows);
            let from = length / 3;
            // One number after the other, in the order that the kernels promise.
            let mut plain = vec![0.0f32; rows * columns];
            let mut plain_sums = vec![1.0f32; (length - from) * columns];
            for i in 0..rows {
                for j in 0..columns {
                    plain[i * columns + j] = (0..length)
                        .fold(initial[i], |sum, k| data[starts[i] + k].mul_add(b[k * columns + j], sum));
                    let exact: f64 =
                        (0..length).map(|k| f64::from(data[starts[i] + k]) * f64::from(b[k * columns + j])).sum();
                    prop_assert!((f64::from(plain[i * columns + j]) - exact - f64::from(initial[i])).abs() < 1e-5);
                }
            }
            for k in from..length {
                for j in 0..columns {
                    let terms = (0..rows).map(|i| (data[starts[i] + k], c[i * columns + j]));
                    let at = (k - from) * columns + j;
                    plain_sums[at] = terms.clone().fold(1.0, |sum, (x, y)| x.mul_add(y, sum));
                    let exact: f64 = terms.map(|(x, y)| f64::from(x) * f64::from(y)).sum();
                    prop_assert!((f64::from(plain_sums[at]) - exact - 1.0).abs() < 1e-5);
                }
            }
            for path in Path::usable() {
                let mut product = vec![f32::NAN; rows * columns];
                multiply(path, a, &b, columns, Some(&initial), &mut product);
                prop_assert!(same(&product, &plain), "{path:?}");
                let mut sums = vec![1.0; (length - from) * columns];
                accumulate(path, a, &c, columns, from, &mut sums);
                prop_assert!(same(&sums, &plain_sums), "{path:?}");
            }
        }

        /// More rows than a panel has, and nothing to begin with.
        #[test]
        fn many_rows(rows in 100usize..400, wide in 1usize..4, seed in 0u64..1000) {
            let (length, columns) = (7, wide * LANES);
            let data = numbers(seed, rows + length);
            let starts: Vec<usize> = (0..rows).rev().collect();
            let a = Rows { data: &data, starts: &starts, length };
            let (b, c) = (numbers(seed + 1, length * columns), numbers(seed + 2, rows * columns));
            for path in Path::usable() {
                let (mut product, mut sums) = (vec![f32::NAN; rows * columns], vec![-1.0; length * columns]);
                multiply(path, a, &b, columns, None, &mut product);
                accumulate(path, a, &c, columns, 0, &mut sums);
                let one = |i: usize, j: usize| {
                    (0..length).fold(0.0, |sum: f32, k| data[starts[i] + k].mul_add(b[k * columns + j], sum))
                };
                let plain: Vec<f32> = (0..rows * columns).map(|at| one(at / columns, at % columns)).collect();
                let one = |k: usize, j: usize| {
                    (0..rows).fold(-1.0, |sum: f32, i| data[starts[i] + k].mul_add(c[i * columns + j], sum))
                };
                let plain_sums: Vec<f32> = (0..length * columns).map(|at| one(at / columns, at % columns)).collect();
                prop_assert!(same(&product, &plain) && same(&sums, &plain_sums), "{path:?}");
            }
        }

        #[test]
        fn combinations(rows in 0usize..9, length in 0usize..300, seed in 0u64..1000) {
            let data = numbers(seed, 3 * length);
            let starts: Vec<usize> = (0..rows).map(|i| mix64(seed + i as u64) as usize % (2 * length + 1)).collect();
            let scales = numbers(seed + 1, rows);
            let mut first: Option<Vec<f32>> = None;
            for path in Path::usable() {
                let mut out = vec![0.5; length];
                combine(path, Rows { data: &data, starts: &starts, length }, &scales, &mut out);
                for (j, &got) in out.iter().enumerate() {
                    let exact: f64 = (0..rows).map(|i| f64::from(scales[i]) * f64::from(data[starts[i] + j])).sum();
                    prop_assert!((f64::from(got) - exact - 0.5).abs() < 1e-5);
                }
                prop_assert!(same(first.get_or_insert_with(|| out.clone()), &out));
            }
        }
    }
}
