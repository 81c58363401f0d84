//! An index built document by document in memory.

use std::path::Path;

use thrifty_base::container::Target;
use thrifty_base::memory::Mode;
use thrifty_base::progress::Progress;

use crate::dealing::Dealing;
use crate::filters::Filters;
use crate::index::Index;
use crate::items::Items;
use crate::items::distinct::dedup;
use crate::plan::{Plan, sample_shift};
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
        if self.dealing.has(name) {
            return Err(Error::DuplicateName {
                name: name.to_owned(),
                first: "an earlier document".into(),
                second: "this one".into(),
            });
        }
        dedup(hashes);
        let items = hashes.len() as u64;
        let Some(segment) = self.dealing.room_for(items) else {
            return Err(no_room(self.plan(), name, items));
        };
        self.filters.need(segment)?;
        let place = self.dealing.deal(name.to_owned(), items, segment)?;
        self.dealing.sample(segment, hashes);
        self.filters.locked().insert(&place, hashes);
        Ok(())
    }

    /// Writes the index and opens it.
    pub fn freeze(self, target: &Target, threads: usize, mode: Mode, progress: &Progress) -> Result<Index> {
        freeze(self.dealing, self.filters, target, threads, mode, progress)
    }
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
