//! Canonical k-mers, two bits a letter.

use thrifty_base::hash::{mix64, mix128};
use thrifty_base::simd;

use crate::simd::{Kernel, Simd, dispatch};

/// Longest k-mer: two bits a letter in 128 bits.
pub const MAX_K: u32 = 63;

const OTHER: u8 = 4;
const LINE_END: u8 = 5;

/// Letter -> 0..3, `OTHER`, or `LINE_END` for the bytes that only break lines.
const CODE: [u8; 256] = {
    let mut table = [OTHER; 256];
    let letters = [b"Aa", b"Cc", b"Gg", b"Tt"];
    let mut code = 0;
    while code < 4 {
        table[letters[code][0] as usize] = code as u8;
        table[letters[code][1] as usize] = code as u8;
        code += 1;
    }
    table[b'\n' as usize] = LINE_END;
    table[b'\r' as usize] = LINE_END;
    table
};

/// Appends the hash of each canonical k-mer of `sequence` in order and returns the number of windows that were
/// skipped because they hold a letter other than A, C, G, T (either case).
///
/// A k-mer and its reverse complement are one item: the smaller of the two codes. Line ends are no letters.
/// Up to k = 32 the hash is a bijection of the code, so two k-mers never share one.
pub fn hashes(sequence: &[u8], k: u32, out: &mut Vec<u64>) -> u64 {
    let first = out.len();
    let letters = if k <= 32 { short(sequence, k, out) } else { long(sequence, k, out) };
    let windows = (letters + 1).saturating_sub(u64::from(k));
    windows - (out.len() - first) as u64
}

fn short(sequence: &[u8], k: u32, out: &mut Vec<u64>) -> u64 {
    let mask = u64::MAX >> (64 - 2 * k);
    let top = 2 * (k - 1);
    // Letters of the present run so far, its last codes forward (older ones above the mask) and reversed.
    let (mut run, mut forward, mut reverse) = (0u32, 0u64, 0u64);
    let mut line_ends = 0u64;
    let first = out.len();
    out.reserve(sequence.len());
    let mut codes = [0u64; 512];
    for piece in sequence.chunks(codes.len()) {
        let mut n = 0;
        for &letter in piece {
            let code = CODE[letter as usize];
            if code >= OTHER {
                run = if code == OTHER { 0 } else { run };
                line_ends += u64::from(code == LINE_END);
                continue;
            }
            forward = forward << 2 | u64::from(code);
            reverse = reverse >> 2 | u64::from(3 - code) << top;
            run += 1;
            if run >= k {
                run = k; // no overflow, however long the sequence
                codes[n] = (forward & mask).min(reverse);
                n += 1;
            }
        }
        out.extend_from_slice(&codes[..n]);
    }
    // A path that is refused fails elsewhere, with an error; here all paths give the same.
    dispatch(simd::path().unwrap_or(simd::Path::Scalar), Mix(&mut out[first..]));
    sequence.len() as u64 - line_ends
}

/// Codes become hashes.
struct Mix<'a>(&'a mut [u64]);

impl Kernel for Mix<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for code in self.0 {
            *code = mix64(*code);
        }
    }
}

fn long(sequence: &[u8], k: u32, out: &mut Vec<u64>) -> u64 {
    let mask = u128::MAX >> (128 - 2 * k);
    let top = 2 * (k - 1);
    let (mut forward, mut reverse, mut run) = (0u128, 0u128, 0u32);
    let mut line_ends = 0u64;
    out.reserve(sequence.len());
    for &letter in sequence {
        let code = CODE[letter as usize];
        if code < OTHER {
            forward = (forward << 2 | u128::from(code)) & mask;
            reverse = reverse >> 2 | u128::from(3 - code) << top;
            run += 1;
            if run >= k {
                run = k;
                out.push(mix128(forward.min(reverse)));
            }
        } else if code == OTHER {
            run = 0;
        } else {
            line_ends += 1;
        }
    }
    sequence.len() as u64 - line_ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The slow twin: every window spelled out, reverse complement by table, codes by arithmetic.
    fn twin(sequence: &[u8], k: usize) -> (Vec<u64>, u64) {
        let letters: Vec<u8> = sequence.iter().filter(|b| !b"\r\n".contains(b)).map(u8::to_ascii_uppercase).collect();
        let (mut hashes, mut skipped) = (Vec::new(), 0);
        for window in letters.windows(k) {
            if window.iter().any(|b| !b"ACGT".contains(b)) {
                skipped += 1;
                continue;
            }
            let code = |word: &mut dyn Iterator<Item = u8>| {
                word.fold(0u128, |c, b| c << 2 | b"ACGT".iter().position(|&x| x == b).unwrap() as u128)
            };
            let complement = |b: u8| b"TGCA"[b"ACGT".iter().position(|&x| x == b).unwrap()];
            let least = code(&mut window.iter().copied()).min(code(&mut window.iter().rev().map(|&b| complement(b))));
            hashes.push(if k <= 32 { mix64(least as u64) } else { mix128(least) });
        }
        (hashes, skipped)
    }

    proptest! {
        #[test]
        fn equals_the_twin(s in "[ACGTacgtNnRU\r\n-]{0,200}", k in 1u32..=MAX_K) {
            let mut out = Vec::new();
            let skipped = hashes(s.as_bytes(), k, &mut out);
            prop_assert_eq!((out, skipped), twin(s.as_bytes(), k as usize));
        }

        #[test]
        fn strand_does_not_matter(s in "[ACGT]{0,150}", k in 1u32..=MAX_K) {
            let other: Vec<u8> = s.bytes().rev()
                .map(|b| b"TGCA"[b"ACGT".iter().position(|&x| x == b).unwrap()]).collect();
            let (mut a, mut b) = (Vec::new(), Vec::new());
            hashes(s.as_bytes(), k, &mut a);
            hashes(&other, k, &mut b);
            b.reverse();
            prop_assert_eq!(a, b);
        }
    }
}
