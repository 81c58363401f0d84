//! Single items, in batches.

use std::ops::Range;

use rayon::prelude::*;
use thrifty_base::pool::pool;
use thrifty_base::progress::Progress;
use thrifty_base::recycled::Numbers;
use thrifty_base::simd::{self, Path};

use super::view::{View, window};
use crate::Result;
use crate::index::Index;
use crate::plan::rate::MAX_REPETITIONS;
use crate::segment::Apart;
use crate::simd::{Indices, Kernel, LANES, Simd, dispatch};

/// Documents of each query, as a CSR pair.
#[derive(Debug, Default)]
pub struct Answers {
    /// Query i has `documents[starts[i]..starts[i + 1]]`.
    pub starts: Vec<i64>,
    /// Ids of documents, ascending within a query.
    pub documents: Numbers,
}

impl PartialEq for Answers {
    fn eq(&self, other: &Self) -> bool {
        self.starts == other.starts && self.documents.as_slice() == other.documents.as_slice()
    }
}

/// Queries that are on their way from memory at once.
const AHEAD: usize = 12;
/// Queries between two looks at the request to stop.
const BLOCK: usize = 1024;
/// The least work worth a thread.
const PART: usize = 8 * BLOCK;

/// The documents of each item. A document that holds an item is always among them; one that does not is with the
/// index's rate of false positives (paper section 3.2, with RAMBO+'s early stop between repetitions).
pub fn query_items(index: &Index, hashes: &[u64], threads: usize, progress: &Progress) -> Result<Answers> {
    query_items_on(simd::path()?, index, hashes, threads, progress)
}

/// [`query_items`] on a chosen instruction set.
pub fn query_items_on(
    path: Path,
    index: &Index,
    hashes: &[u64],
    threads: usize,
    progress: &Progress,
) -> Result<Answers> {
    progress.start("query", hashes.len() as u64)?;
    let views = View::all(index);
    let part = |hashes: &[u64]| dispatch(path, Items { views: &views, hashes, progress });
    if threads == 1 || hashes.len() < 2 * PART {
        return part(hashes);
    }
    let pool = pool(threads)?;
    let size = hashes.len().div_ceil(4 * pool.current_num_threads()).max(PART);
    let parts: Result<Vec<Answers>> = pool.install(|| hashes.par_chunks(size).map(part).collect());
    Answers::join(parts?)
}

impl Answers {
    fn join(parts: Vec<Self>) -> Result<Self> {
        let mut all = Self::default();
        all.starts.reserve(parts.iter().map(|p| p.starts.len() - 1).sum::<usize>() + 1);
        all.documents.room(parts.iter().map(|p| p.documents.len()).sum())?;
        all.starts.push(0);
        for part in parts {
            let before = all.documents.len() as i64;
            all.starts.extend(part.starts[1..].iter().map(|s| s + before));
            all.documents.extend(part.documents.as_slice())?;
        }
        Ok(all)
    }
}

struct Items<'a> {
    views: &'a [View<'a>],
    hashes: &'a [u64],
    progress: &'a Progress,
}

impl Kernel for Items<'_> {
    type Out = Result<Answers>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Result<Answers> {
        let Self { views, hashes, progress } = self;
        let width: usize = views.iter().map(View::stride).sum();
        let mut segments: Vec<Expander<'_, S>> = views.iter().map(|v| Expander::new(s, v)).collect();
        let most: usize = views.iter().map(|v| v.segment.live()).sum();
        let mut places = vec![0u64; AHEAD * width];
        let mut out = Answers { starts: Vec::with_capacity(hashes.len() + 1), documents: Numbers::new() };
        out.starts.push(0);
        for i in 0..hashes.len() + AHEAD {
            let ring = &mut places[i % AHEAD * width..(i % AHEAD + 1) * width];
            if i >= AHEAD {
                // Room for every document, so that the kernel writes without looking.
                let room = out.documents.room(most + ROOM)?;
                let (mut at, mut used) = (0, 0);
                for segment in &mut segments {
                    let end = at + segment.view.stride();
                    used += segment.answer(s, &ring[at..end], &mut room[used..]);
                    at = end;
                }
                out.documents.advance(used);
                out.starts.push(out.documents.len() as i64);
                if (i - AHEAD) % BLOCK == BLOCK - 1 {
                    progress.advance(BLOCK as u64)?;
                }
            }
            if let Some(&hash) = hashes.get(i) {
                let mut at = 0;
                for repetition in views.iter().flat_map(|v| &v.repetitions) {
                    let end = at + repetition.stride();
                    repetition.locate(s, hash, &mut ring[at..end]);
                    at = end;
                }
            }
        }
        progress.advance((hashes.len() % BLOCK) as u64)?;
        Ok(out)
    }
}

/// Documents that one step tests.
const STEP: u32 = 64;
/// Room that vector stores may touch behind the last document.
const ROOM: usize = 64;

