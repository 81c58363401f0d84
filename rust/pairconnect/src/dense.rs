//! Products of a matrix with the vectors of positions. A position's numbers do not depend on what is computed beside it.
//!
//! Rows stand in panels of 16, column after column: a vector register holds a number of 16 rows, and each row is summed
//! from its first column to its last, whatever the instructions and however many positions there are. Whole numbers are
//! in `whole`.

use pulp::{Simd, WithSimd};
use thrifty_base::math::{LANES, bf16, dispatch};
use thrifty_base::simd::Path;

use crate::gather::Unit;
use crate::spec::Precision;
use crate::whole::{self, Panels, Whole, put};

/// Rows of weights, each as long as a position's vector: a multiple of [`LANES`].
#[derive(Debug)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    numbers: Numbers,
}

#[derive(Debug)]
enum Numbers {
    F32(Vec<f32>),
    Bf16(Vec<u16>),
    I8(Panels),
}

impl Matrix {
    /// Rows of `columns` numbers, rounded to `precision`.
    pub fn new(path: Path, values: &[f32], columns: usize, precision: Precision) -> Self {
        assert!(columns > 0 && columns.is_multiple_of(LANES) && values.len().is_multiple_of(columns));
        let rows = values.len() / columns;
        let numbers = match precision {
            Precision::F32 => Numbers::F32(paneled(values, columns)),
            Precision::Bf16 => {
                let panels = paneled(values, columns);
                let mut numbers = vec![0; panels.len()];
                bf16::narrow(path, &panels, &mut numbers);
                Numbers::Bf16(numbers)
            }
            Precision::I8 => Numbers::I8(Panels::new(path, values, columns)),
        };
        Self { rows, columns, numbers }
    }

    /// Bytes of the weights.
    pub fn bytes(&self) -> usize {
        match &self.numbers {
            Numbers::F32(w) => 4 * w.len(),
            Numbers::Bf16(w) => 2 * w.len(),
            Numbers::I8(w) => w.bytes(),
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// A row as f32.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        let (panel, lane) = (row / LANES, row % LANES);
        let range = panel * self.columns * LANES..(panel + 1) * self.columns * LANES;
        match &self.numbers {
            Numbers::F32(w) => {
                w[range].as_chunks::<LANES>().0.iter().zip(out).for_each(|(column, out)| *out = column[lane]);
            }
            Numbers::Bf16(w) => {
                let columns = w[range].as_chunks::<LANES>().0;
                columns.iter().zip(out).for_each(|(c, out)| *out = f32::from_bits(u32::from(c[lane]) << 16));
            }
            Numbers::I8(w) => w.row(row, out),
        }
    }

    /// `out[p][row] = rows[row] . x[p]` for vectors one after the other; `room` holds what they are rounded to.
    pub fn product(&self, path: Path, x: &[f32], room: &mut Whole, out: &mut [f32]) {
        assert!(x.len().is_multiple_of(self.columns) && out.len() * self.columns == x.len() * self.rows);
        match &self.numbers {
            Numbers::F32(w) => dispatch(path, Product { w, columns: self.columns, rows: self.rows, x, out }),
            Numbers::Bf16(w) => dispatch(path, Product { w, columns: self.columns, rows: self.rows, x, out }),
            Numbers::I8(w) => {
                room.round(path, x, self.columns);
                whole::product(path, w, room, self.rows, out);
            }
        }
    }
}

/// Rows in panels; the last is filled up with zeros.
fn paneled(values: &[f32], columns: usize) -> Vec<f32> {
    let panels = (values.len() / columns).div_ceil(LANES);
    let mut out = vec![0.0; panels * LANES * columns];
    for (row, values) in values.chunks_exact(columns).enumerate() {
        let panel = &mut out[row / LANES * LANES * columns..];
        for (column, &x) in panel.as_chunks_mut::<LANES>().0.iter_mut().zip(values) {
            column[row % LANES] = x;
        }
    }
    out
}

struct Product<'a, R> {
    w: &'a [R],
    columns: usize,
    rows: usize,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl<R: Unit> WithSimd for Product<'_, R> {
    type Output = ();

