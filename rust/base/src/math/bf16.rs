//! bf16, the upper half of an f32, as `u16`.

use pulp::{Simd, WithSimd};

use super::dispatch;
use crate::philox::Philox;
use crate::simd::Path;

/// The f32 that each bf16 is.
pub fn widen(path: Path, x: &[u16], out: &mut [f32]) {
    assert!(x.len() == out.len());
    dispatch(path, Widen { x, out });
}

/// The nearest bf16, of two equally near ones the even one; a NaN stays one.
pub fn narrow(path: Path, x: &[f32], out: &mut [u16]) {
    assert!(x.len() == out.len());
    dispatch(path, Narrow { x, out });
}

/// One of the two nearest bf16 at random, so that the mean is `x`: the farther, the less often. A NaN stays one.
///
/// Element i is rounded with the 16 random bits that `random` has for `position + i`: [`random_bits`]. What is beyond
/// the largest finite bf16 goes there or to infinity, as if that came next.
pub fn narrow_stochastic(path: Path, x: &[f32], random: Philox, position: u64, out: &mut [u16]) {
    assert!(x.len() == out.len());
    dispatch(path, NarrowStochastic { x, random, position, out });
}

/// Elements that share 16 blocks of random numbers: eight halves of words each.
const GROUP: usize = 16 * 8;

/// The 16 bits that [`narrow_stochastic`] takes at a position.
///
/// Positions come in groups of 128, served by 16 blocks of [`Philox`]: place p of a group takes block p mod 16, and of
/// the block's eight half-words number p / 16.
pub const fn random_bits(random: Philox, position: u64) -> u16 {
    let (group, within) = (position / GROUP as u64, position % GROUP as u64);
    let half = (within / 16) as usize;
    (random.words_at(group * 16 + within % 16)[half / 2] >> (16 * (half % 2))) as u16
}

#[inline(always)]
const fn stochastic(x: f32, bits: u32) -> u16 {
    let word = x.to_bits();
    if x.is_nan() { quiet(word) } else { ((word + bits) >> 16) as u16 }
}

/// The bf16 of a NaN: its upper half, and a bit that keeps it from becoming infinity.
#[inline(always)]
const fn quiet(word: u32) -> u16 {
    (word >> 16) as u16 | 0x40
}

struct Widen<'a> {
    x: &'a [u16],
    out: &'a mut [f32],
}

impl WithSimd for Widen<'_> {
    type Output = ();

    // Plain loops: the compiler makes vectors of them with the instructions of the path.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (out, &x) in self.out.iter_mut().zip(self.x) {
            *out = f32::from_bits(u32::from(x) << 16);
        }
    }
}

struct Narrow<'a> {
    x: &'a [f32],
    out: &'a mut [u16],
}

impl WithSimd for Narrow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (out, &x) in self.out.iter_mut().zip(self.x) {
            let word = x.to_bits();
            let odd = word >> 16 & 1;
            let rounded = (word.wrapping_add(0x7FFF + odd) >> 16) as u16;
            *out = if x.is_nan() { quiet(word) } else { rounded };
        }
    }
}

struct NarrowStochastic<'a> {
    x: &'a [f32],
    random: Philox,
    position: u64,
    out: &'a mut [u16],
}

impl WithSimd for NarrowStochastic<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { x, random, position, out } = self;
        let head = (position.wrapping_neg() % GROUP as u64).min(x.len() as u64) as usize;
        let (x_head, x) = x.split_at(head);
        let (out_head, out) = out.split_at_mut(head);
        one_by_one(x_head, random, position, out_head);

        let (groups, x_tail) = x.as_chunks::<GROUP>();
        let (out_groups, out_tail) = out.as_chunks_mut::<GROUP>();
        let mut at = position.wrapping_add(head as u64);
        for (x, out) in groups.iter().zip(out_groups) {
            let mut words = [[0u32; 16]; 4];
            for block in 0..16 {
                let four = random.words_at(at / GROUP as u64 * 16 + block as u64);
                for (words, word) in words.iter_mut().zip(four) {
                    words[block] = word;
                }
            }
            let halves = x.as_chunks::<16>().0.iter().zip(out.as_chunks_mut::<16>().0);
            for (half, (x, out)) in halves.enumerate() {
                for (i, out) in out.iter_mut().enumerate() {
                    *out = stochastic(x[i], words[half / 2][i] >> (16 * (half % 2)) & 0xFFFF);
                }
            }
            at = at.wrapping_add(GROUP as u64);
        }
        one_by_one(x_tail, random, at, out_tail);
    }
}

