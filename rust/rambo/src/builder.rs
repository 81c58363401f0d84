//! An index built document by document in memory.

use std::path::Path;

use rayon::prelude::*;
use thrifty_base::container::Target;
use thrifty_base::memory::Mode;
use thrifty_base::pool::pool;
use thrifty_base::progress::Progress;

use crate::dealing::{Dealing, Place};
use crate::filters::Filters;
use crate::index::Index;
use crate::items::Items;
use crate::items::distinct::dedup;
use crate::plan::{Plan, sample_shift};
use crate::sample::Samples;
use crate::{Error, Result};

/// Documents go in, an [`Index`] comes out.
pub struct Builder {
    dealing: Dealing,
    filters: Filters,
}

impl Builder {
    /// An empty index of this plan. `node`: only this shard of a plan for several nodes.
    pub fn new(items: Items, plan: Plan, node: Option<u32>) -> Result<Self> {
        let shift = sample_shift(plan.items());
        let dealing = Dealing::new(items, plan, node, shift)?;
        let filters = Filters::new(&dealing.draft, None, Path::new("(new index)"));
        Ok(Self { dealing, filters })
    }

    /// How documents are cut into items.
    pub fn items(&self) -> Items {
        self.dealing.draft.items
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.dealing.draft.plan
    }

    /// Documents so far.
    pub fn documents(&self) -> usize {
        self.dealing.draft.names.len()
    }

    /// Adds one document with all its item hashes; repeats are dropped from `hashes`.
    ///
    /// Fails with [`Error::Capacity`] when the plan has no room for it, and leaves the builder as it was.
    pub fn add(&mut self, name: &str, hashes: &mut Vec<u64>) -> Result<()> {
        dedup(hashes);
        let place = self.deal(name, hashes.len(), hashes)?;
        self.filters.locked().insert(&place, hashes);
        Ok(())
    }

    /// Adds documents given as sequences or texts, on several threads; the result is that of adding them one by one.
    /// Returns the windows skipped.
    ///
    /// Fails at the first document that can't be added; those before it are in.
    pub fn add_all<D: AsRef<[u8]> + Sync>(
        &mut self,
        documents: &[(String, D)],
        threads: usize,
        progress: &Progress,
    ) -> Result<u64> {
        progress.start("add", documents.len() as u64)?;
        let (items, shift, pool) = (self.items(), self.dealing.draft.sample.shift, pool(threads)?);
        let cut = |document: &D| -> Result<(Vec<u64>, Vec<u64>, u64)> {
            progress.check()?;
            let mut hashes = Vec::new();
            let skipped = items.hashes(document.as_ref(), &mut hashes);
            dedup(&mut hashes);
            let sample = Samples::of(&hashes, shift);
            Ok((hashes, sample, skipped))
        };
        let threads = pool.current_num_threads();
        let cut_all = |batch: &[(String, D)]| batch.par_iter().map(|(_, data)| cut(data)).collect::<Result<Vec<_>>>();
        let (mut batch, mut rest) = documents.split_at(batch_length(documents, threads));
        let mut skipped = 0;
        pool.install(|| {
            let mut ready = cut_all(batch)?;
            while !batch.is_empty() {
                let mut placed = Vec::with_capacity(batch.len());
                let mut outcome = Ok(());
                for ((name, _), (hashes, sample, windows)) in batch.iter().zip(ready) {
                    match self.deal(name, hashes.len(), &sample) {
                        Ok(place) => placed.push((place, hashes)),
                        Err(error) => {
                            outcome = Err(error);
                            break;
                        }
                    }
                    skipped += windows;
                }
                let (next, later) = rest.split_at(batch_length(rest, threads));
                let locked = self.filters.locked();
                let insert = || placed.par_iter().for_each(|(place, hashes)| locked.insert(place, hashes));
                // The next batch is cut meanwhile, so that no thread waits for the last document of this one.
                let ((), made) = rayon::join(insert, || if outcome.is_ok() { cut_all(next) } else { Ok(Vec::new()) });
                outcome?;
                progress.advance(batch.len() as u64)?;
                (ready, batch, rest) = (made?, next, later);
            }
            Ok(skipped)
        })
    }

    /// Finds a place for a document of so many distinct items, of which `sample` has at least those that are sampled.
    fn deal(&mut self, name: &str, items: usize, sample: &[u64]) -> Result<Place> {
        if self.dealing.has(name) {
            return Err(Error::DuplicateName {
                name: name.to_owned(),
                first: "an earlier document".into(),
                second: "this one".into(),
            });
        }
        let items = items as u64;
        let Some(segment) = self.dealing.room_for(items) else {
            return Err(no_room(self.plan(), name, items));
        };
        self.filters.need(segment)?;
        let place = self.dealing.deal(name.to_owned(), items, segment)?;
        self.dealing.sample(segment, sample);
        Ok(place)
    }

    /// Writes the index and opens it.
    pub fn freeze(self, target: &Target, threads: usize, mode: Mode, progress: &Progress) -> Result<Index> {
        freeze(self.dealing, self.filters, target, threads, mode, progress)
    }
}

/// Documents that are cut before they are inserted: some work for every thread, but hashes of 8 bytes a letter must fit
/// into memory.
fn batch_length<D: AsRef<[u8]>>(documents: &[(String, D)], threads: usize) -> usize {
    const LETTERS: usize = 1 << 19;
    let mut letters = 0;
    let fits = |(_, data): &&(String, D)| {
        let fits = letters < threads * LETTERS;
        letters += data.as_ref().len();
        fits
    };
    documents.iter().take_while(fits).count()
}

/// Writes what was dealt and inserted.
pub(crate) fn freeze(
    dealing: Dealing,
    mut filters: Filters,
    target: &Target,
    threads: usize,
    mode: Mode,
    progress: &Progress,
) -> Result<Index> {
    let mut draft = dealing.draft;
    if draft.node.is_none() && draft.plan.nodes > 1 {
        draft.sort_by_node();
    }
    filters.need_all()?;
    draft.save(target, &filters, threads, mode, progress)
}

pub(crate) fn no_room(plan: &Plan, name: &str, items: u64) -> Error {
    Error::Capacity {
        what: format!(
            "'{name}' with {items} items does not fit a plan for {} documents with {} items together, the largest with \
             {}; plan for more",
            plan.documents(),
            plan.items(),
            plan.segments.iter().map(|s| s.largest).max().unwrap_or(0)
        ),
    }
}
