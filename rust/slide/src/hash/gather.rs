//! Rows of a matrix side by side: a transposition of sixteen rows.

use pulp::{Simd, WithSimd};
use thrifty_base::math::{LANES, Rows, dispatch};
use thrifty_base::simd::Path;

/// Bytes of a cache line: a vector that lies across two costs twice.
const LINE: usize = 64;

/// The first `length` numbers of `memory` from a cache line on.
pub(super) fn aligned(memory: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if memory.len() < length + LANES {
        memory.resize(length + LANES, 0.0);
    }
    let skip = memory.as_ptr().align_offset(LINE);
    let skip = if skip < LANES { skip } else { 0 };
    &mut memory[skip..skip + length]
}

/// `out[c * LANES + lane]` is number c of row `lane`; lanes without a row repeat the last one.
pub(super) fn side_by_side(path: Path, rows: Rows<'_>, out: &mut [f32]) {
    assert!(out.len() == rows.length * LANES && rows.starts.len() <= LANES);
    if rows.starts.is_empty() {
        out.fill(0.0);
        return;
    }
    let row = |lane: usize| {
        let begin = rows.starts[lane.min(rows.starts.len() - 1)];
        &rows.data[begin..begin + rows.length]
    };
    dispatch(path, Transpose { rows: std::array::from_fn(row), out });
}

struct Transpose<'a> {
    rows: [&'a [f32]; LANES],
    out: &'a mut [f32],
}

impl WithSimd for Transpose<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Self { rows, out } = self;
        let length = rows[0].len();
        let mut done = 0;
        if S::F32_LANES.is_multiple_of(4) {
            let rows = rows.map(|row| row.as_chunks::<4>().0);
            for (c, out) in out.chunks_exact_mut(4 * LANES).enumerate() {
                let out = S::as_mut_simd_f32s(out).0;
                let vectors = LANES / S::F32_LANES;
                for v in 0..vectors {
                    // Vector j has four numbers of every fourth row from j on, so that squares of four by four are left.
                    let squares: [S::f32s; 4] = std::array::from_fn(|j| {
                        let mut x = s.splat_f32s(0.0);
                        let quads: &mut [[f32; 4]] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut x));
                        for (g, quad) in quads.iter_mut().enumerate() {
                            *quad = rows[v * S::F32_LANES + 4 * g + j][c];
                        }
                        x
                    });
                    for (i, column) in s.deinterleave_shfl_f32s(squares).into_iter().enumerate() {
                        out[i * vectors + v] = column;
                    }
                }
            }
            done = length / 4 * 4;
        }
        for c in done..length {
            for (out, row) in out[c * LANES..(c + 1) * LANES].iter_mut().zip(&rows) {
                *out = row[c];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn transposed(rows in 1usize..=LANES, length in 1usize..70, seed in 0usize..1000) {
            let data: Vec<f32> = (0..3 * LANES * length).map(|i| i as f32).collect();
            let starts: Vec<usize> = (0..rows).map(|i| (seed * 31 + i * 977) % (data.len() - length)).collect();
            for path in Path::usable() {
                let mut memory = Vec::new();
                let out = aligned(&mut memory, length * LANES);
                side_by_side(path, Rows { data: &data, starts: &starts, length }, out);
                for c in 0..length {
                    for lane in 0..LANES {
                        prop_assert_eq!(out[c * LANES + lane], data[starts[lane.min(rows - 1)] + c]);
                    }
                }
            }
        }
    }
}
