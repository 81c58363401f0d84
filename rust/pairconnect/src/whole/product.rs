//! Products of panels of whole numbers with vectors of them.

use thrifty_base::math::LANES;
use thrifty_base::simd::Path;

use super::instructions::{Pairs, WithPairs, with_pairs};
use super::{Block, Panels, Whole};

/// `out[p][row] = rows[row] . x[p]`.
pub(crate) fn product(path: Path, w: &Panels, x: &mut Whole, rows: usize, out: &mut [f32]) {
    assert!(w.columns == x.columns);
    #[cfg(target_arch = "x86_64")]
    if w.together == super::FOUR {
        return super::tiles::product(w, x, rows, out);
    }
    with_pairs(path, Product { w, x, rows, out });
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
                let whole = scales.len() == PANELS * LANES;
                if factors.len() == VECTORS {
                    if whole && M::MANY {
                        part.tile::<M, PANELS, VECTORS>(simd, x, factors, out);
                    } else {
                        for panel in part.panels() {
                            panel.tile::<M, 1, VECTORS>(simd, x, factors, out);
                        }
                    }
                    continue;
                }
                let each = x.chunks_exact(columns).zip(factors.chunks_exact(1)).zip(out.chunks_exact_mut(rows));
                for ((x, factor), out) in each {
                    if whole {
                        part.tile::<M, PANELS, 1>(simd, x, factor, out);
                    } else {
                        for panel in part.panels() {
                            panel.tile::<M, 1, 1>(simd, x, factor, out);
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
    /// One by one.
    #[inline(always)]
    fn panels(self) -> impl Iterator<Item = Self> {
        let panels = self.weights.chunks_exact(LANES * self.columns).zip(self.scales.chunks_exact(LANES));
        panels.enumerate().map(move |(i, (weights, scales))| Self {
            weights,
            scales,
            first: self.first + i * LANES,
            ..self
        })
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
