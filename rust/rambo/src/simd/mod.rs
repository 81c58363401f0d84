//! 512 bits at a time: the operations that queries are made of, on each instruction set.
//!
//! A kernel is written once, against [`Simd`], and compiled for every instruction set by [`dispatch`]. The scalar twin
//! is the reference: the property tests hold the others to it, bit for bit.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;

use thrifty_base::simd::Path;

pub(crate) use scalar::Scalar;

/// Bits of a mask.
pub(crate) const LANES: usize = 512;
/// Readers may look this many bytes beyond the last row, so sections of rows end with as many zeros.
pub(crate) const OVERREAD: usize = 72;

/// Numbers of set bits, with room for a vector's width behind the last.
pub(crate) type Indices = [u16; LANES + 32];

/// A token that proves the machine has the instructions, and the operations on masks of 512 buckets.
pub(crate) trait Simd: Copy {
    /// 512 bits.
    type Mask: Copy;

    /// No bit set.
    fn zero(self) -> Self::Mask;
    /// The lowest `bits` bits set (at most 512).
    fn low(self, bits: usize) -> Self::Mask;
    /// `8 * WIDTH` bits of `bytes` from bit `bit` on, then zeros; up to seven bits fewer unless `bit` is a multiple of 8
    /// or `WIDTH` is 64. `bytes` extends at least [`OVERREAD`] bytes beyond the byte of that bit. `WIDTH` is 8, 16, 32 or
    /// 64: a narrow row must not be loaded wide, or the load waits for a cache line that it does not need.
    fn load<const WIDTH: usize>(self, bytes: &[u8], bit: usize) -> Self::Mask;
    /// [`Self::load`] from the first bit of byte `at` on.
    fn load_bytes<const WIDTH: usize>(self, bytes: &[u8], at: usize) -> Self::Mask;
    /// 512 bits from words.
    fn pack(self, words: &[u64; 8]) -> Self::Mask;
    /// 512 bits as words.
    fn words(self, mask: Self::Mask) -> [u64; 8];
    /// Eight times the same word.
    fn splat(self, word: u64) -> Self::Mask;
    /// Word by word, the row of an item with this hash and multiplier: reduce52(hash * multiplier, rows).
    fn row(self, hash: Self::Mask, multiplier: Self::Mask, rows: Self::Mask) -> Self::Mask;
    /// Word by word, the lower half of the product.
    fn times(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    fn and(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    fn or(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    fn xor(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// Bits of `a` that `b` has not.
    fn without(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    fn any(self, mask: Self::Mask) -> bool;
    fn count(self, mask: Self::Mask) -> u32;
    /// Writes the numbers of the set bits to the front of `out`, ascending; returns how many. Bits are set in the first
    /// `words` words (at most 8) alone.
    fn indices(self, mask: Self::Mask, words: usize, out: &mut Indices) -> usize;
    /// Bit i of the result: whether `which` has bit i and `masks`, 512 bits each, hold bit `ids[i]`.
    fn test(self, which: u32, masks: &[Self::Mask], ids: &[u16; 32]) -> u32;
    /// Bit i of the result: whether `which` has bit i and byte `at[i]` (below 64) of `mask` shares a bit with `bits[i]`.
    /// This is [`Self::test`] for one mask and twice as many numbers, taken apart beforehand.
    fn test_apart(self, which: u64, mask: Self::Mask, at: &[u8; 64], bits: &[u8; 64]) -> u64;
    /// Writes `first` plus the number of each set bit to the front of `out`; returns how many.
    fn expand(self, first: u32, which: u64, out: &mut [u32; 64]) -> usize;
    /// Asks for the cache line of a byte.
    fn prefetch(self, bytes: &[u8], at: usize);
}

/// Work that is compiled for every instruction set.
pub(crate) trait Kernel {
    /// What it gives.
    type Out;
    /// Does it. Implementations are `#[inline(always)]`, so that the body takes on the caller's instruction set.
    fn run<S: Simd>(self, simd: S) -> Self::Out;
}

/// The narrowest `WIDTH` of [`Simd::load`] for rows of so many buckets.
pub(crate) fn load_width(buckets: usize) -> usize {
    let bits = if buckets.is_multiple_of(8) { buckets } else { buckets + 7 };
    (bits.div_ceil(8).next_power_of_two()).clamp(8, LANES / 8)
}

/// Runs a kernel on `path`, or on the scalar twin where the machine lacks that path.
pub(crate) fn dispatch<K: Kernel>(path: Path, kernel: K) -> K::Out {
    #[cfg(target_arch = "x86_64")]
    match path {
        Path::Avx512 => {
            if let Some(token) = avx512::Avx512::new() {
                return token.run(kernel);
            }
        }
        Path::Avx2 => {
            if let Some(token) = avx2::Avx2::new() {
                return token.run(kernel);
            }
        }
        Path::Scalar => {}
    }
    let _ = path;
    kernel.run(Scalar)
}

#[cfg(test)]
mod tests;
