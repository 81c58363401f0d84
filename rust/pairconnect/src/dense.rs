//! Products of a matrix with the vectors of positions. A position's numbers do not depend on what is computed beside it.

use pulp::{Simd, WithSimd};
use thrifty_base::math::{LANES, Lanes, bf16, dispatch};
use thrifty_base::simd::Path;

use crate::gather::Unit;
use crate::spec::Precision;

/// Rows of weights, each as long as a position's vector: a multiple of [`LANES`].
#[derive(Debug)]
pub struct Matrix {
    columns: usize,
    numbers: Numbers,
}

#[derive(Debug)]
enum Numbers {
    F32(Vec<f32>),
    Bf16(Vec<u16>),
    I8(Vec<i8>, Vec<f32>),
}

impl Matrix {
    /// Rows of `columns` numbers, rounded to `precision`.
    pub fn new(path: Path, values: &[f32], columns: usize, precision: Precision) -> Self {
        assert!(columns.is_multiple_of(LANES) && values.len().is_multiple_of(columns));
        let numbers = match precision {
            Precision::F32 => Numbers::F32(values.to_vec()),
            Precision::Bf16 => {
                let mut numbers = vec![0; values.len()];
                bf16::narrow(path, values, &mut numbers);
                Numbers::Bf16(numbers)
            }
            Precision::I8 => {
                let mut numbers = vec![0; values.len()];
                let rows = values.chunks_exact(columns).zip(numbers.chunks_exact_mut(columns));
                let scales = rows.map(|(row, out)| crate::table::whole_numbers(row, out)).collect();
                Numbers::I8(numbers, scales)
            }
        };
        Self { columns, numbers }
    }

    /// Bytes of the weights.
    pub fn bytes(&self) -> usize {
        match &self.numbers {
            Numbers::F32(w) => 4 * w.len(),
            Numbers::Bf16(w) => 2 * w.len(),
            Numbers::I8(w, scales) => w.len() + 4 * scales.len(),
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        match &self.numbers {
            Numbers::F32(w) => w.len() / self.columns,
            Numbers::Bf16(w) => w.len() / self.columns,
            Numbers::I8(_, scales) => scales.len(),
        }
    }

    /// A row as f32.
    pub fn row(&self, path: Path, row: usize, out: &mut [f32]) {
        let range = row * self.columns..(row + 1) * self.columns;
        match &self.numbers {
            Numbers::F32(w) => out.copy_from_slice(&w[range]),
            Numbers::Bf16(w) => bf16::widen(path, &w[range], out),
            Numbers::I8(w, scales) => {
                out.iter_mut().zip(&w[range]).for_each(|(out, &x)| *out = scales[row] * f32::from(x));
            }
        }
    }

    /// `out[p][row] = rows[row] . x[p]` for vectors one after the other.
    pub fn product(&self, path: Path, x: &[f32], out: &mut [f32]) {
        assert!(x.len().is_multiple_of(self.columns) && out.len() * self.columns == x.len() * self.rows());
        dispatch(path, Product { matrix: self, x, out });
    }
}

/// Rows and vectors of a tile: 16 sums, 4 rows and 4 vectors of a position fill the registers of AVX-512.
const TILE: usize = 4;

struct Product<'a> {
    matrix: &'a Matrix,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Self { matrix: Matrix { columns, numbers }, x, out } = self;
        match numbers {
            Numbers::F32(w) => product(s, w, None, *columns, x, out),
            Numbers::Bf16(w) => product(s, w, None, *columns, x, out),
            Numbers::I8(w, scales) => product(s, w, Some(scales), *columns, x, out),
        }
    }
}

#[inline(always)]
fn product<S: Simd, R: Unit>(
    s: S,
    weights: &[R],
    scales: Option<&Vec<f32>>,
    columns: usize,
    x: &[f32],
    out: &mut [f32],
) {
    let rows = weights.len() / columns;
    let mut row = 0;
    while row < rows {
        let high = if rows - row >= TILE { TILE } else { 1 };
        for (vectors, out) in x.chunks(TILE * columns).zip(out.chunks_mut(TILE * rows)) {
            let mut put = |r: usize, p: usize, sum: f32| {
                out[p * rows + row + r] = scales.map_or(sum, |scales| scales[row + r] * sum);
            };
            let w = &weights[row * columns..(row + high) * columns];
            match (high, vectors.len() / columns) {
                (TILE, TILE) => tile::<S, R, TILE, TILE>(s, w, columns, vectors, &mut put),
                (TILE, _) => {
                    for (p, vector) in vectors.chunks_exact(columns).enumerate() {
                        tile::<S, R, TILE, 1>(s, w, columns, vector, &mut |r, _, sum| put(r, p, sum));
                    }
                }
                _ => {
                    for (p, vector) in vectors.chunks_exact(columns).enumerate() {
                        tile::<S, R, 1, 1>(s, w, columns, vector, &mut |r, _, sum| put(r, p, sum));
                    }
                }
            }
        }
        row += high;
    }
}

/// Summed in [`Lanes`], in one order whatever the tile and the instructions.
#[inline(always)]
fn tile<S: Simd, R: Unit, const M: usize, const P: usize>(
    s: S,
    weights: &[R],
    columns: usize,
    x: &[f32],
    put: &mut impl FnMut(usize, usize, f32),
) {
    let blocks = columns / LANES;
    let w: [&[[R; LANES]]; M] =
        std::array::from_fn(|r| &weights[r * columns..(r + 1) * columns].as_chunks().0[..blocks]);
    let x: [&[[f32; LANES]]; P] = std::array::from_fn(|p| &x[p * columns..(p + 1) * columns].as_chunks().0[..blocks]);
    let mut sums = [[Lanes::zero(s); P]; M];
    for i in 0..blocks {
        for r in 0..M {
            let block = R::widen(&w[r][i]);
            for p in 0..P {
                sums[r][p].add_product(s, &block, &x[p][i]);
            }
        }
    }
    for r in 0..M {
        for p in 0..P {
            put(r, p, sums[r][p].total());
        }
    }
}