/// From rows to documents in one segment.
struct Expander<'a, S: Simd> {
    view: &'a View<'a>,
    /// Bits of the last mask that are buckets, by repetition.
    valid: Vec<S::Mask>,
    masks: Vec<S::Mask>,
    /// Where the masks of each repetition begin.
    first: [usize; MAX_REPETITIONS + 1],
    hit: Indices,
    /// Buckets of documents, taken apart, by repetition.
    apart: [Option<&'a Apart>; MAX_REPETITIONS],
    /// Masks of the first repetition, and repetitions, when each further one makes a single mask; else zeros.
    shape: (usize, usize),
}

impl<'a, S: Simd> Expander<'a, S> {
    fn new(s: S, view: &'a View<'a>) -> Self {
        let mut first = [0; MAX_REPETITIONS + 1];
        for (r, repetition) in view.repetitions.iter().enumerate() {
            first[r + 1] = first[r] + repetition.chunks;
        }
        let narrow = view.repetitions[1..].iter().all(|r| r.chunks == 1);
        Self {
            view,
            first,
            shape: if narrow { (view.repetitions[0].chunks, view.repetitions.len()) } else { (0, 0) },
            valid: view.repetitions.iter().map(|r| r.valid(s)).collect(),
            masks: vec![s.zero(); view.chunks()],
            hit: [0; LANES + 32],
            apart: std::array::from_fn(|r| if r < view.repetitions.len() { view.segment.slot_bits(r) } else { None }),
        }
    }

    /// Writes the documents that hold the item whose rows begin at `places`; returns how many.
    #[inline(always)]
    fn answer(&mut self, s: S, places: &[u64], out: &mut [u32]) -> usize {
        match self.shape {
            (1, 1) => self.answer_of::<1, 1>(s, places, out),
            (1, 2) => self.answer_of::<1, 2>(s, places, out),
            (1, 3) => self.answer_of::<1, 3>(s, places, out),
            (2, 2) => self.answer_of::<2, 2>(s, places, out),
            (2, 3) => self.answer_of::<2, 3>(s, places, out),
            (4, 2) => self.answer_of::<4, 2>(s, places, out),
            (4, 3) => self.answer_of::<4, 3>(s, places, out),
            _ => self.answer_of::<0, 0>(s, places, out),
        }
    }

    /// `CHUNKS` masks of the first repetition and 1 of each other, `REPETITIONS` in all; or zeros where other numbers
    /// hold.
    #[inline(always)]
    fn answer_of<const CHUNKS: usize, const REPETITIONS: usize>(
        &mut self,
        s: S,
        places: &[u64],
        out: &mut [u32],
    ) -> usize {
        let view = self.view;
        let repetitions = if REPETITIONS > 0 { REPETITIONS } else { view.repetitions.len() };
        // Where the masks of a repetition are.
        let span = |r: usize| match (r, CHUNKS) {
            (_, 0) => self.first[r]..self.first[r + 1],
            (0, _) => 0..CHUNKS,
            _ => CHUNKS + r - 1..CHUNKS + r,
        };
        let mut at = 0;
        for r in 0..repetitions {
            let repetition = &view.repetitions[r];
            let own = &places[at..at + repetition.hashes()];
            at += repetition.stride();
            let mut any = false;
            for (chunk, i) in span(r).enumerate() {
                let mut mask = repetition.and_rows(s, own, chunk);
                if i + 1 == span(r).end {
                    mask = s.and(mask, self.valid[r]);
                }
                self.masks[i] = mask;
                any |= s.any(mask);
            }
            if !any {
                return 0; // RAMBO+: no bucket left, no document left
            }
        }
        let segment = view.segment;
        let (first_id, starts) = (segment.first_id(), segment.starts());
        let mut used = 0;
        for chunk in span(0) {
            let n = s.indices(self.masks[chunk], &mut self.hit);
            for &bucket in &self.hit[..n] {
                let bucket = LANES * chunk + usize::from(bucket);
                let (mut slot, end) = (starts[bucket], starts[bucket + 1]);
                while slot < end {
                    let left = end - slot;
                    let mut which = if left >= STEP { u64::MAX } else { (1 << left) - 1 };
                    for r in 1..repetitions {
                        which = self.test(s, which, r, span(r), slot as usize);
                    }
                    let room: &mut [u32; 64] = (&mut out[used..used + 64]).try_into().expect("64 entries");
                    used += s.expand(first_id + slot, which, room);
                    slot += STEP;
                }
            }
        }
        used
    }

    /// Which of the documents from `slot` on have a bucket that answers in repetition `r`.
    #[inline(always)]
    fn test(&self, s: S, which: u64, r: usize, span: Range<usize>, slot: usize) -> u64 {
        let masks = &self.masks[span];
        if let Some(apart) = self.apart[r] {
            return s.test_apart(which, masks[0], window(&apart.at, slot), window(&apart.bits, slot));
        }
        let ids = self.view.segment.slot_buckets(r);
        let low = s.test(which as u32, masks, window(ids, slot));
        let high = s.test((which >> 32) as u32, masks, window(ids, slot + 32));
        u64::from(low) | u64::from(high) << 32
    }
}
