//! Single items, in batches.

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

/// Items whose rows are read at once, before any is answered.
const BATCH: usize = 64;
/// Batches between two looks at the request to stop.
const BLOCK: usize = 16;
/// The least work worth a thread.
const PART: usize = 8 * BLOCK * BATCH;

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
        let mut segments: Vec<Expander<'_, S>> = views.iter().map(|v| Expander::new(s, v)).collect();
        let most: usize = views.iter().map(|v| v.segment.live()).sum();
        let prefetched = views.iter().any(View::prefetched);
        let mut places = vec![0u64; BATCH * views.iter().map(View::stride).sum::<usize>()];
        let mut out = Answers { starts: Vec::with_capacity(hashes.len() + 1), documents: Numbers::new() };
        out.starts.push(0);
        locate(s, views, &hashes[..hashes.len().min(BATCH)], &mut places);
        for (b, batch) in hashes.chunks(BATCH).enumerate() {
            let mut at = 0;
            for segment in &mut segments {
                at += segment.read(s, batch.len(), &places[at..]);
            }
            let next = ((b + 1) * BATCH).min(hashes.len());
            let next = &hashes[next..(next + BATCH).min(hashes.len())];
            locate(s, views, next, &mut places);
            for i in 0..batch.len() {
                // Room for every document, so that the kernel writes without looking.
                let room = out.documents.room(most + ROOM)?;
                let (mut used, mut at) = (0, 0);
                for segment in &mut segments {
                    if prefetched && i < next.len() {
                        at += segment.prefetch(s, i, &places[at..]);
                    }
                    used += segment.answer(s, i, &mut room[used..]);
                }
                out.documents.advance(used);
                out.starts.push(out.documents.len() as i64);
            }
            if b % BLOCK == BLOCK - 1 {
                progress.advance((BLOCK * BATCH) as u64)?;
            }
        }
        progress.advance((hashes.len() % (BLOCK * BATCH)) as u64)?;
        Ok(out)
    }
}

/// Places of a batch: of all repetitions one after the other, each with room for [`BATCH`] items.
#[inline(always)]
fn locate<S: Simd>(s: S, views: &[View<'_>], batch: &[u64], places: &mut [u64]) {
    let mut at = 0;
    for repetition in views.iter().flat_map(|v| &v.repetitions) {
        let end = at + BATCH * repetition.stride();
        repetition.locate(s, batch, &mut places[at..end]);
        at = end;
    }
}

/// Documents that one step tests.
const STEP: u32 = 64;
/// Room that vector stores may touch behind the last document.
const ROOM: usize = 64;

/// From rows to documents in one segment.
struct Expander<'a, S: Simd> {
    view: &'a View<'a>,
    /// By item of a batch: the masks of all repetitions.
    masks: Vec<S::Mask>,
    /// Masks of an item.
    each: usize,
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
            masks: vec![s.zero(); BATCH * view.chunks()],
            each: view.chunks(),
            hit: [0; LANES + 32],
            apart: std::array::from_fn(|r| if r < view.repetitions.len() { view.segment.slot_bits(r) } else { None }),
        }
    }

    /// Leaves the masks of a batch of items for [`Self::answer`]; returns how many places were used up.
    #[inline(always)]
    fn read(&mut self, s: S, items: usize, places: &[u64]) -> usize {
        let mut at = 0;
        for (r, repetition) in self.view.repetitions.iter().enumerate() {
            let used = items * repetition.stride();
            repetition.read(s, &places[at..at + used], &mut self.masks, self.first[r], self.each);
            at += BATCH * repetition.stride();
        }
        at
    }

    /// Asks memory for the rows of item `i` of a batch; returns how many places the batch has.
    #[inline(always)]
    fn prefetch(&self, s: S, i: usize, places: &[u64]) -> usize {
        let mut at = 0;
        for repetition in &self.view.repetitions {
            let stride = repetition.stride();
            repetition.prefetch(s, &places[at + i * stride..at + (i + 1) * stride]);
            at += BATCH * stride;
        }
        at
    }

    /// Writes the documents that hold item `i` of the batch; returns how many.
    #[inline(always)]
    fn answer(&mut self, s: S, i: usize, out: &mut [u32]) -> usize {
        match self.shape {
            (1, 1) => self.answer_of::<1, 1>(s, i, out),
            (1, 2) => self.answer_of::<1, 2>(s, i, out),
            (1, 3) => self.answer_of::<1, 3>(s, i, out),
            (2, 2) => self.answer_of::<2, 2>(s, i, out),
            (2, 3) => self.answer_of::<2, 3>(s, i, out),
            (4, 2) => self.answer_of::<4, 2>(s, i, out),
            (4, 3) => self.answer_of::<4, 3>(s, i, out),
            _ => self.answer_of::<0, 0>(s, i, out),
        }
    }

    /// `CHUNKS` masks of the first repetition and 1 of each other, `REPETITIONS` in all; or zeros where other numbers
    /// hold.
    #[inline(always)]
    fn answer_of<const CHUNKS: usize, const REPETITIONS: usize>(&mut self, s: S, i: usize, out: &mut [u32]) -> usize {
        let view = self.view;
        let repetitions = if REPETITIONS > 0 { REPETITIONS } else { view.repetitions.len() };
        let masks = &self.masks[i * self.each..(i + 1) * self.each];
        // Where the masks of a repetition are.
        let span = |r: usize| match (r, CHUNKS) {
            (_, 0) => self.first[r]..self.first[r + 1],
            (0, _) => 0..CHUNKS,
            _ => CHUNKS + r - 1..CHUNKS + r,
        };
        let segment = view.segment;
        let (first_id, starts) = (segment.first_id(), segment.starts());
        let mut used = 0;
        for chunk in span(0) {
            let n = s.indices(masks[chunk], view.repetitions[0].words(chunk), &mut self.hit);
            for &bucket in &self.hit[..n] {
                let bucket = LANES * chunk + usize::from(bucket);
                let (mut slot, end) = (starts[bucket], starts[bucket + 1]);
                while slot < end {
                    let left = end - slot;
                    let mut which = if left >= STEP { u64::MAX } else { (1 << left) - 1 };
                    for r in 1..repetitions {
                        which = self.test(s, which, r, &masks[span(r)], slot as usize);
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
    fn test(&self, s: S, which: u64, r: usize, masks: &[S::Mask], slot: usize) -> u64 {
        if let Some(apart) = self.apart[r] {
            return s.test_apart(which, masks[0], window(&apart.at, slot), window(&apart.bits, slot));
        }
        let ids = self.view.segment.slot_buckets(r);
        let low = s.test(which as u32, masks, window(ids, slot));
        let high = s.test((which >> 32) as u32, masks, window(ids, slot + 32));
        u64::from(low) | u64::from(high) << 32
    }
}
