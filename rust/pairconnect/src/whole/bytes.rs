//! Products of few vectors with panels that were made for tiles: a vector alone does not fill a tile.
//!
//! Of the halves that `tiles` speaks of, the instruction (VNNI) takes unsigned bytes alone. So 128 is added to high ones, and
//! what that adds to a sum, 128 times the sum of the weights, is taken away again.
#![allow(unsafe_code)] // instructions that pulp has no functions for

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_si512,
    _mm512_slli_epi32, _mm512_storeu_si512, _mm512_sub_epi32,
};

use thrifty_base::math::LANES;

use super::Panels;
use super::product::put;

/// Panels whose sums are in registers together.
const PANELS: usize = 4;
/// What makes high bytes unsigned.
const SHIFT: i32 = 128;

/// Four columns of 16 rows.
type Block = [i8; 4 * LANES];

/// `out[row] = rows[row] . x` of a vector whose bytes are `high`, to which 128 was added, and `low`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub(super) fn product(w: &Panels, high: &[[u8; 4]], low: &[[u8; 4]], factor: f32, out: &mut [f32]) {
    let blocks = w.columns / 4;
    assert!(high.len() == blocks && low.len() == blocks);
    let weights: &[Block] = w.weights.as_chunks().0;
    let each = w.scales.chunks(PANELS * LANES).zip(w.sums.chunks(PANELS * LANES));
    for (i, ((scales, sums), weights)) in each.zip(weights.chunks(PANELS * blocks)).enumerate() {
        let out = &mut out[i * PANELS * LANES..];
        if scales.len() == PANELS * LANES {
            panels::<PANELS>(weights, scales, sums, high, low, factor, out);
            continue;
        }
        let each = scales.chunks(LANES).zip(sums.chunks(LANES)).zip(weights.chunks(blocks));
        for (n, ((scales, sums), weights)) in each.enumerate() {
            panels::<1>(weights, scales, sums, high, low, factor, &mut out[n * LANES..]);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
#[inline]
#[allow(clippy::too_many_arguments)] // panels, a vector, and where it goes
fn panels<const N: usize>(
    weights: &[Block],
    scales: &[f32],
    sums: &[i32],
    high: &[[u8; 4]],
    low: &[[u8; 4]],
    factor: f32,
    out: &mut [f32],
) {
    let blocks = high.len();
    let panels: [&[Block]; N] = std::array::from_fn(|n| &weights[n * blocks..(n + 1) * blocks]);
    let low = &low[..blocks];
    let mut both = [[_mm512_setzero_si512(); 2]; N];
    for c in 0..blocks {
        let (h, l) = (_mm512_set1_epi32(i32::from_le_bytes(high[c])), _mm512_set1_epi32(i32::from_le_bytes(low[c])));
        for n in 0..N {
            let w = load(&panels[n][c]);
            both[n] = [_mm512_dpbusd_epi32(both[n][0], h, w), _mm512_dpbusd_epi32(both[n][1], l, w)];
        }
    }
    for n in 0..N {
        let own = n * LANES..(n + 1) * LANES;
        let shifted = load::<i32, LANES>(sums[own.clone()].try_into().expect("sums of a panel"));
        let top = _mm512_sub_epi32(both[n][0], _mm512_slli_epi32::<7>(shifted));
        let sum = _mm512_add_epi32(_mm512_slli_epi32::<8>(top), both[n][1]);
        let mut whole = [0i32; LANES];
        // SAFETY: 16 numbers of 32 bits.
        unsafe { _mm512_storeu_si512(whole.as_mut_ptr().cast(), sum) };
        let scales = &scales[own];
        let mut lanes = [0.0f32; LANES];
        for i in 0..LANES {
            lanes[i] = whole[i] as f32 * (scales[i] * factor);
        }
        put(&mut out[n * LANES..], &lanes);
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load<T: bytemuck::Pod, const N: usize>(block: &[T; N]) -> __m512i {
    const { assert!(size_of::<[T; N]>() == size_of::<__m512i>()) };
    // SAFETY: the block is as large as the register.
    unsafe { _mm512_loadu_si512(block.as_ptr().cast()) }
}

/// The high byte of a number, unsigned.
#[inline(always)]
pub(super) fn shifted(x: i16) -> u8 {
    ((i32::from(x) >> 8) + SHIFT) as u8
}
