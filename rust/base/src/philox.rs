//! Philox4x32-10: random numbers that are a pure function of (seed, stream, position).
//!
//! Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). No state: every thread,
//! rank and restart draws the same number at the same position.

mod words;

pub use words::{GROUP, Words};

/// Version of the generator, stored in every file whose content depends on it.
pub const VERSION: u32 = 1;

const M0: u32 = 0xD251_1F53;
const M1: u32 = 0xCD9E_8D57;
const W0: u32 = 0x9E37_79B9;
const W1: u32 = 0xBB67_AE85;

/// The ten-round block function: four 32-bit words from a 128-bit counter and a 64-bit key.
#[inline]
pub const fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    let mut round = 0;
    while round < 10 {
        let p0 = M0 as u64 * c0 as u64;
        let p1 = M1 as u64 * c2 as u64;
        (c0, c1, c2, c3) = ((p1 >> 32) as u32 ^ c1 ^ k0, p1 as u32, (p0 >> 32) as u32 ^ c3 ^ k1, p0 as u32);
        k0 = k0.wrapping_add(W0);
        k1 = k1.wrapping_add(W1);
        round += 1;
    }
    [c0, c1, c2, c3]
}

/// Random numbers of one stream of one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Philox {
    seed: u64,
    stream: u64,
}

impl Philox {
    /// The stream `stream` of `seed`; different streams are independent.
    pub const fn new(seed: u64, stream: u64) -> Self {
        Self { seed, stream }
    }

    /// 64 random bits at `position`.
    #[inline]
    pub const fn u64_at(self, position: u64) -> u64 {
        let [a, b, _, _] = self.words_at(position);
        a as u64 | (b as u64) << 32
    }

    /// 128 random bits at `position`, the first 64 of them those of [`Philox::u64_at`].
    #[inline]
    pub const fn words_at(self, position: u64) -> [u32; 4] {
        let counter = [position as u32, (position >> 32) as u32, self.stream as u32, (self.stream >> 32) as u32];
        philox4x32(counter, [self.seed as u32, (self.seed >> 32) as u32])
    }

    /// The words of a row of blocks, those of [`Philox::words_at`] from `position` on, a multiple of 2^24; there are at
    /// most 2^24 of them.
    pub fn words_of(self, position: u64) -> Words {
        Words::new(self, position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers published with Random123 for philox4x32-10.
    #[test]
    fn known_answers() {
        assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]);
        assert_eq!(philox4x32([u32::MAX; 4], [u32::MAX; 2]), [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD]);
        assert_eq!(
            philox4x32([0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344], [0xA409_3822, 0x299F_31D0]),
            [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1]
        );
    }

    #[test]
    fn streams_and_positions_differ() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..4 {
            for stream in 0..4 {
                for position in 0..64 {
                    assert!(seen.insert(Philox::new(seed, stream).u64_at(position)));
                }
            }
        }
    }
}
