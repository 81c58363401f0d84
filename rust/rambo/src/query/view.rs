//! A segment as the kernels see it.

use crate::index::Index;
use crate::segment::Segment;
use crate::simd::{LANES, Simd, load_width};

/// One repetition: where its rows are and how an item finds them.
pub(super) struct Repetition<'a> {
    pub(super) bytes: &'a [u8],
    rows: u64,
    /// Multipliers of the row hashes, eight at a time, the last ones filled up.
    multipliers: Vec<[u64; 8]>,
    hashes: usize,
    pub(super) buckets: usize,
    /// Masks of 512 buckets that a row makes.
    pub(super) chunks: usize,
    /// `WIDTH` of loads.
    pub(super) width: usize,
    row_bytes: usize,
    /// Whether a row may end on a cache line beyond those that its length alone takes.
    straddles: bool,
}

impl Repetition<'_> {
    /// Finds the rows of an item, asks memory for them and notes the bit at which each begins.
    #[inline(always)]
    pub(super) fn locate<S: Simd>(&self, s: S, hash: u64, places: &mut [u64]) {
        let (hash, rows, buckets) = (s.splat(hash), s.splat(self.rows), s.splat(self.buckets as u64));
        let (eights, _) = places.as_chunks_mut::<8>();
        for (eight, multipliers) in eights.iter_mut().zip(&self.multipliers) {
            *eight = s.words(s.times(s.row(hash, s.pack(multipliers), rows), buckets));
        }
        for &place in &places[..self.hashes] {
            let byte = (place / 8) as usize;
            s.prefetch(self.bytes, byte);
            for line in 1..self.chunks {
                s.prefetch(self.bytes, byte + 64 * line);
            }
            if self.straddles {
                s.prefetch(self.bytes, byte + self.row_bytes - 1);
            }
        }
    }

    /// Rows that an item reads.
    pub(super) fn hashes(&self) -> usize {
        self.hashes
    }

    /// Length of `places` for [`Self::locate`].
    pub(super) fn stride(&self) -> usize {
        8 * self.multipliers.len()
    }

    /// Bits of the last mask that are buckets.
    #[inline(always)]
    pub(super) fn valid<S: Simd>(&self, s: S) -> S::Mask {
        s.low(self.buckets - LANES * (self.chunks - 1))
    }

    /// ANDs rows that begin at `places`, 512 buckets from `chunk` on.
    #[inline(always)]
    pub(super) fn and_rows<S: Simd>(&self, s: S, places: &[u64], chunk: usize) -> S::Mask {
        match self.width {
            8 => self.and_rows_of::<S, 8>(s, places, chunk),
            16 => self.and_rows_of::<S, 16>(s, places, chunk),
            32 => self.and_rows_of::<S, 32>(s, places, chunk),
            _ => self.and_rows_of::<S, 64>(s, places, chunk),
        }
    }

    #[inline(always)]
    pub(super) fn and_rows_of<S: Simd, const WIDTH: usize>(&self, s: S, places: &[u64], chunk: usize) -> S::Mask {
        let at = |place: u64| place as usize + LANES * chunk;
        let mut mask = s.load::<WIDTH>(self.bytes, at(places[0]));
        for &place in &places[1..] {
            mask = s.and(mask, s.load::<WIDTH>(self.bytes, at(place)));
        }
        mask
    }
}

/// A segment with its rows at hand.
pub(super) struct View<'a> {
    pub(super) index: &'a Index,
    /// Which of the index's segments it is.
    pub(super) number: usize,
    pub(super) segment: &'a Segment,
    pub(super) repetitions: Vec<Repetition<'a>>,
}

impl<'a> View<'a> {
    pub(super) fn all(index: &'a Index) -> Vec<Self> {
        let view = |(i, segment): (usize, &'a Segment)| {
            let repetition = |(r, shape): (usize, &crate::plan::Repetition)| {
                let buckets = shape.buckets as usize;
                Repetition {
                    bytes: index.rows(i, r),
                    rows: shape.rows,
                    multipliers: eights(segment.multipliers(r)),
                    hashes: segment.multipliers(r).len(),
                    buckets,
                    chunks: buckets.div_ceil(LANES),
                    width: load_width(buckets),
                    row_bytes: buckets.div_ceil(8),
                    straddles: !LANES.is_multiple_of(buckets) && !buckets.is_multiple_of(LANES),
                }
            };
            Self {
                index,
                number: i,
                segment,
                repetitions: segment.shape().iter().enumerate().map(repetition).collect(),
            }
        };
        index.segments().iter().enumerate().filter(|(_, s)| s.live() > 0).map(view).collect()
    }

    /// Places that an item needs.
    pub(super) fn stride(&self) -> usize {
        self.repetitions.iter().map(Repetition::stride).sum()
    }

    /// Masks of 512 buckets that an item makes.
    pub(super) fn chunks(&self) -> usize {
        self.repetitions.iter().map(|r| r.chunks).sum()
    }
}

fn eights(list: &[u64]) -> Vec<[u64; 8]> {
    list.chunks(8).map(|c| std::array::from_fn(|i| c.get(i).copied().unwrap_or(1))).collect()
}

/// The `N` entries from `at` on.
#[inline(always)]
pub(super) fn window<T, const N: usize>(list: &[T], at: usize) -> &[T; N] {
    list[at..at + N].try_into().expect("N entries")
}
