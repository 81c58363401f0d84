//! Products of whole numbers: weights of 8 bits with a factor a row, vectors of 16 bits with a factor each.
//!
//! Sums of whole numbers are exact, so that all instructions and orders give the same bits. Panels hold pairs of columns:
//! what an instruction multiplies and adds in one.

use pulp::{NullaryFnOnce, Scalar, Simd, WithSimd};
use thrifty_base::math::{LANES, dispatch};
use thrifty_base::simd::Path;

use crate::stored::whole_numbers;

/// Weights in panels of 16 rows; of each, two columns stand together.
#[derive(Debug)]
pub(crate) struct Panels {
    columns: usize,
    weights: Vec<i8>,
    scales: Vec<f32>,
}

/// Two columns of 16 rows.
type Block = [i8; 2 * LANES];

impl Panels {
    /// Of rows of `columns` numbers, an even number of them.
    pub(crate) fn new(values: &[f32], columns: usize) -> Self {
        let rows = (values.len() / columns).next_multiple_of(LANES);
        let (mut weights, mut scales) = (vec![0; rows * columns], vec![0.0; rows]);
        let mut rounded = vec![0; columns];
        for (row, values) in values.chunks_exact(columns).enumerate() {
            scales[row] = whole_numbers(values, &mut rounded);
            let panel: &mut [Block] = weights[row / LANES * LANES * columns..].as_chunks_mut().0;
            for (block, pair) in panel.iter_mut().zip(rounded.chunks_exact(2)) {
                block[row % LANES * 2..][..2].copy_from_slice(pair);
            }
        }
        Self { columns, weights, scales }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.weights.len() + 4 * self.scales.len()
    }

    /// A row as f32.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        let panel: &[Block] = self.weights[row / LANES * LANES * self.columns..].as_chunks().0;
        for (block, out) in panel.iter().zip(out.chunks_exact_mut(2)) {
            let pair = &block[row % LANES * 2..][..2];
            out.iter_mut().zip(pair).for_each(|(out, &x)| *out = self.scales[row] * f32::from(x));
        }
    }
}

/// Vectors of whole numbers, used again.
#[derive(Debug, Default)]
pub struct Whole {
    columns: usize,
    numbers: Vec<i16>,
    scales: Vec<f32>,
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

/// `out[p][row] = rows[row] . x[p]`.
pub(crate) fn product(path: Path, w: &Panels, x: &Whole, rows: usize, out: &mut [f32]) {
    debug_assert!(w.columns == x.columns);
    with_pairs(path, Product { w, x, rows, out });
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

/// Work for any of the instructions below.
trait WithPairs {
    fn run<M: Pairs>(self, m: M);
}

fn with_pairs(path: Path, work: impl WithPairs) {
    #[cfg(target_arch = "x86_64")]
    match path {
        Path::Avx512 => {
            if let Some(simd) = pulp::x86::V4::try_new() {
                return simd.vectorize(Call { simd, work });
            }
        }
        Path::Avx2 => {
            if let Some(simd) = pulp::x86::V3::try_new() {
                return simd.vectorize(Call { simd, work });
            }
        }
        Path::Scalar => {}
    }
    let _ = path;
    work.run(Scalar::new());
}

struct Call<M, W> {
    simd: M,
    work: W,
}

impl<M: Pairs, W: WithPairs> NullaryFnOnce for Call<M, W> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.work.run(self.simd);
    }
}

/// Instructions that multiply pairs of 16-bit numbers and add both to sums of 32 bits.
trait Pairs: Copy {
    /// Two columns of 16 rows in 16 bits.
    type Weights: Copy;
    /// Sums of 16 rows.
    type Sums: Copy;
    fn zero(self) -> Self::Sums;
    fn widen(self, block: &Block) -> Self::Weights;
    fn load(self, block: &[i16; 2 * LANES]) -> Self::Weights;
    /// One pair beside every row.
    fn splat(self, pair: [i16; 2]) -> Self::Weights;
    fn add(self, sums: Self::Sums, weights: Self::Weights, x: Self::Weights) -> Self::Sums;
    fn lanes(self, sums: Self::Sums) -> [i32; LANES];
}

