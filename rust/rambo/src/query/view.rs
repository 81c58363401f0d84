//! A segment as the kernels see it.

use std::ops::Range;

use crate::index::Index;
use crate::segment::Segment;
use crate::simd::{LANES, Simd, load_width};

/// Bytes of rows in an index for which it pays to ask for rows while other items are answered: those of smaller indexes
/// are in the core's cache anyway; for larger ones prefetches wait for the TLB, and the answers wait for them.
const PREFETCHED: Range<usize> = 4 << 20..512 << 20;

/// One repetition: where its rows are and how an item finds them.
pub(super) struct Repetition<'a> {
    bytes: &'a [u8],
    rows: u64,
    /// Multipliers of the row hashes, eight at a time, the last ones filled up.
    multipliers: Vec<[u64; 8]>,
    hashes: usize,
    buckets: usize,
    /// Masks of 512 buckets that a row makes.
    pub(super) chunks: usize,
    /// `WIDTH` of loads.
    width: usize,
    /// Whether every row begins with a byte; then places are bytes, else bits.
    whole_bytes: bool,
    prefetched: bool,
    /// Places that a row takes.
    unit: u64,
}

impl Repetition<'_> {
    /// Finds the rows of items: where each begins, [`Self::stride`] places an item.
    #[inline(always)]
    pub(super) fn locate<S: Simd>(&self, s: S, hashes: &[u64], places: &mut [u64]) {
        let (rows, unit) = (s.splat(self.rows), s.splat(self.unit));
        for (&hash, places) in hashes.iter().zip(places.chunks_exact_mut(self.stride())) {
            let hash = s.splat(hash);
            for (eight, multipliers) in places.as_chunks_mut::<8>().0.iter_mut().zip(&self.multipliers) {
                *eight = s.words(s.times(s.row(hash, s.pack(multipliers), rows), unit));
            }
        }
    }

    /// Asks memory for the rows of items, where that helps.
    #[inline(always)]
    pub(super) fn prefetch<S: Simd>(&self, s: S, places: &[u64]) {
        if !self.prefetched {
            return;
        }
        let shift = if self.whole_bytes { 0 } else { 3 };
        for places in places.chunks_exact(self.stride()) {
            for chunk in 0..self.chunks {
                for &place in &places[..self.hashes] {
                    s.prefetch(self.bytes, (place >> shift) as usize + LANES / 8 * chunk);
                }
            }
        }
    }

    /// ANDs the rows that [`Self::locate`] found: of every `each` masks, those from `first` on are an item's.
    ///
    /// Nothing but loads and ANDs, so that as many rows as possible are on their way from memory at once: a load that
    /// misses the TLB takes long, above all on a virtual machine, and a core looks no more than a few hundred instructions
    /// ahead of it.
    #[inline(always)]
    pub(super) fn read<S: Simd>(&self, s: S, places: &[u64], masks: &mut [S::Mask], first: usize, each: usize) {
        match (self.width, self.whole_bytes) {
            (8, false) => self.read_of::<S, 8, false>(s, places, masks, first, each),
            (16, false) => self.read_of::<S, 16, false>(s, places, masks, first, each),
            (32, false) => self.read_of::<S, 32, false>(s, places, masks, first, each),
            (_, false) => self.read_of::<S, 64, false>(s, places, masks, first, each),
            (8, true) => self.read_of::<S, 8, true>(s, places, masks, first, each),
            (16, true) => self.read_of::<S, 16, true>(s, places, masks, first, each),
            (32, true) => self.read_of::<S, 32, true>(s, places, masks, first, each),
            (_, true) => self.read_of::<S, 64, true>(s, places, masks, first, each),
        }
    }

    #[inline(always)]
    fn read_of<S: Simd, const WIDTH: usize, const WHOLE_BYTES: bool>(
        &self,
        s: S,
        places: &[u64],
        masks: &mut [S::Mask],
        first: usize,
        each: usize,
    ) {
        let bytes = self.bytes;
        // Bits of the last mask that are buckets.
        let valid = s.low(self.buckets - LANES * (self.chunks - 1));
        for (places, masks) in places.chunks_exact(self.stride()).zip(masks.chunks_exact_mut(each)) {
            let places = &places[..self.hashes];
            if WIDTH < 64 || self.chunks == 1 {
                let mut mask = valid;
                for &place in places {
                    mask = s.and(mask, load::<S, WIDTH, WHOLE_BYTES>(s, bytes, place, 0));
                }
                masks[first] = mask;
                continue;
            }
            for (chunk, out) in masks[first..first + self.chunks].iter_mut().enumerate() {
                let mut mask = load::<S, WIDTH, WHOLE_BYTES>(s, bytes, places[0], chunk);
                for &place in &places[1..] {
                    mask = s.and(mask, load::<S, WIDTH, WHOLE_BYTES>(s, bytes, place, chunk));
                }
                *out = mask;
            }
            let last = &mut masks[first + self.chunks - 1];
            *last = s.and(*last, valid);
        }
    }

    /// Words of mask `chunk` that have buckets.
    pub(super) fn words(&self, chunk: usize) -> usize {
        (self.buckets - LANES * chunk).div_ceil(64).min(LANES / 64)
    }

    /// Length of an item's places for [`Self::locate`].
    pub(super) fn stride(&self) -> usize {
        8 * self.multipliers.len()
    }
}

#[inline(always)]
fn load<S: Simd, const WIDTH: usize, const WHOLE_BYTES: bool>(s: S, bytes: &[u8], place: u64, chunk: usize) -> S::Mask {
    if WHOLE_BYTES {
        s.load_bytes::<WIDTH>(bytes, place as usize + LANES / 8 * chunk)
    } else {
        s.load::<WIDTH>(bytes, place as usize + LANES * chunk)
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
        let rows = |(i, s): (usize, &Segment)| (0..s.shape().len()).map(|r| index.rows(i, r).len()).sum::<usize>();
        let prefetched = PREFETCHED.contains(&index.segments().iter().enumerate().map(rows).sum());
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
                    prefetched,
                    whole_bytes: buckets.is_multiple_of(8),
                    unit: if buckets.is_multiple_of(8) { buckets as u64 / 8 } else { buckets as u64 },
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

    /// Whether it pays to ask for its rows ahead of time.
    pub(super) fn prefetched(&self) -> bool {
        self.repetitions[0].prefetched
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