    /// Panels and vectors of a tile are as many as have their sums in registers: of 32 with AVX-512, else of 16.
    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        match LANES / S::F32_LANES {
            1 => self.all::<S, 1, 8, 4>(s),
            2 => self.all::<S, 2, 4, 1>(s),
            4 => self.all::<S, 4, 2, 1>(s),
            _ => self.all::<S, LANES, 1, 1>(s),
        }
    }
}

/// Vectors of a tile.
const VECTORS: usize = 4;

impl<R: Unit> Product<'_, R> {
    /// `ALONE` panels for one vector, `TOGETHER` for [`VECTORS`].
    #[inline(always)]
    fn all<S: Simd, const V: usize, const ALONE: usize, const TOGETHER: usize>(self, s: S) {
        let Self { w, columns, rows, x, out } = self;
        let panel = columns * LANES;
        // Panels come from far once, and stay near for all vectors.
        let many = x.len() / (VECTORS * columns) * VECTORS;
        let (x, alone) = x.split_at(many * columns);
        let (out, out_alone) = out.split_at_mut(many * rows);
        let mut first = 0;
        for w in w.chunks(TOGETHER * panel) {
            for (x, out) in x.chunks_exact(VECTORS * columns).zip(out.chunks_exact_mut(VECTORS * rows)) {
                let x: [&[f32]; VECTORS] = std::array::from_fn(|p| &x[p * columns..(p + 1) * columns]);
                if w.len() == TOGETHER * panel {
                    tile::<S, R, V, TOGETHER, VECTORS>(s, w, x, rows, first, out);
                    continue;
                }
                for (i, w) in w.chunks_exact(panel).enumerate() {
                    tile::<S, R, V, 1, VECTORS>(s, w, x, rows, first + i * LANES, out);
                }
            }
            first += w.len() / columns;
        }
        for (x, out) in alone.chunks_exact(columns).zip(out_alone.chunks_exact_mut(rows)) {
            let mut first = 0;
            for w in w.chunks(ALONE * panel) {
                if w.len() == ALONE * panel {
                    tile::<S, R, V, ALONE, 1>(s, w, [x], rows, first, out);
                } else {
                    for (i, w) in w.chunks_exact(panel).enumerate() {
                        tile::<S, R, V, 1, 1>(s, w, [x], rows, first + i * LANES, out);
                    }
                }
                first += w.len() / columns;
            }
        }
    }
}

/// `M` panels from the row `first` on times `P` vectors.
#[inline(always)]
fn tile<S: Simd, R: Unit, const V: usize, const M: usize, const P: usize>(
    s: S,
    w: &[R],
    x: [&[f32]; P],
    rows: usize,
    first: usize,
    out: &mut [f32],
) {
    let columns = x[0].len();
    let w: [&[[R; LANES]]; M] = std::array::from_fn(|m| &w.as_chunks().0[m * columns..(m + 1) * columns]);
    let mut sums = [[[s.splat_f32s(0.0); V]; M]; P];
    for c in 0..columns {
        let x: [S::f32s; P] = std::array::from_fn(|p| s.splat_f32s(x[p][c]));
        for m in 0..M {
            let column = R::widen(&w[m][c]);
            let column: &[S::f32s; V] = S::as_simd_f32s(&column).0.try_into().expect("16 numbers are V vectors");
            for p in 0..P {
                for v in 0..V {
                    sums[p][m][v] = s.mul_add_f32s(column[v], x[p], sums[p][m][v]);
                }
            }
        }
    }
    for (p, sums) in sums.iter().enumerate() {
        let out = &mut out[p * rows..(p + 1) * rows];
        for (m, sums) in sums.iter().enumerate() {
            let mut lanes = [0.0; LANES];
            S::as_mut_simd_f32s(&mut lanes).0.copy_from_slice(sums);
            put(&mut out[first + m * LANES..], &lanes);
        }
    }
}