impl Pairs for Scalar {
    type Weights = [i16; 2 * LANES];
    type Sums = [i32; LANES];

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        [0; LANES]
    }

    #[inline(always)]
    fn widen(self, block: &Block) -> Self::Weights {
        block.map(i16::from)
    }

    #[inline(always)]
    fn load(self, block: &[i16; 2 * LANES]) -> Self::Weights {
        *block
    }

    #[inline(always)]
    fn splat(self, pair: [i16; 2]) -> Self::Weights {
        std::array::from_fn(|i| pair[i % 2])
    }

    #[inline(always)]
    fn add(self, mut sums: Self::Sums, weights: Self::Weights, x: Self::Weights) -> Self::Sums {
        for ((sum, w), x) in sums.iter_mut().zip(weights.as_chunks::<2>().0).zip(x.as_chunks::<2>().0) {
            *sum += i32::from(w[0]) * i32::from(x[0]) + i32::from(w[1]) * i32::from(x[1]);
        }
        sums
    }

    #[inline(always)]
    fn lanes(self, sums: Self::Sums) -> [i32; LANES] {
        sums
    }
}

#[cfg(target_arch = "x86_64")]
impl Pairs for pulp::x86::V3 {
    type Weights = [pulp::i16x16; 2];
    type Sums = [pulp::u32x8; 2];

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        [self.splat_u32s(0); 2]
    }

    #[inline(always)]
    fn widen(self, block: &Block) -> Self::Weights {
        let halves: &[[i8; LANES]; 2] = bytemuck::cast_ref(block);
        halves.map(|half| self.convert_i8x16_to_i16x16(pulp::cast(half)))
    }

    #[inline(always)]
    fn load(self, block: &[i16; 2 * LANES]) -> Self::Weights {
        pulp::cast(*block)
    }

    #[inline(always)]
    fn splat(self, pair: [i16; 2]) -> Self::Weights {
        [pulp::cast(self.splat_i32x8(bytemuck::cast(pair))); 2]
    }

    #[inline(always)]
    fn add(self, sums: Self::Sums, weights: Self::Weights, x: Self::Weights) -> Self::Sums {
        let more = |i: usize| pulp::cast(self.multiply_wrapping_add_adjacent_i16x16(weights[i], x[i]));
        [self.add_u32s(sums[0], more(0)), self.add_u32s(sums[1], more(1))]
    }

    #[inline(always)]
    fn lanes(self, sums: Self::Sums) -> [i32; LANES] {
        pulp::cast(sums)
    }
}

#[cfg(target_arch = "x86_64")]
impl Pairs for pulp::x86::V4 {
    type Weights = pulp::i16x32;
    type Sums = pulp::u32x16;

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        self.splat_u32s(0)
    }

    #[inline(always)]
    fn widen(self, block: &Block) -> Self::Weights {
        self.convert_i8x32_to_i16x32(pulp::cast(*block))
    }

    #[inline(always)]
    fn load(self, block: &[i16; 2 * LANES]) -> Self::Weights {
        pulp::cast(*block)
    }

    #[inline(always)]
    fn splat(self, pair: [i16; 2]) -> Self::Weights {
        pulp::cast(self.splat_i32x16(bytemuck::cast(pair)))
    }

    #[inline(always)]
    fn add(self, sums: Self::Sums, weights: Self::Weights, x: Self::Weights) -> Self::Sums {
        self.add_u32s(sums, pulp::cast(self.multiply_wrapping_add_adjacent_i16x32(weights, x)))
    }

    #[inline(always)]
    fn lanes(self, sums: Self::Sums) -> [i32; LANES] {
        pulp::cast(sums)
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

struct Product<'a> {
    w: &'a Panels,
    x: &'a Whole,
    rows: usize,
    out: &'a mut [f32],
}

/// Panels and vectors of a tile.
const PANELS: usize = 4;
const VECTORS: usize = 4;

