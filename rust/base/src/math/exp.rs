//! e^x of vectors.

use pulp::Simd;

/// e^x of each lane for x <= 0 (what a softmax takes), 0 below -87: relative error under 2e-7.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; a polynomial for e^r (coefficients of its Taylor series), n goes to the exponent.
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::f32s) -> S::f32s {
    let of = |value: f32| s.splat_f32s(value);
    let low = of(-87.0);
    let tiny = s.less_than_f32s(x, low);
    let x = s.max_f32s(x, low);
    // Adding 1.5 * 2^23 rounds to a whole number, which then stands in the low bits.
    let magic = of(12_582_912.0);
    let shifted = s.mul_add_f32s(x, of(std::f32::consts::LOG2_E), magic);
    let n = s.sub_f32s(shifted, magic);
    let r = s.mul_add_f32s(n, of(-0.693_359_4), x);
    let r = s.mul_add_f32s(n, of(2.121_944_4e-4), r);
    let mut p = of(1.0 / 5040.0);
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = s.mul_add_f32s(p, r, of(coefficient));
    }
    let exponent = s.wrapping_dyn_shl_u32s(s.transmute_u32s_f32s(shifted), s.splat_u32s(23));
    let scaled = s.transmute_f32s_u32s(s.add_u32s(s.transmute_u32s_f32s(p), exponent));
    s.select_f32s(tiny, of(0.0), scaled)
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
