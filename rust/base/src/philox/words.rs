//! Blocks of one row of positions, many at a time, in the order in which ids take their words.
//!
//! A block's state stands in the lower halves of 64-bit lanes: that is where the multiplication takes its factors from
//! and leaves one half of its product, so that little is moved. What the upper halves hold is never looked at.

use std::any::Any;

use pulp::Simd;
#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};

use super::{M0, M1, Philox, W0, W1};

/// Words that [`Words::group`] writes.
pub const GROUP: usize = 64;
/// Blocks that have these words.
const BLOCKS: usize = GROUP / 4;

/// What blocks that differ in the lower half of their position alone have in common: the keys of all rounds, and what
/// the first three rounds make of the rest of the counter.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    random: Philox,
    position: u64,
    keys: [[u32; 2]; 10],
    first: u32,
    second: [u32; 2],
    third: u32,
}

impl Words {
    pub(super) fn new(random: Philox, position: u64) -> Self {
        let mut keys = [[random.seed as u32, (random.seed >> 32) as u32]; 10];
        for i in 1..10 {
            keys[i] = [keys[i - 1][0].wrapping_add(W0), keys[i - 1][1].wrapping_add(W1)];
        }
        let (p1, c1) = (u64::from(M1) * u64::from(random.stream as u32), (position >> 32) as u32);
        let p0 = u64::from(M0) * u64::from((p1 >> 32) as u32 ^ c1 ^ keys[0][0]);
        let first = (random.stream >> 32) as u32 ^ keys[0][1];
        let second = [p1 as u32 ^ keys[1][0], (p0 >> 32) as u32 ^ keys[1][1]];
        Self { random, position, keys, first, second, third: p0 as u32 ^ keys[2][1] }
    }

    /// The words of blocks `16 group` to `16 group + 15` of the row, those of a block one after the other.
    #[inline(always)]
    pub fn group<S: Simd>(&self, s: S, group: usize, out: &mut [u32; GROUP]) {
        let block = (BLOCKS * group) as u32;
        #[cfg(target_arch = "x86_64")]
        {
            let s: &dyn Any = &s;
            if let Some(&s) = s.downcast_ref::<V4>() {
                return self.blocks::<V4, 2>(s, block, out);
            }
            if let Some(&s) = s.downcast_ref::<V3>() {
                for (i, out) in out.chunks_exact_mut(GROUP / 2).enumerate() {
                    self.blocks::<V3, 2>(s, block + (i * BLOCKS / 2) as u32, out);
                }
                return;
            }
        }
        let _ = s;
        for (i, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *out = self.random.words_at(self.position + u64::from(block) + i as u64);
        }
    }

    /// `N` vectors of blocks, which keep the processor busy while each waits for its products.
    #[inline(always)]
    fn blocks<L: Lanes, const N: usize>(&self, v: L, block: u32, out: &mut [u32]) {
        let (m0, m1) = (v.of(M0), v.of(M1));
        let mut all = [[m0; 4]; N];
        for (i, c) in all.iter_mut().enumerate() {
            // Of three words of the counter all blocks have the same: half of these rounds is done.
            let p0 = v.product(m0, v.counters(self.position as u32 + block + (i * L::BLOCKS) as u32));
            let p1 = v.product(m1, v.xor(v.high(p0), v.of(self.first)));
            let (c0, c2) = (v.xor(v.high(p1), v.of(self.second[0])), v.xor(p0, v.of(self.second[1])));
            let (p0, c1, p1) = (v.product(m0, c0), p1, v.product(m1, c2));
            *c = [v.mix(p1, c1, v.of(self.keys[2][0])), p1, v.xor(v.high(p0), v.of(self.third)), p0];
        }
        for [k0, k1] in &self.keys[3..9] {
            let (k0, k1) = (v.of(*k0), v.of(*k1));
            for c in &mut all {
                let (p0, p1) = (v.product(m0, c[0]), v.product(m1, c[2]));
                *c = [v.mix(p1, c[1], k0), p1, v.mix(p0, c[3], k1), p0];
            }
        }
        let [k0, k1] = self.keys[9];
        let (k0, k1) = (v.of(k0), v.of(k1));
        for (c, out) in all.iter().zip(out.chunks_exact_mut(4 * L::BLOCKS)) {
            let (p0, p1) = (v.product(m0, c[0]), v.product(m1, c[2]));
            v.write(v.both(p1, v.xor(c[1], k0)), v.both(p0, v.xor(c[3], k1)), out);
        }
    }
}

/// Vectors of 64-bit lanes.
trait Lanes: Copy {
    type V: Copy;
    const BLOCKS: usize;

    /// The same number in all halves.
    fn of(self, x: u32) -> Self::V;
    /// Numbers from `first` on, in the order that [`Self::write`] undoes.
    fn counters(self, first: u32) -> Self::V;
    /// The products of lower halves.
    fn product(self, a: Self::V, b: Self::V) -> Self::V;
    /// Upper halves as lower ones.
    fn high(self, a: Self::V) -> Self::V;
    fn xor(self, a: Self::V, b: Self::V) -> Self::V;
    /// `high(product) ^ a ^ b`.
    fn mix(self, product: Self::V, a: Self::V, b: Self::V) -> Self::V;
    /// Lower halves: of `high(product) ^ a`; upper halves: the lower ones of the product.
    fn both(self, product: Self::V, a: Self::V) -> Self::V;
    /// Lanes of `a` and `b` in turn, in the order of their blocks.
    fn write(self, a: Self::V, b: Self::V, out: &mut [u32]);
}

