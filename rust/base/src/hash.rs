//! Hashing. The functions here are part of the file formats: a change of any of them is a new [`VERSION`].

pub use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed, xxh3_128_with_seed};

/// Version of the functions in this module, stored in every file that depends on them.
pub const VERSION: u32 = 1;

/// Odd 64-bit constant near 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// A bijection of 64-bit words in which every input bit reaches every output bit.
///
/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014) behind an addition, so that 0 is not a fixed point.
/// Being a bijection it never makes two different words collide.
#[inline(always)]
pub const fn mix64(word: u64) -> u64 {
    let mut z = word.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A 64-bit hash of a 128-bit word; not a bijection: two words collide with probability 2^-64.
#[inline(always)]
pub const fn mix128(word: u128) -> u64 {
    let high = mix64((word >> 64) as u64 ^ 0xD6E8_FEB8_6659_FD93);
    mix64(word as u64 ^ high)
}

/// The upper 64 bits of a product: maps a uniform `word` onto `0..n` without division.
#[inline(always)]
pub const fn reduce(word: u64, n: u64) -> u64 {
    ((word as u128 * n as u128) >> 64) as u64
}

/// [`reduce`] by the upper 52 bits of `word`, which is as much as vector instructions multiply at once.
#[inline(always)]
pub const fn reduce52(word: u64, n: u64) -> u64 {
    reduce(word & !0xFFF, n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Golden values: a change here breaks every file already written.
    #[test]
    fn values_are_fixed() {
        assert_eq!(mix64(0), 0xE220_A839_7B1D_CDAF);
        assert_eq!(mix64(1), 0x910A_2DEC_8902_5CC1);
        assert_eq!(mix128(0), mix128(0));
        assert_ne!(mix128(1), mix128(1 << 64));
        assert_eq!(xxh3_64(b""), 0x2D06_8005_38D3_94C2);
    }

    proptest! {
        /// `reduce` stays in range and keeps order, which folding of rows relies on.
        #[test]
        fn reduce_is_monotone(a: u64, b: u64, n in 1u64..) {
            prop_assert!(reduce(a, n) < n);
            if a <= b { prop_assert!(reduce(a, n) <= reduce(b, n)); }
        }

        /// Halving an even range halves the position: the rule behind `fold --rows`.
        #[test]
        fn reduce_halves(a: u64, half in 1u64..(1 << 62)) {
            prop_assert_eq!(reduce(a, half), reduce(a, 2 * half) / 2);
            prop_assert_eq!(reduce52(a, half), reduce52(a, 2 * half) / 2);
        }
    }

    /// Flipping one input bit flips each output bit about half the time.
    #[test]
    fn mix64_avalanche() {
        let mut flips = [[0u32; 64]; 64];
        let trials = 2_000;
        for t in 0..trials {
            let x = mix64(t as u64 ^ 0xABCD_EF00);
            for i in 0..64 {
                let d = mix64(x) ^ mix64(x ^ (1 << i));
                for (o, f) in flips[i].iter_mut().enumerate() {
                    *f += ((d >> o) & 1) as u32;
                }
            }
        }
        // 4096 cells, sd = 0.5/sqrt(2000) = 0.0112: 6 sd is exceeded by chance in fewer than 1 of 10^5 runs.
        for row in &flips {
            for &f in row {
                assert!((f64::from(f) / f64::from(trials) - 0.5).abs() < 0.067, "{f}");
            }
        }
    }
}
