//! ln of a sum of e^x.

use pulp::{Simd, WithSimd};

use super::{LANES, dispatch, exp};
use crate::simd::Path;

/// ln(sum of e^x) to 3e-7 and the rounding of the result; -infinity for no elements, NaN where one is.
///
/// The largest element m is taken out first, so nothing overflows: m + ln(sum of e^(x - m)). Sums are compensated
/// (Kahan 1965), so that the error does not grow with the length.
pub fn log_sum_exp(path: Path, x: &[f32]) -> f32 {
    dispatch(path, LogSumExp(x))
}

struct LogSumExp<'a>(&'a [f32]);

impl WithSimd for LogSumExp<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> f32 {
        let (blocks, rest) = self.0.as_chunks::<LANES>();
        let mut last = [f32::NEG_INFINITY; LANES];
        last[..rest.len()].copy_from_slice(rest);
        let blocks = || blocks.iter().chain((!rest.is_empty()).then_some(&last));

        let mut largest = [f32::NEG_INFINITY; LANES];
        for block in blocks() {
            for (most, &x) in S::as_mut_simd_f32s(&mut largest).0.iter_mut().zip(S::as_simd_f32s(block).0) {
                let more = s.select_f32s(s.greater_than_f32s(x, *most), x, *most);
                // A NaN is not equal to itself and stays: nothing is greater than it.
                *most = s.select_f32s(s.equal_f32s(x, x), more, x);
            }
        }
        let Some(most) = largest.into_iter().reduce(|a, b| if a > b || a.is_nan() { a } else { b }) else {
            return f32::NEG_INFINITY;
        };
        if !most.is_finite() {
            return most;
        }

        let (mut sums, mut lost) = ([0.0f32; LANES], [0.0f32; LANES]);
        let m = s.splat_f32s(most);
        for block in blocks() {
            let sums = S::as_mut_simd_f32s(&mut sums).0.iter_mut();
            let lost = S::as_mut_simd_f32s(&mut lost).0.iter_mut();
            for ((sum, lost), &x) in sums.zip(lost).zip(S::as_simd_f32s(block).0) {
                let term = s.sub_f32s(exp(s, s.sub_f32s(x, m)), *lost);
                let next = s.add_f32s(*sum, term);
                *lost = s.sub_f32s(s.sub_f32s(next, *sum), term);
                *sum = next;
            }
        }
        let sum: f64 = sums.iter().zip(lost).map(|(&sum, lost)| f64::from(sum) - f64::from(lost)).sum();
        (f64::from(most) + sum.ln()) as f32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::math::gemm::numbers;

    fn exact(x: &[f32]) -> f64 {
        let most = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        f64::from(most) + x.iter().map(|&x| (f64::from(x) - f64::from(most)).exp()).sum::<f64>().ln()
    }

    proptest! {
        #[test]
        fn against_doubles(n in 1usize..700, scale in 0.0f32..200.0, shift in -1e4f32..1e4, seed in 0u64..1000) {
            let x: Vec<f32> = numbers(seed, n).iter().map(|x| scale * x + shift).collect();
            let mut first = None;
            for path in Path::usable() {
                let got = log_sum_exp(path, &x);
                let error = (f64::from(got) - exact(&x)).abs();
                prop_assert!(error <= 3e-7 + f64::from(got.abs()) * 2f64.powi(-24), "{got} {error}");
                prop_assert_eq!(first.get_or_insert(got.to_bits()), &got.to_bits());
            }
        }
    }

    /// The error does not grow with the length.
    #[test]
    fn long() {
        let x = numbers(1, 2_000_003);
        for path in Path::usable() {
            let got = log_sum_exp(path, &x);
            assert!((f64::from(got) - exact(&x)).abs() <= 3e-7 + f64::from(got) * 2f64.powi(-24), "{got}");
        }
    }

    #[test]
    fn infinities_and_nan() {
        let inf = f32::INFINITY;
        for path in Path::usable() {
            assert_eq!(log_sum_exp(path, &[]), -inf);
            assert_eq!(log_sum_exp(path, &[-inf; 40]), -inf);
            assert_eq!(log_sum_exp(path, &[-inf, 3.0, -inf]), 3.0);
            assert_eq!(log_sum_exp(path, &[inf, 3.0, -inf]), inf);
            for at in [0, 5, 17, 39] {
                let mut x = vec![1.0; 40];
                x[at] = f32::NAN;
                x[(at + 16) % 40] = inf;
                assert!(log_sum_exp(path, &x).is_nan());
            }
        }
    }
}
