//! Rows of bits packed without gaps: row i of B buckets is bits i * B to (i + 1) * B.

use crate::plan::Repetition;
use crate::simd::OVERREAD;

/// Bytes of a section of rows, with the zeros that wide reads may touch.
pub(crate) fn section_length(repetition: &Repetition) -> u64 {
    repetition.bits().div_ceil(8) + OVERREAD as u64
}

/// Appends rows to a stretch of packed bits.
#[derive(Default)]
pub(crate) struct Packer {
    bytes: Vec<u8>,
    /// Bits that do not fill a word yet, and how many.
    rest: u64,
    used: usize,
}

impl Packer {
    /// With room for so many bits.
    pub(crate) fn with_room(bits: u64) -> Self {
        Self { bytes: Vec::with_capacity(bits.div_ceil(8) as usize), ..Self::default() }
    }

    /// Appends the lowest `bits` bits of `row`; bits above them must be zero.
    pub(crate) fn push(&mut self, row: &[u64], bits: usize) {
        if self.used == 0 && bits.is_multiple_of(8) && cfg!(target_endian = "little") {
            self.bytes.extend_from_slice(&bytemuck::cast_slice(row)[..bits / 8]);
            return;
        }
        for (i, &word) in row.iter().enumerate().take(bits.div_ceil(64)) {
            let now = (bits - 64 * i).min(64);
            self.rest |= word << self.used;
            if self.used + now >= 64 {
                self.bytes.extend_from_slice(&self.rest.to_le_bytes());
                self.rest = if self.used == 0 { 0 } else { word >> (64 - self.used) };
            }
            self.used = (self.used + now) % 64;
        }
    }

    /// The packed bytes, the last one filled up with zeros.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&self.rest.to_le_bytes()[..self.used.div_ceil(8)]);
        self.bytes
    }
}

/// Clears what lies above the first `bits` bits: the start of the next row in the last byte.
pub(crate) fn clear_above(bytes: &mut [u8], bits: u64) {
    if !bits.is_multiple_of(8)
        && let Some(last) = bytes.last_mut()
    {
        *last &= (1 << (bits % 8)) - 1;
    }
}

/// Reads bits `at..at + 64` of packed bytes; bits beyond the end are zero.
pub(crate) fn word_at(bytes: &[u8], at: u64) -> u64 {
    let (byte, shift) = ((at / 8) as usize, at % 8);
    let mut wide = [0u8; 16];
    let available = bytes.len().saturating_sub(byte).min(9);
    wide[..available].copy_from_slice(&bytes[byte..byte + available]);
    (u128::from_le_bytes(wide) >> shift) as u64
}

/// Reads row `row` of `buckets` bits into words; bits above `buckets` are zero.
pub(crate) fn read(bytes: &[u8], row: u64, buckets: u32, out: &mut [u64]) {
    let first = row * u64::from(buckets);
    for (i, word) in out.iter_mut().enumerate() {
        let left = u64::from(buckets) - 64 * i as u64;
        let mask = if left >= 64 { u64::MAX } else { (1 << left) - 1 };
        *word = word_at(bytes, first + 64 * i as u64) & mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use thrifty_base::hash::mix64;

    proptest! {
        #[test]
        fn rows_come_back(buckets in 1u32..300, n in 0u64..40, seed: u64) {
            let words = buckets.div_ceil(64) as usize;
            let rows: Vec<Vec<u64>> = (0..n).map(|r| (0..words).map(|w| {
                let left = buckets as usize - 64 * w;
                mix64(seed ^ mix64(r) ^ w as u64) & if left >= 64 { u64::MAX } else { (1 << left) - 1 }
            }).collect()).collect();
            let mut packer = Packer::default();
            rows.iter().for_each(|r| packer.push(r, buckets as usize));
            let bytes = packer.finish();
            prop_assert_eq!(bytes.len() as u64, (n * u64::from(buckets)).div_ceil(8));
            for (i, row) in rows.iter().enumerate() {
                let mut out = vec![0; words];
                read(&bytes, i as u64, buckets, &mut out);
                prop_assert_eq!(&out, row);
            }
        }
    }
}
