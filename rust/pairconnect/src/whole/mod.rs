//! Products of whole numbers: weights of 8 bits with a factor a row, vectors of 16 bits with a factor each.
//!
//! Sums of whole numbers are exact, so that all instructions and orders give the same bits. Panels hold pairs of columns:
//! what an instruction multiplies and adds in one; four where a matrix unit does it.

#[cfg(target_arch = "x86_64")]
mod bytes;
mod instructions;
mod product;
#[cfg(target_arch = "x86_64")]
mod tiles;

use pulp::{Simd, WithSimd};
use thrifty_base::math::{LANES, dispatch};
use thrifty_base::simd::Path;

use crate::stored::whole_numbers;
use instructions::{Pairs, WithPairs, with_pairs};
pub(crate) use product::{product, put};

/// Weights in panels of 16 rows; of each, some columns stand together.
#[derive(Debug)]
pub(crate) struct Panels {
    columns: usize,
    together: usize,
    weights: Vec<i8>,
    scales: Vec<f32>,
    /// Sums of the weights of a row, where four columns stand together.
    sums: Vec<i32>,
}

/// Columns that stand together for a matrix unit.
const FOUR: usize = 4;
/// Two columns of 16 rows.
type Block = [i8; 2 * LANES];

impl Panels {
    /// Of rows of `columns` numbers, an even number of them.
    pub(crate) fn new(path: Path, values: &[f32], columns: usize) -> Self {
        let rows = (values.len() / columns).next_multiple_of(LANES);
        let (weights, scales) = (vec![0; rows * columns], vec![0.0; rows]);
        let together = together(path, columns);
        let sums = if together == FOUR { vec![0; rows] } else { Vec::new() };
        let mut panels = Self { columns, together, weights, scales, sums };
        let mut rounded = vec![0; columns];
        for (row, values) in values.chunks_exact(columns).enumerate() {
            panels.scales[row] = whole_numbers(values, &mut rounded);
            if let Some(sum) = panels.sums.get_mut(row) {
                *sum = rounded.iter().map(|&x| i32::from(x)).sum();
            }
            let (begin, size, own) = panels.places(row);
            let blocks = panels.weights[begin..].chunks_exact_mut(size);
            for (block, some) in blocks.zip(rounded.chunks_exact(own.len())) {
                block[own.clone()].copy_from_slice(some);
            }
        }
        panels
    }

    /// Where the panel of a row begins, the size of its blocks, and which of each are those of the row.
    fn places(&self, row: usize) -> (usize, usize, std::ops::Range<usize>) {
        let begin = row % LANES * self.together;
        (row / LANES * LANES * self.columns, self.together * LANES, begin..begin + self.together)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.weights.len() + 4 * (self.scales.len() + self.sums.len())
    }

    /// A row as f32.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        let (begin, size, own) = self.places(row);
        let blocks = self.weights[begin..].chunks_exact(size);
        for (block, out) in blocks.zip(out.chunks_exact_mut(own.len())) {
            out.iter_mut().zip(&block[own.clone()]).for_each(|(out, &x)| *out = self.scales[row] * f32::from(x));
        }
    }
}

/// Columns that stand together: those of an instruction.
fn together(path: Path, columns: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    if tiles::fit(path, columns) {
        return FOUR;
    }
    let _ = (path, columns);
    2
}

/// Vectors of whole numbers, used again.
#[derive(Debug, Default)]
pub struct Whole {
    columns: usize,
    numbers: Vec<i16>,
    scales: Vec<f32>,
    /// High bytes, then low ones, of some vectors.
    #[cfg(target_arch = "x86_64")]
    halves: Vec<u8>,
}

impl Whole {
    /// Rounds vectors of `columns` numbers, to as many steps as no sum can overflow with.
    pub(crate) fn round(&mut self, path: Path, x: &[f32], columns: usize) {
        let most = (i32::MAX / (127 * columns as i32)).min(i32::from(i16::MAX)) as f32;
        self.columns = columns;
        self.numbers.resize(x.len(), 0);
        self.scales.clear();
        for (x, out) in x.chunks_exact(columns).zip(self.numbers.chunks_exact_mut(columns)) {
            self.scales.push(dispatch(path, Round { x, most, out }));
        }
    }
}

/// 1.5 * 2^23: a sum with it is rounded to a whole number, of two equally near ones the even one.
const MAGIC: f32 = 12_582_912.0;

/// Writes whole numbers up to `most`; returns what they are multiplied by.
struct Round<'a> {
    x: &'a [f32],
    most: f32,
    out: &'a mut [i16],
}

impl WithSimd for Round<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f32 {
        let Self { x, most, out } = self;
        let mut largest = [0u32; LANES];
        for block in x.as_chunks::<LANES>().0 {
            for i in 0..LANES {
                // Without their sign, floats are ordered as whole numbers are; what is no number is above all.
                largest[i] = largest[i].max(block[i].abs().to_bits());
            }
        }
        let largest = f32::from_bits(largest.into_iter().fold(0, u32::max));
        if !largest.is_finite() {
            out.fill(0);
            // What is no number stays so: 0 times this.
            return f32::NAN;
        }
        let inverse = if largest > 0.0 { most / largest } else { 0.0 };
        let inverse = if inverse.is_finite() { inverse } else { 0.0 };
        for (out, x) in out.as_chunks_mut::<LANES>().0.iter_mut().zip(x.as_chunks::<LANES>().0) {
            for i in 0..LANES {
                let shifted = (x[i] * inverse).clamp(-most, most) + MAGIC;
                out[i] = (shifted.to_bits() as i32 - MAGIC.to_bits() as i32) as i16;
            }
        }
        largest / most
    }
}