impl WithPairs for Product<'_> {
    #[inline(always)]
    fn run<M: Pairs>(self, simd: M) {
        let Self { w, x, rows, out } = self;
        let columns = w.columns;
        let size = PANELS * LANES * columns;
        // Panels come from far once, and stay near for all vectors.
        for (i, (weights, scales)) in w.weights.chunks(size).zip(w.scales.chunks(PANELS * LANES)).enumerate() {
            let part = Part { weights, scales, columns, rows, first: i * PANELS * LANES };
            let vectors = x.numbers.chunks(VECTORS * columns).zip(x.scales.chunks(VECTORS));
            for ((x, factors), out) in vectors.zip(out.chunks_mut(VECTORS * rows)) {
                match (scales.len() / LANES, factors.len()) {
                    (PANELS, VECTORS) => part.tile::<M, PANELS, VECTORS>(simd, x, factors, out),
                    (PANELS, _) => {
                        let each = x.chunks_exact(columns).zip(factors.chunks_exact(1)).zip(out.chunks_exact_mut(rows));
                        for ((x, factor), out) in each {
                            part.tile::<M, PANELS, 1>(simd, x, factor, out);
                        }
                    }
                    _ => {
                        let each = x.chunks_exact(columns).zip(factors.chunks_exact(1)).zip(out.chunks_exact_mut(rows));
                        for ((x, factor), out) in each {
                            part.single(simd, x, factor, out);
                        }
                    }
                }
            }
        }
    }
}

/// Writes lanes, or as many as there is room for.
#[inline(always)]
pub(crate) fn put(out: &mut [f32], lanes: &[f32; LANES]) {
    match out.first_chunk_mut() {
        Some(out) => *out = *lanes,
        None => out.copy_from_slice(&lanes[..out.len()]),
    }
}

/// Some panels.
#[derive(Clone, Copy)]
struct Part<'a> {
    weights: &'a [i8],
    scales: &'a [f32],
    columns: usize,
    rows: usize,
    first: usize,
}

impl Part<'_> {
    /// Fewer panels than a tile has, one by one.
    #[inline(always)]
    fn single<M: Pairs>(self, m: M, x: &[i16], factor: &[f32], out: &mut [f32]) {
        let panels = self.weights.chunks_exact(LANES * self.columns).zip(self.scales.chunks_exact(LANES));
        for (i, (weights, scales)) in panels.enumerate() {
            let part = Self { weights, scales, first: self.first + i * LANES, ..self };
            part.tile::<M, 1, 1>(m, x, factor, out);
        }
    }

    #[inline(always)]
    fn tile<M: Pairs, const N: usize, const P: usize>(self, m: M, x: &[i16], factors: &[f32], out: &mut [f32]) {
        let pairs = self.columns / 2;
        let blocks: &[Block] = self.weights.as_chunks().0;
        let w: [&[Block]; N] = std::array::from_fn(|n| &blocks[n * pairs..(n + 1) * pairs]);
        let x: [&[[i16; 2]]; P] = std::array::from_fn(|p| &x.as_chunks().0[p * pairs..(p + 1) * pairs]);
        let mut sums = [[m.zero(); N]; P];
        for c in 0..pairs {
            let x: [M::Weights; P] = std::array::from_fn(|p| m.splat(x[p][c]));
            for n in 0..N {
                let weights = m.widen(&w[n][c]);
                for p in 0..P {
                    sums[p][n] = m.add(sums[p][n], weights, x[p]);
                }
            }
        }
        for p in 0..P {
            let out = &mut out[p * self.rows..(p + 1) * self.rows];
            for n in 0..N {
                let sums = m.lanes(sums[p][n]);
                let scales = &self.scales[n * LANES..(n + 1) * LANES];
                let begin = self.first + n * LANES;
                let mut lanes = [0.0f32; LANES];
                for i in 0..LANES {
                    lanes[i] = sums[i] as f32 * (scales[i] * factors[p]);
                }
                put(&mut out[begin..], &lanes);
            }
        }
    }
}