#[cfg(target_arch = "x86_64")]
impl Lanes for V3 {
    type V = std::arch::x86_64::__m256i;
    const BLOCKS: usize = 4;

    #[inline(always)]
    fn of(self, x: u32) -> Self::V {
        self.avx._mm256_set1_epi32(x as i32)
    }

    #[inline(always)]
    fn counters(self, first: u32) -> Self::V {
        let order = self.avx._mm256_setr_epi64x(0, 2, 1, 3);
        self.avx2._mm256_add_epi64(self.avx._mm256_set1_epi64x(i64::from(first)), order)
    }

    #[inline(always)]
    fn product(self, a: Self::V, b: Self::V) -> Self::V {
        self.avx2._mm256_mul_epu32(a, b)
    }

    #[inline(always)]
    fn high(self, a: Self::V) -> Self::V {
        self.avx2._mm256_srli_epi64::<32>(a)
    }

    #[inline(always)]
    fn xor(self, a: Self::V, b: Self::V) -> Self::V {
        self.avx2._mm256_xor_si256(a, b)
    }

    #[inline(always)]
    fn mix(self, product: Self::V, a: Self::V, b: Self::V) -> Self::V {
        self.xor(self.high(product), self.xor(a, b))
    }

    #[inline(always)]
    fn both(self, product: Self::V, a: Self::V) -> Self::V {
        let lower = self.avx2._mm256_blend_epi32::<0xAA>(a, self.avx._mm256_setzero_si256());
        self.xor(self.avx2._mm256_shuffle_epi32::<0xB1>(product), lower)
    }

    #[inline(always)]
    fn write(self, a: Self::V, b: Self::V, out: &mut [u32]) {
        let parts = [self.avx2._mm256_unpacklo_epi64(a, b), self.avx2._mm256_unpackhi_epi64(a, b)];
        out.copy_from_slice(&bytemuck::cast::<_, [u32; 4 * Self::BLOCKS]>(parts));
    }
}

#[cfg(target_arch = "x86_64")]
impl Lanes for V4 {
    type V = std::arch::x86_64::__m512i;
    const BLOCKS: usize = 8;

    #[inline(always)]
    fn of(self, x: u32) -> Self::V {
        self.avx512f._mm512_set1_epi32(x as i32)
    }

    #[inline(always)]
    fn counters(self, first: u32) -> Self::V {
        let order = self.avx512f._mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
        self.avx512f._mm512_add_epi64(self.avx512f._mm512_set1_epi64(i64::from(first)), order)
    }

    #[inline(always)]
    fn product(self, a: Self::V, b: Self::V) -> Self::V {
        self.avx512f._mm512_mul_epu32(a, b)
    }

    #[inline(always)]
    fn high(self, a: Self::V) -> Self::V {
        self.avx512f._mm512_srli_epi64::<32>(a)
    }

    #[inline(always)]
    fn xor(self, a: Self::V, b: Self::V) -> Self::V {
        self.avx512f._mm512_xor_si512(a, b)
    }

    #[inline(always)]
    fn mix(self, product: Self::V, a: Self::V, b: Self::V) -> Self::V {
        // 0x96: the exclusive or of three.
        self.avx512f._mm512_ternarylogic_epi32::<0x96>(self.high(product), a, b)
    }

    #[inline(always)]
    fn both(self, product: Self::V, a: Self::V) -> Self::V {
        let lower = self.avx512f._mm512_maskz_mov_epi32(0x5555, a);
        self.xor(self.avx512f._mm512_shuffle_epi32::<0xB1>(product), lower)
    }

    #[inline(always)]
    fn write(self, a: Self::V, b: Self::V, out: &mut [u32]) {
        let parts = [self.avx512f._mm512_unpacklo_epi64(a, b), self.avx512f._mm512_unpackhi_epi64(a, b)];
        out.copy_from_slice(&bytemuck::cast::<_, [u32; 4 * Self::BLOCKS]>(parts));
    }
}

#[cfg(test)]
mod tests {
    use pulp::WithSimd;

    use super::*;
    use crate::math::dispatch;
    use crate::simd::Path;

    struct Group(Words, usize);

    impl WithSimd for Group {
        type Output = [u32; GROUP];

        #[inline(always)]
        fn with_simd<S: Simd>(self, s: S) -> Self::Output {
            let mut out = [0; GROUP];
            self.0.group(s, self.1, &mut out);
            out
        }
    }

    #[test]
    fn groups_are_blocks_on_all_paths() {
        for (seed, stream) in [(0, 0), (0x1234_5678_9ABC, u64::MAX - 3), (u64::MAX, 1 << 33)] {
            let random = Philox::new(seed, stream);
            for position in [0, 7 << 24, 1 << 32, ((1 << 40) - 1) << 24] {
                for group in [0, 1, 777, (1 << 20) - 1] {
                    let wanted: Vec<u32> =
                        (0..16).flat_map(|i| random.words_at(position + 16 * group as u64 + i)).collect();
                    for path in Path::usable() {
                        let got = dispatch(path, Group(random.words_of(position), group));
                        assert_eq!(got.as_slice(), wanted, "{path:?} {position} {group}");
                    }
                }
            }
        }
    }
}
