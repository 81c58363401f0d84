//! Every operation of every path against the scalar twin.

use proptest::prelude::*;
use thrifty_base::hash::mix64;

use super::*;

struct All<'a> {
    bytes: &'a [u8],
    bit: usize,
    words: [[u64; 8]; 2],
    low: usize,
    ids: [u16; 32],
    ids64: [u16; 64],
    first: u32,
    which: u64,
}

type Outcome = (Vec<[u64; 8]>, Vec<u32>, Vec<u32>, Vec<u16>);

impl Kernel for All<'_> {
    type Out = Outcome;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Outcome {
        let (a, b) = (s.pack(&self.words[0]), s.pack(&self.words[1]));
        let mut out = [0; 64];
        let (at, bits) = (self.ids64.map(|i| (i / 8) as u8), self.ids64.map(|i| 1 << (i % 8)));
        let n = s.expand(self.first, self.which, &mut out);
        let mut numbers = [0; LANES + 32];
        let words = self.low.div_ceil(64);
        let set = s.indices(s.and(a, s.low(self.low)), words, &mut numbers);
        (
            vec![
                s.words(s.zero()),
                s.words(s.low(self.low)),
                s.words(s.load::<8>(self.bytes, self.bit)),
                s.words(s.load::<16>(self.bytes, self.bit)),
                s.words(s.load::<32>(self.bytes, self.bit)),
                s.words(s.load::<64>(self.bytes, self.bit)),
                s.words(s.load_bytes::<8>(self.bytes, self.bit / 8)),
                s.words(s.load_bytes::<16>(self.bytes, self.bit / 8)),
                s.words(s.load_bytes::<32>(self.bytes, self.bit / 8)),
                s.words(s.load_bytes::<64>(self.bytes, self.bit / 8)),
                s.words(s.splat(self.words[0][0])),
                s.words(s.row(a, b, s.splat(self.words[0][0] >> 24))),
                s.words(s.times(a, b)),
                s.words(s.and(a, b)),
                s.words(s.or(a, b)),
                s.words(s.xor(a, b)),
                s.words(s.without(a, b)),
            ],
            vec![
                u32::from(s.any(s.zero())),
                u32::from(s.any(a)),
                s.count(a),
                s.test(self.which as u32, &[a], &self.ids.map(|i| i % 512)),
                s.test(self.which as u32, &[a, b], &self.ids.map(|i| i % 1024)),
                s.test(self.which as u32, &[a, b, a, b, b], &self.ids),
                s.test_apart(self.which, a, &at, &bits) as u32,
                (s.test_apart(self.which, a, &at, &bits) >> 32) as u32,
                n as u32,
            ],
            out[..n].to_vec(),
            numbers[..set].to_vec(),
        )
    }
}

proptest! {
    #[test]
    fn paths_agree(seed: u64, bit in 0usize..800, low in 0usize..=512, which: u64, sparse: bool) {
        let r = |i: u64| mix64(seed ^ mix64(i));
        let bytes: Vec<u8> = (0..200).map(|i| r(i) as u8).collect();
        let word = |i: usize, j: usize| {
            let w = r(1000 + (8 * i + j) as u64);
            if sparse { w & r(2000 + j as u64) & r(3000 + j as u64) } else { w }
        };
        let make = || All {
            bytes: &bytes,
            bit,
            words: std::array::from_fn(|i| std::array::from_fn(|j| word(i, j))),
            low,
            ids: std::array::from_fn(|i| (r(4000 + i as u64) % 2560) as u16),
            ids64: std::array::from_fn(|i| (r(6000 + i as u64) % 512) as u16),
            first: r(5000) as u32 >> 1,
            which,
        };
        let twin = dispatch(Path::Scalar, make());
        for path in Path::usable() {
            prop_assert_eq!(&dispatch(path, make()), &twin, "{}", path.name());
        }
    }
}
