use proptest::prelude::*;

use super::*;
use thrifty_base::hash::mix64;

fn numbers(seed: u64, n: usize) -> Vec<f32> {
    (0..n).map(|i| (mix64(seed ^ mix64(i as u64)) % 100_000) as f32 / 2_500.0 - 20.0).collect()
}

proptest! {
    /// Against double precision, and the same bits on every path, over ends of blocks and chunks.
    #[test]
    fn rows(
        seed in 0u64..1000, n in prop_oneof![1usize..70, 4090usize..4100, 8190usize..9000], scale in 0.1f32..3.0,
    ) {
        let x = numbers(seed, n);
        let half: Vec<u16> = x.iter().map(|x| (x.to_bits() >> 16) as u16).collect();
        let wide: Vec<f32> = half.iter().map(|&x| x.wide()).collect();
        let mut first = None;
        for path in Path::usable() {
            let (most, sum) = exponentials(path, &x, scale);
            let exact = x.iter().map(|&x| (f64::from(scale) * f64::from(x - most)).exp()).sum::<f64>();
            prop_assert_eq!(most, x.iter().copied().fold(f32::MIN, f32::max));
            // The difference is rounded to f32 before it is scaled and exponentiated.
            prop_assert!((sum / exact - 1.0).abs() < 1e-5, "{} {}", sum, exact);
            let high = ceiling(path, &x, scale);
            prop_assert_eq!(high.0, most);
            prop_assert!(high.1 > 0.9999 * exact && high.1 < 1.062 * exact, "{} {}", high.1, exact);
            prop_assert_eq!(best(path, &x), x.iter().position(|&x| x == most).map(|i| (most, i)));
            let of = Of::Scores { shift: most, scale, times: (1.0 / sum) as f32 };
            let (mut p, mut left) = (vec![0.0; n], vec![0.0; n]);
            write(path, &x, of, 0.75, &mut p);
            for (p, &x) in p.iter().zip(&x) {
                let exact = 0.75 * (f64::from(scale) * f64::from(x - most)).exp() / exact;
                prop_assert!((f64::from(*p) - exact).abs() < 1e-5 * exact + 1e-35);
            }
            write(path, &half, of, 1.0, &mut left);
            let mut same = vec![0.0; n];
            write(path, &wide, of, 1.0, &mut same);
            prop_assert_eq!(&left, &same);
            take(path, &x, of, &mut left);
            for i in 0..n {
                let exact = (same[i] - p[i] / 0.75).max(0.0);
                prop_assert!((left[i] - exact).abs() < 1e-6);
            }
            let (kept, least) = mass(path, &left);
            prop_assert!((kept - left.iter().map(|&x| f64::from(x)).sum::<f64>()).abs() < 1e-6 && least == 0.0);
            prop_assert_eq!(mass(path, &x).1, x.iter().copied().fold(0.0, f32::min));
            prop_assert_eq!(surplus(path, (&half[..], of), 1.0, (&x[..], of)).to_bits(), kept.to_bits());
            let bits: Vec<u32> = p.iter().chain(&left).map(|x| x.to_bits()).collect();
            let all = (sum.to_bits(), high.1.to_bits(), kept.to_bits(), bits);
            prop_assert_eq!(first.get_or_insert_with(|| all.clone()), &all);
        }
    }
}

proptest! {
    /// Of any bits: below 0, both zeros, infinite, none.
    #[test]
    fn the_largest_of_narrow_numbers(
        seed in any::<u64>(), n in prop_oneof![0usize..200, 4090usize..4200], kind in 0..6,
    ) {
        let x: Vec<u16> = (0..n as u64).map(|i| mix64(seed ^ mix64(i)) as u16).map(|x| match kind {
            0 => x,
            1 => x | 0x8000,
            2 => x & 0x80FF | 0x7F00,
            3 => x & 0xBFFF | 0x8000,
            4 => x & 0x8000,
            _ => x & 0xBFFF,
        }).collect();
        let wide: Vec<f32> = x.iter().map(|&x| x.wide()).collect();
        for path in Path::usable() {
            let (of, same) = (best(path, &x), best(path, &wide));
            prop_assert_eq!(of, same);
            let none = wide.iter().any(|x| x.is_nan());
            let most = wide.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let first = wide.iter().position(|&x| x == most && most > f32::NEG_INFINITY);
            prop_assert_eq!(of, first.filter(|_| !none).map(|i| (most, i)));
            let (of, same) = (exponentials(path, &x, 0.7), exponentials(path, &wide, 0.7));
            prop_assert!(of.0 == same.0 || of.0.is_nan() && same.0.is_nan());
            prop_assert_eq!(of.1.to_bits(), same.1.to_bits());
        }
    }
}

#[test]
fn what_is_no_number_is_found() {
    let inf = f32::INFINITY;
    for path in Path::usable() {
        for n in [1, 15, 16, 40, 4097] {
            for at in [0, n / 2, n - 1] {
                let mut x = vec![0.5f32; n];
                x[at] = f32::NAN;
                assert!(exponentials(path, &x, 1.0).0.is_nan() && best(path, &x).is_none());
                assert!(ceiling(path, &x, 1.0).0.is_nan());
                assert!(mass(path, &x).0.is_nan());
                let mut out = vec![1.0; n];
                let of = Of::Told { shift: 1.0, scale: 1.0 };
                take(path, &x, of, &mut out);
                assert!(mass(path, &out).0.is_nan());
                x[at] = inf;
                assert_eq!(exponentials(path, &x, 1.0).0, inf);
            }
            assert_eq!(exponentials(path, &vec![-inf; n], 1.0), (-inf, 0.0));
            assert_eq!(best(path, &vec![-inf; n]), None);
        }
        // All of the first chunk is masked.
        let mut x = vec![-inf; 5000];
        (x[4500], x[4600]) = (2.0, 2.0);
        assert_eq!((exponentials(path, &x, 0.5), best(path, &x)), ((2.0, 2.0), Some((2.0, 4500))));
    }
}
