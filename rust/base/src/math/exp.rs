//! e^x of vectors.

use pulp::Simd;

/// e^x of each lane for x <= 0 (what a softmax takes), 0 below -87: relative error under 2e-7.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; a polynomial for e^r (coefficients of its Taylor series), n goes to the exponent.
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::f32s) -> S::f32s {
    let [x] = exps(s, [x]);
    x
}

/// [`exp`] of several vectors, step by step: while one waits for its last step, others take theirs. Two take a third
/// less time together than one after the other; more need more registers than AVX2 has.
#[inline(always)]
pub fn exps<S: Simd, const N: usize>(s: S, mut x: [S::f32s; N]) -> [S::f32s; N] {
    let low = s.splat_f32s(-87.0);
    let (mut tiny, mut shifted, mut p) = ([s.less_than_f32s(low, low); N], x, x);
    for i in 0..N {
        tiny[i] = s.less_than_f32s(x[i], low);
        x[i] = s.max_f32s(x[i], low);
    }
    // Adding 1.5 * 2^23 rounds to a whole number, which then stands in the low bits.
    let magic = s.splat_f32s(12_582_912.0);
    for i in 0..N {
        shifted[i] = s.mul_add_f32s(x[i], s.splat_f32s(std::f32::consts::LOG2_E), magic);
    }
    for i in 0..N {
        let n = s.sub_f32s(shifted[i], magic);
        x[i] = s.mul_add_f32s(n, s.splat_f32s(-0.693_359_4), x[i]);
        x[i] = s.mul_add_f32s(n, s.splat_f32s(2.121_944_4e-4), x[i]);
        p[i] = s.splat_f32s(1.0 / 5040.0);
    }
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        for i in 0..N {
            p[i] = s.mul_add_f32s(p[i], x[i], s.splat_f32s(coefficient));
        }
    }
    for i in 0..N {
        let exponent = s.wrapping_dyn_shl_u32s(s.transmute_u32s_f32s(shifted[i]), s.splat_u32s(23));
        let scaled = s.transmute_f32s_u32s(s.add_u32s(s.transmute_u32s_f32s(p[i]), exponent));
        p[i] = s.select_f32s(tiny[i], s.splat_f32s(0.0), scaled);
    }
    p
}

#[cfg(test)]
mod tests {
    use pulp::WithSimd;

    use super::*;
    use crate::math::dispatch;
    use crate::simd::Path;

    struct All<'a>(&'a mut [f32]);

    impl WithSimd for All<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, s: S) {
            for x in S::as_mut_simd_f32s(self.0).0 {
                *x = exp(s, *x);
            }
        }
    }

    #[test]
    fn close_to_the_libraries_and_equal_on_all_paths() {
        let x: Vec<f32> = (0..160_000).map(|i| -0.000_6 * i as f32).collect();
        let mut first: Option<Vec<f32>> = None;
        for path in Path::usable() {
            let mut y = x.clone();
            dispatch(path, All(&mut y));
            for (&x, &y) in x.iter().zip(&y) {
                let exact = f64::from(x).exp();
                if x > -87.0 {
                    assert!((f64::from(y) / exact - 1.0).abs() < 2e-7, "{x}: {y} {exact}");
                } else {
                    assert!(y <= 1e-37);
                }
            }
            assert!(first.get_or_insert_with(|| y.clone()).iter().zip(&y).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
    }
}