/// Row after row, for products of some of them.
#[derive(Debug)]
pub(crate) struct WholeRows {
    columns: usize,
    weights: Vec<i8>,
    scales: Vec<f32>,
}

impl WholeRows {
    /// Of rows of `columns` numbers; they get zeros behind them up to whole blocks.
    pub(crate) fn new(values: &[f32], columns: usize) -> Self {
        let stride = columns.next_multiple_of(2 * LANES);
        let mut weights = vec![0; values.len() / columns * stride];
        let rows = values.chunks_exact(columns).zip(weights.chunks_exact_mut(stride));
        let scales = rows.map(|(values, out)| whole_numbers(values, &mut out[..columns])).collect();
        Self { columns: stride, weights, scales }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.weights.len() + 4 * self.scales.len()
    }

    /// A row, to be asked of memory.
    pub(crate) fn weights(&self, row: usize) -> &[i8] {
        &self.weights[row * self.columns..(row + 1) * self.columns]
    }

    /// `out[i] = rows[ids[i]] . x[p]`: the bits that [`product`] gives.
    pub(crate) fn products(&self, path: Path, ids: &[u32], x: &Whole, p: usize, out: &mut [f32]) {
        with_pairs(path, Chosen { rows: self, ids, x, p, out });
    }
}

struct Chosen<'a> {
    rows: &'a WholeRows,
    ids: &'a [u32],
    x: &'a Whole,
    p: usize,
    out: &'a mut [f32],
}

impl WithPairs for Chosen<'_> {
    #[inline(always)]
    fn run<M: Pairs>(self, m: M) {
        let Self { rows, ids, x, p, out } = self;
        let numbers = &x.numbers[p * x.columns..(p + 1) * x.columns];
        // The last block may be a half.
        let (blocks, rest) = numbers.as_chunks::<{ 2 * LANES }>();
        let mut last = [0; 2 * LANES];
        last[..rest.len()].copy_from_slice(rest);
        for (&id, out) in ids.iter().zip(out) {
            let mut sums = m.zero();
            let row: &[Block] = rows.weights(id as usize).as_chunks().0;
            for (w, x) in row.iter().zip(blocks.iter().chain((!rest.is_empty()).then_some(&last))) {
                sums = m.add(sums, m.widen(w), m.load(x));
            }
            let sum: i32 = m.lanes(sums).iter().sum();
            *out = sum as f32 * (rows.scales[id as usize] * x.scales[p]);
        }
    }
}

#[cfg(test)]
mod tests {
    use thrifty_base::hash::mix64;

    use super::*;

    /// Every path gives the bits of a loop, at the largest numbers as well, for any number of rows and vectors.
    #[test]
    fn products_are_those_of_a_loop() {
        for (columns, rows, vectors) in [
            (16, 5, 1),
            (32, 48, 4),
            (64, 16, 1),
            (64, 100, 16),
            (96, 33, 7),
            (128, 2_040, 5),
            (192, 40, 3),
            (192, 96, 33),
            (512, 128, 18),
        ] {
            let number = |seed: u64| move |i: u64| (mix64(i ^ mix64(seed)) % 2_001) as f32 / 1_000.0 - 1.0;
            let mut weights: Vec<f32> = (0..(rows * columns) as u64).map(number(1)).collect();
            let mut x: Vec<f32> = (0..(vectors * columns) as u64).map(number(2)).collect();
            // A row and a vector whose product is the largest that there is, and their opposites.
            weights[..columns].fill(3.0);
            weights[columns..2 * columns].fill(-3.0);
            x[..columns].fill(if vectors % 2 == 0 { 5.0 } else { -5.0 });
            let mut rounded = vec![0i8; columns];
            let (mut integers, mut scales) = (Vec::new(), Vec::new());
            for row in weights.chunks_exact(columns) {
                scales.push(whole_numbers(row, &mut rounded));
                integers.extend_from_slice(&rounded);
            }
            for path in Path::usable() {
                let mut room = Whole::default();
                room.round(path, &x, columns);
                let mut wanted = Vec::new();
                for (p, x) in room.numbers.chunks_exact(columns).enumerate() {
                    for (row, scale) in integers.chunks_exact(columns).zip(&scales) {
                        let sum: i64 = row.iter().zip(x).map(|(&w, &x)| i64::from(w) * i64::from(x)).sum();
                        wanted.push((sum as f32 * (scale * room.scales[p])).to_bits());
                    }
                }
                let panels = Panels::new(path, &weights, columns);
                let mut out = vec![f32::NAN; vectors * rows];
                product(path, &panels, &mut room, rows, &mut out);
                assert!(out.iter().map(|x| x.to_bits()).eq(wanted), "{path:?} {columns} {rows} {vectors}");
                let mut row = vec![0.0; columns];
                panels.row(rows - 1, &mut row);
                let own = integers.chunks_exact(columns).next_back().expect("there are rows");
                assert!(row.iter().zip(own).all(|(x, &w)| *x == scales[rows - 1] * f32::from(w)));
            }
        }
    }
}
