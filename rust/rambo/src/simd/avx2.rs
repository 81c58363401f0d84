//! AVX2 (Haswell, Zen and later).
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use thrifty_base::simd::Path;

use super::{Indices, Kernel, OVERREAD, Scalar, Simd};

/// Exists only where the instructions do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(crate) fn new() -> Option<Self> {
        Path::Avx2.is_usable().then_some(Self(()))
    }

    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Out {
        #[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
        fn with_features<K: Kernel>(token: Avx2, kernel: K) -> K::Out {
            kernel.run(token)
        }
        // SAFETY: `self` was made by `new`, which saw all these features on this machine.
        unsafe { with_features(self, kernel) }
    }
}

// SAFETY of every block below: the token proves that the instructions exist; pointers come from references or from
// slices whose length was checked on the line before.
impl Simd for Avx2 {
    type Mask = [__m256i; 2];

    #[inline(always)]
    fn zero(self) -> Self::Mask {
        // SAFETY: see above.
        unsafe { [_mm256_setzero_si256(); 2] }
    }

    #[inline(always)]
    fn low(self, bits: usize) -> Self::Mask {
        self.pack(&Scalar.low(bits))
    }

    #[inline(always)]
    fn load<const WIDTH: usize>(self, bytes: &[u8], bit: usize) -> Self::Mask {
        if WIDTH <= 16 {
            return self.pack(&Scalar.load::<WIDTH>(bytes, bit));
        }
        let (at, shift) = (bit / 8, bit % 8);
        let p = bytes[at..at + 72].as_ptr();
        // SAFETY: 72 bytes from `p` on are inside the slice, and no load goes beyond them.
        unsafe {
            let right = _mm_cvtsi32_si128(shift as i32);
            let left = _mm_cvtsi32_si128(64 - shift as i32);
            let mix = |low, high| _mm256_or_si256(_mm256_srl_epi64(low, right), _mm256_sll_epi64(high, left));
            let low = _mm256_loadu_si256(p.cast());
            if WIDTH == 32 {
                let zero = _mm256_setzero_si256();
                let high = _mm256_blend_epi32::<0b1100_0000>(_mm256_permute4x64_epi64::<0b11_11_10_01>(low), zero);
                return [mix(low, high), zero];
            }
            let upper = _mm256_loadu_si256(p.add(32).cast());
            if shift == 0 {
                return [low, upper];
            }
            let next = _mm256_loadu_si256(p.add(8).cast());
            [mix(low, next), mix(upper, _mm256_loadu_si256(p.add(40).cast()))]
        }
    }

    #[inline(always)]
    fn load_bytes<const WIDTH: usize>(self, bytes: &[u8], at: usize) -> Self::Mask {
        assert!(at < bytes.len().saturating_sub(OVERREAD - 1), "a row begins at byte {at} of {}", bytes.len());
        // SAFETY: 72 bytes from `p` on are inside the slice, and no load goes beyond them.
        unsafe {
            let p = bytes.as_ptr().add(at);
            let zero = _mm256_setzero_si256();
            match WIDTH {
                8 => [_mm256_zextsi128_si256(_mm_loadl_epi64(p.cast())), zero],
                16 => [_mm256_zextsi128_si256(_mm_loadu_si128(p.cast())), zero],
                32 => [_mm256_loadu_si256(p.cast()), zero],
                _ => [_mm256_loadu_si256(p.cast()), _mm256_loadu_si256(p.add(32).cast())],
            }
        }
    }

    #[inline(always)]
    fn pack(self, words: &[u64; 8]) -> Self::Mask {
        // SAFETY: 64 bytes behind the reference.
        unsafe { [_mm256_loadu_si256(words.as_ptr().cast()), _mm256_loadu_si256(words.as_ptr().add(4).cast())] }
    }

    #[inline(always)]
    fn words(self, mask: Self::Mask) -> [u64; 8] {
        let mut out = [0; 8];
        // SAFETY: 64 bytes behind the reference.
        unsafe {
            _mm256_storeu_si256(out.as_mut_ptr().cast(), mask[0]);
            _mm256_storeu_si256(out.as_mut_ptr().add(4).cast(), mask[1]);
        }
        out
    }

    #[inline(always)]
    fn splat(self, word: u64) -> Self::Mask {
        // SAFETY: see above.
        unsafe { [_mm256_set1_epi64x(word as i64); 2] }
    }

    // AVX2 does not multiply 64-bit words.
    #[inline(always)]
    fn row(self, hash: Self::Mask, multiplier: Self::Mask, rows: Self::Mask) -> Self::Mask {
        self.pack(&Scalar.row(self.words(hash), self.words(multiplier), self.words(rows)))
    }

    #[inline(always)]
    fn times(self, a: Self::Mask, b: Self::Mask) -> Self::Mask {
        self.pack(&Scalar.times(self.words(a), self.words(b)))
    }

