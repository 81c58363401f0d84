//! AVX-512 (Ice Lake, Zen 4 and later).
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use thrifty_base::simd::Path;

use super::{Indices, Kernel, OVERREAD, Simd};

/// Exists only where the instructions do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(crate) fn new() -> Option<Self> {
        Path::Avx512.is_usable().then_some(Self(()))
    }

    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Out {
        #[target_feature(
            enable = "avx2,bmi1,bmi2,popcnt,lzcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512ifma,avx512vbmi,avx512vbmi2,avx512vpopcntdq"
        )]
        fn with_features<K: Kernel>(token: Avx512, kernel: K) -> K::Out {
            kernel.run(token)
        }
        // SAFETY: `self` was made by `new`, which saw all these features on this machine.
        unsafe { with_features(self, kernel) }
    }
}

/// The bytes 0 to 63.
#[inline(always)]
fn counting() -> __m512i {
    let bytes: [u8; 64] = std::array::from_fn(|i| i as u8);
    // SAFETY: 64 bytes behind the reference; callers hold a token.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

// SAFETY of every block below: the token proves that the instructions exist; pointers come from references or from
// slices whose length was checked on the line before.
impl Simd for Avx512 {
    type Mask = __m512i;

    #[inline(always)]
    fn zero(self) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    fn low(self, bits: usize) -> __m512i {
        self.pack(&super::Scalar.low(bits))
    }

    #[inline(always)]
    fn load<const WIDTH: usize>(self, bytes: &[u8], bit: usize) -> __m512i {
        let (at, shift) = (bit / 8, bit % 8);
        let p = bytes[at..at + 72].as_ptr();
        // SAFETY: 72 bytes from `p` on are inside the slice, and no load goes beyond them.
        unsafe {
            let right = _mm_cvtsi32_si128(shift as i32);
            let left = _mm_cvtsi32_si128(64 - shift as i32);
            match WIDTH {
                8 => {
                    let word = p.cast::<u64>().read_unaligned() >> shift;
                    _mm512_zextsi128_si512(_mm_cvtsi64_si128(word as i64))
                }
                16 => {
                    let low = _mm_loadu_si128(p.cast());
                    let high = _mm_srli_si128::<8>(low);
                    let bits = _mm_or_si128(_mm_srl_epi64(low, right), _mm_sll_epi64(high, left));
                    _mm512_zextsi128_si512(bits)
                }
                32 => {
                    let low = _mm256_loadu_si256(p.cast());
                    if shift == 0 {
                        return _mm512_zextsi256_si512(low);
                    }
                    let high = _mm256_maskz_permutexvar_epi64(0b0111, _mm256_set_epi64x(0, 3, 2, 1), low);
                    let bits = _mm256_or_si256(_mm256_srl_epi64(low, right), _mm256_sll_epi64(high, left));
                    _mm512_zextsi256_si512(bits)
                }
                _ => {
                    let low = _mm512_loadu_si512(p.cast());
                    if shift == 0 {
                        return low;
                    }
                    let high = _mm512_loadu_si512(p.add(8).cast());
                    _mm512_or_si512(_mm512_srl_epi64(low, right), _mm512_sll_epi64(high, left))
                }
            }
        }
    }

    #[inline(always)]
    fn load_bytes<const WIDTH: usize>(self, bytes: &[u8], at: usize) -> __m512i {
        assert!(at < bytes.len().saturating_sub(OVERREAD - 1), "a row begins at byte {at} of {}", bytes.len());
        // SAFETY: 72 bytes from `p` on are inside the slice, and no load goes beyond them.
        unsafe {
            let p = bytes.as_ptr().add(at);
            match WIDTH {
                8 => _mm512_zextsi128_si512(_mm_loadl_epi64(p.cast())),
                16 => _mm512_zextsi128_si512(_mm_loadu_si128(p.cast())),
                32 => _mm512_zextsi256_si512(_mm256_loadu_si256(p.cast())),
                _ => _mm512_loadu_si512(p.cast()),
            }
        }
    }

    #[inline(always)]
    fn pack(self, words: &[u64; 8]) -> __m512i {
        // SAFETY: 64 bytes behind the reference.
        unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
    }

    #[inline(always)]
    fn words(self, mask: __m512i) -> [u64; 8] {
        let mut out = [0; 8];
        // SAFETY: 64 bytes behind the reference.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), mask) };
        out
    }

    #[inline(always)]
    fn splat(self, word: u64) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_set1_epi64(word as i64) }
    }

    #[inline(always)]
    fn row(self, hash: __m512i, multiplier: __m512i, rows: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe {
            let upper = _mm512_srli_epi64::<12>(_mm512_mullo_epi64(hash, multiplier));
            _mm512_madd52hi_epu64(_mm512_setzero_si512(), upper, rows)
        }
    }

    #[inline(always)]
    fn times(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_mullo_epi64(a, b) }
    }

    #[inline(always)]
    fn and(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_and_si512(a, b) }
    }

    #[inline(always)]
    fn or(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_or_si512(a, b) }
    }

    #[inline(always)]
    fn xor(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_xor_si512(a, b) }
    }

    #[inline(always)]
    fn without(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_andnot_si512(b, a) }
    }

    #[inline(always)]
    fn any(self, mask: __m512i) -> bool {
        // SAFETY: see above.
        unsafe { _mm512_test_epi64_mask(mask, mask) != 0 }
    }

    #[inline(always)]
    fn count(self, mask: __m512i) -> u32 {
        // SAFETY: see above.
        unsafe { _mm512_reduce_add_epi64(_mm512_popcnt_epi64(mask)) as u32 }
    }

    #[inline(always)]
    fn indices(self, mask: __m512i, words: usize, out: &mut Indices) -> usize {
        // 64 bits at a time without a branch on the bits: the numbers 0 to 63 are compressed by the word.
        let bits = self.words(mask);
        let mut n = 0;
        // SAFETY: `n` is at most 512 before a store of 32 numbers, and `out` holds 544.
        unsafe {
            let numbers = counting();
            for (i, &word) in bits.iter().take(words).enumerate() {
                let base = _mm512_set1_epi16(64 * i as i16);
                let bytes = _mm512_maskz_compress_epi8(word, numbers);
                let low = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(bytes));
                _mm512_storeu_si512(out.as_mut_ptr().add(n).cast(), _mm512_add_epi16(low, base));
                let count = word.count_ones() as usize;
                if count > 32 {
                    let high = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64::<1>(bytes));
                    _mm512_storeu_si512(out.as_mut_ptr().add(n + 32).cast(), _mm512_add_epi16(high, base));
                }
                n += count;
            }
        }
        n
    }

    #[inline(always)]
    fn test(self, which: u32, masks: &[__m512i], ids: &[u16; 32]) -> u32 {
        // Masks are tables of 32 words of 16 bits: the upper bits of an id pick the word, its low four the bit.
        // SAFETY: 64 bytes behind the reference.
        unsafe {
            let ids = _mm512_loadu_si512(ids.as_ptr().cast());
            let at = _mm512_srli_epi16(ids, 4);
            let bit = _mm512_sllv_epi16(_mm512_set1_epi16(1), _mm512_and_si512(ids, _mm512_set1_epi16(15)));
            match *masks {
                [only] => _mm512_mask_test_epi16_mask(which, _mm512_permutexvar_epi16(at, only), bit),
                [low, high] => _mm512_mask_test_epi16_mask(which, _mm512_permutex2var_epi16(low, at, high), bit),
                _ => {
                    let pair_of = _mm512_srli_epi16(ids, 10);
                    let mut out = 0;
                    for (i, pair) in masks.chunks(2).enumerate() {
                        let words = _mm512_permutex2var_epi16(pair[0], at, pair[pair.len() - 1]);
                        let here = _mm512_mask_cmpeq_epi16_mask(which, pair_of, _mm512_set1_epi16(i as i16));
                        out |= _mm512_mask_test_epi16_mask(here, words, bit);
                    }
                    out
                }
            }
        }
    }

    #[inline(always)]
    fn test_apart(self, which: u64, mask: __m512i, at: &[u8; 64], bits: &[u8; 64]) -> u64 {
        // SAFETY: 64 bytes behind each reference.
        unsafe {
            let at = _mm512_loadu_si512(at.as_ptr().cast());
            let bits = _mm512_loadu_si512(bits.as_ptr().cast());
            _mm512_mask_test_epi8_mask(which, _mm512_permutexvar_epi8(at, mask), bits)
        }
    }

    #[inline(always)]
    fn expand(self, first: u32, which: u64, out: &mut [u32; 64]) -> usize {
        // Compressed in a register and stored whole: compressing stores are slow on Zen 4. How many stores there are is
        // told by how far the bits reach first, since that hardly changes from one call to the next.
        // SAFETY: `out` holds 256 bytes.
        unsafe {
            let numbers = _mm512_maskz_compress_epi8(which, counting());
            let first = _mm512_set1_epi32(first as i32);
            let p = out.as_mut_ptr();
            let n = which.count_ones() as usize;
            if which >> 32 == 0 && n <= 8 {
                let few = _mm256_cvtepu8_epi32(_mm512_castsi512_si128(numbers));
                _mm256_storeu_si256(p.cast(), _mm256_add_epi32(few, _mm512_castsi512_si256(first)));
                return n;
            }
            let lowest = _mm512_cvtepu8_epi32(_mm512_castsi512_si128(numbers));
            _mm512_storeu_si512(p.cast(), _mm512_add_epi32(lowest, first));
            let low = _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32::<1>(numbers));
            _mm512_storeu_si512(p.add(16).cast(), _mm512_add_epi32(low, first));
            if n > 32 {
                let high = _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32::<2>(numbers));
                let highest = _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32::<3>(numbers));
                _mm512_storeu_si512(p.add(32).cast(), _mm512_add_epi32(high, first));
                _mm512_storeu_si512(p.add(48).cast(), _mm512_add_epi32(highest, first));
            }
            n
        }
    }

    #[inline(always)]
    fn prefetch(self, bytes: &[u8], at: usize) {
        // SAFETY: a prefetch of any address is harmless.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(at).cast()) };
    }
}
