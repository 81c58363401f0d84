//! Asking memory for what is needed next.
#![allow(unsafe_code)]

/// Bytes of a cache line.
const LINE: usize = 64;

/// Asks for all lines of `numbers`, which then come to the second cache while other work goes on.
#[inline(always)]
pub fn prefetch<T>(numbers: &[T]) {
    ask::<T, false>(numbers);
}

/// The same for few, needed soon: they come to the first cache.
#[inline(always)]
pub fn prefetch_near<T>(numbers: &[T]) {
    ask::<T, true>(numbers);
}

#[inline(always)]
fn ask<T, const NEAR: bool>(numbers: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        let begin = numbers.as_ptr().cast::<i8>();
        for at in (0..size_of_val(numbers)).step_by(LINE) {
            // SAFETY: the address lies within `numbers`, and a prefetch changes nothing that a program can see.
            unsafe {
                if NEAR {
                    _mm_prefetch::<_MM_HINT_T0>(begin.add(at));
                } else {
                    _mm_prefetch::<_MM_HINT_T1>(begin.add(at));
                }
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (numbers, LINE);
}
