//! Stores that go past the caches: of results too large to stay there, which need not be read before they are written.
#![allow(unsafe_code)]

use bytemuck::Pod;

/// Bytes of a result from which on its stores go past the caches: more than a core has of its own.
pub const LARGE: usize = 1 << 22;

/// Copies a block past the caches, where it is of whole vectors of 16 bytes that lie at multiples of them.
///
/// Behind the last one comes [`finish`], before another thread is told of them.
#[inline(always)]
pub fn store<T: Pod, const N: usize>(block: &[T; N], out: &mut [T; N]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
        const BYTES: usize = size_of::<__m128i>();
        if out.as_ptr().addr().is_multiple_of(BYTES) && size_of_val(out).is_multiple_of(BYTES) {
            let (from, to) = (block.as_ptr().cast::<__m128i>(), out.as_mut_ptr().cast::<__m128i>());
            for i in 0..size_of_val(out) / BYTES {
                // SAFETY: both lie within the blocks, `to` at a multiple of 16 bytes; any bytes are a `T`.
                unsafe { _mm_stream_si128(to.add(i), _mm_loadu_si128(from.add(i))) };
            }
            return;
        }
    }
    *out = *block;
}

/// Orders earlier stores past the caches before all that follow.
#[inline(always)]
pub fn finish() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a fence; all x86-64 processors have it.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_copied_wherever_they_lie() {
        let block: [f32; 16] = std::array::from_fn(|i| i as f32);
        for shift in 0..4 {
            let mut out = [-1.0f32; 24];
            let place: &mut [f32; 16] = (&mut out[shift..shift + 16]).try_into().unwrap();
            store(&block, place);
            finish();
            assert_eq!(out[shift..shift + 16], block);
            assert!(out[..shift].iter().chain(&out[shift + 16..]).all(|&x| x == -1.0));
        }
        let mut odd = [0u8; 5];
        store(&[1, 2, 3, 4, 5], &mut odd);
        assert_eq!(odd, [1, 2, 3, 4, 5]);
    }
}