fn one_by_one(x: &[f32], random: Philox, position: u64, out: &mut [u16]) {
    for (i, (out, &x)) in out.iter_mut().zip(x).enumerate() {
        *out = stochastic(x, u32::from(random_bits(random, position.wrapping_add(i as u64))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::mix64;

    fn as_f64(bits: u16) -> f64 {
        f64::from(f32::from_bits(u32::from(bits) << 16))
    }

    /// Awkward numbers: all around every kind of boundary, and any bits at all.
    fn numbers() -> Vec<f32> {
        let mut words = Vec::new();
        for upper in (0..=0xFFFFu32).step_by(7).chain([0x7F80, 0xFF80, 0x7F7F, 0xFF7F, 0x8000, 1, 0x80, 0x3F80, 0x3F81])
        {
            words.extend([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF].map(|lower| upper << 16 | lower));
        }
        words.extend((0..10_007).map(|i| mix64(i) as u32));
        words.into_iter().map(f32::from_bits).collect()
    }

    #[test]
    fn every_bf16_there_and_back() {
        let all: Vec<u16> = (0..=u16::MAX).collect();
        for path in Path::usable() {
            let (mut wide, mut back) = (vec![0.0; all.len()], vec![0; all.len()]);
            widen(path, &all, &mut wide);
            assert!(wide.iter().zip(&all).all(|(w, &x)| w.to_bits() == u32::from(x) << 16));
            for stochastically in [false, true] {
                if stochastically {
                    narrow_stochastic(path, &wide, Philox::new(1, 2), 3, &mut back);
                } else {
                    narrow(path, &wide, &mut back);
                }
                for ((&back, &x), wide) in back.iter().zip(&all).zip(&wide) {
                    assert_eq!(back, if wide.is_nan() { x | 0x40 } else { x });
                }
            }
        }
    }

    /// The nearest of the neighbours by distance in double precision; infinity counts as the number that would follow.
    #[test]
    fn nearest_even() {
        let x = numbers();
        for path in Path::usable() {
            for len in [0, 1, 15, 31, 33, x.len()] {
                let mut out = vec![0; len];
                narrow(path, &x[..len], &mut out);
                for (&x, &got) in x.iter().zip(&out) {
                    if x.is_nan() {
                        assert!(as_f64(got).is_nan() && (got >> 15 == 1) == x.is_sign_negative());
                        continue;
                    }
                    let toward_zero = (x.to_bits() >> 16) as u16;
                    let finite =
                        |bits: u16| if as_f64(bits).is_infinite() { 2f64.powi(128) } else { as_f64(bits).abs() };
                    let exact = if x.is_infinite() { 2f64.powi(128) } else { f64::from(x).abs() };
                    let expected = if exact == finite(toward_zero) {
                        toward_zero
                    } else {
                        let (below, above) = (exact - finite(toward_zero), finite(toward_zero + 1) - exact);
                        if below < above || (below == above && toward_zero.is_multiple_of(2)) {
                            toward_zero
                        } else {
                            toward_zero + 1
                        }
                    };
                    assert_eq!(got, expected, "{x:e}");
                }
            }
        }
    }

    /// One of the two neighbours, by the bits of the position, wherever the slice begins and on every path.
    #[test]
    fn stochastic_is_a_function_of_the_position() {
        let x = numbers();
        let random = Philox::new(5, 6);
        for path in Path::usable() {
            for (begin, len) in [(0, x.len()), (1, 300), (127, 1), (128, 128), (100, 20), (77, 1000), (0, 0)] {
                let base = u64::MAX - 1000;
                let mut out = vec![0; len];
                narrow_stochastic(path, &x[begin..begin + len], random, base.wrapping_add(begin as u64), &mut out);
                for (i, &got) in out.iter().enumerate() {
                    let x = x[begin + i];
                    let bits = u64::from(random_bits(random, base.wrapping_add((begin + i) as u64)));
                    if x.is_nan() {
                        assert!(as_f64(got).is_nan());
                    } else {
                        let (upper, lower) = (x.to_bits() >> 16, u64::from(x.to_bits() & 0xFFFF));
                        assert_eq!(u32::from(got), upper + u32::from(lower + bits >= 1 << 16));
                    }
                }
            }
        }
    }

    #[test]
    fn random_bits_differ_and_are_fair() {
        let n = 1u64 << 16;
        let mut ones = [0u32; 16];
        let mut last = 0;
        let mut equal = 0;
        for position in 0..n {
            let bits = random_bits(Philox::new(3, 4), position);
            equal += u32::from(bits == last);
            last = bits;
            for (i, ones) in ones.iter_mut().enumerate() {
                *ones += u32::from(bits >> i & 1);
            }
        }
        // 16 counts of sd 0.5 * sqrt(n) = 128: 6 sd is exceeded by chance in fewer than 1 of 10^7 runs. Equal
        // neighbours are Poisson with mean 1: more than 12 in fewer than 1 of 10^9.
        assert!(ones.iter().all(|&c| (f64::from(c) - n as f64 / 2.0).abs() < 768.0), "{ones:?}");
        assert!(equal <= 12, "{equal}");
    }

    /// The mean over n positions is x within 5 standard errors, and exact numbers stay.
    #[test]
    fn stochastic_is_unbiased() {
        let n = 40_000u32;
        let path = crate::simd::path().unwrap();
        for (stream, &x) in [1.001f32, -3.3, 1e-20, 7.0e30, 0.1, -1e-40, 1.0].iter().enumerate() {
            let mut out = vec![0; n as usize];
            narrow_stochastic(path, &vec![x; n as usize], Philox::new(9, stream as u64), 0, &mut out);
            let mean = out.iter().map(|&bits| as_f64(bits)).sum::<f64>() / f64::from(n);
            let below = (x.to_bits() >> 16) as u16;
            let share = f64::from(x.to_bits() & 0xFFFF) / 65_536.0;
            let step = (as_f64(below + 1) - as_f64(below)).abs();
            // A Bernoulli step has sd step * sqrt(share (1 - share)): 5 sd of the mean is exceeded by chance in fewer
            // than 1 of 10^6.
            let limit = 5.0 * step * (share * (1.0 - share) / f64::from(n)).sqrt();
            assert!((mean - f64::from(x)).abs() <= limit + 1e-12 * f64::from(x).abs(), "{x} {mean} {limit}");
        }
    }
}