    #[inline(always)]
    fn and(self, a: Self::Mask, b: Self::Mask) -> Self::Mask {
        // SAFETY: see above.
        unsafe { [_mm256_and_si256(a[0], b[0]), _mm256_and_si256(a[1], b[1])] }
    }

    #[inline(always)]
    fn or(self, a: Self::Mask, b: Self::Mask) -> Self::Mask {
        // SAFETY: see above.
        unsafe { [_mm256_or_si256(a[0], b[0]), _mm256_or_si256(a[1], b[1])] }
    }

    #[inline(always)]
    fn xor(self, a: Self::Mask, b: Self::Mask) -> Self::Mask {
        // SAFETY: see above.
        unsafe { [_mm256_xor_si256(a[0], b[0]), _mm256_xor_si256(a[1], b[1])] }
    }

    #[inline(always)]
    fn without(self, a: Self::Mask, b: Self::Mask) -> Self::Mask {
        // SAFETY: see above.
        unsafe { [_mm256_andnot_si256(b[0], a[0]), _mm256_andnot_si256(b[1], a[1])] }
    }

    #[inline(always)]
    fn any(self, mask: Self::Mask) -> bool {
        // SAFETY: see above.
        unsafe {
            let both = _mm256_or_si256(mask[0], mask[1]);
            _mm256_testz_si256(both, both) == 0
        }
    }

    #[inline(always)]
    fn count(self, mask: Self::Mask) -> u32 {
        self.words(mask).iter().map(|w| w.count_ones()).sum()
    }

    #[inline(always)]
    fn indices(self, mask: Self::Mask, words: usize, out: &mut Indices) -> usize {
        Scalar.indices(self.words(mask), words, out)
    }

    #[inline(always)]
    fn test(self, which: u32, masks: &[Self::Mask], ids: &[u16; 32]) -> u32 {
        // The masks as a table of words of 32 bits: gathers pick the words, the wanted bit becomes the sign.
        let last = (16 * masks.len()) as i32 - 1;
        let mut out = 0;
        for i in 0..4 {
            // SAFETY: 8 ids of 2 bytes from 8 * i on; every index is at most `last`, inside the masks.
            unsafe {
                let ids = _mm256_cvtepu16_epi32(_mm_loadu_si128(ids.as_ptr().add(8 * i).cast()));
                let at = _mm256_min_epi32(_mm256_srli_epi32::<5>(ids), _mm256_set1_epi32(last));
                let words = _mm256_i32gather_epi32::<4>(masks.as_ptr().cast(), at);
                let up = _mm256_andnot_si256(ids, _mm256_set1_epi32(31)); // 31 - id % 32
                let sign = _mm256_sllv_epi32(words, up);
                out |= (_mm256_movemask_ps(_mm256_castsi256_ps(sign)) as u32) << (8 * i);
            }
        }
        out & which
    }

    #[inline(always)]
    fn test_apart(self, which: u64, mask: Self::Mask, at: &[u8; 64], bits: &[u8; 64]) -> u64 {
        let mut out = 0;
        for half in 0..2 {
            // SAFETY: 32 bytes from 32 * half on are inside 64.
            unsafe {
                let at = _mm256_loadu_si256(at.as_ptr().add(32 * half).cast());
                let bits = _mm256_loadu_si256(bits.as_ptr().add(32 * half).cast());
                let mut found = _mm256_setzero_si256();
                for i in 0..4 {
                    let of = mask[i / 2];
                    let table = if i % 2 == 0 {
                        _mm256_permute2x128_si256::<0x00>(of, of)
                    } else {
                        _mm256_permute2x128_si256::<0x11>(of, of)
                    };
                    // A byte is looked up in the 16 of its table: those of the other tables get the upper bit, so zero.
                    let inside = _mm256_sub_epi8(at, _mm256_set1_epi8(16 * i as i8));
                    let outside = _mm256_cmpgt_epi8(inside, _mm256_set1_epi8(15));
                    let near = _mm256_or_si256(inside, outside);
                    found = _mm256_or_si256(found, _mm256_shuffle_epi8(table, near));
                }
                let none = _mm256_cmpeq_epi8(_mm256_and_si256(found, bits), _mm256_setzero_si256());
                out |= u64::from(!(_mm256_movemask_epi8(none) as u32)) << (32 * half);
            }
        }
        out & which
    }

    #[inline(always)]
    fn expand(self, first: u32, which: u64, out: &mut [u32; 64]) -> usize {
        Scalar.expand(first, which, out)
    }

    #[inline(always)]
    fn prefetch(self, bytes: &[u8], at: usize) {
        // SAFETY: a prefetch of any address is harmless.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(at).cast()) };
    }
}
