//! Queries of many items against a whole index: hits, counts, and what chance would give.

use rayon::prelude::*;
use thrifty_base::pool::pool;
use thrifty_base::progress::Progress;
use thrifty_base::simd;

use super::score::Chance;
use super::sequence::{Absent, Count};
use super::view::View;
use crate::index::Index;
use crate::items::distinct::dedup;
use crate::simd::dispatch;
use crate::{Error, Result};

/// What counts as a hit.
#[derive(Clone, Copy, Debug)]
pub struct SearchOptions {
    /// Share of a query's distinct items that a document must hold, above 0 and at most 1.
    pub theta: f64,
    /// At most this many hits a query, best first.
    pub top: Option<usize>,
    /// Threads, 0 for all.
    pub threads: usize,
}

/// One document that reached the threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Its id.
    pub document: u32,
    /// Distinct items of the query that were found in it, false positives included.
    pub found: u64,
    /// How many of those found are expected to be false positives.
    pub expected_false: f64,
}

/// Answer to one query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Searched {
    /// Distinct items of the query.
    pub items: u64,
    /// Hits, most items found first, then in the order of the index.
    pub hits: Vec<Hit>,
    /// How many documents that hold none of the items chance alone would report.
    pub expected_false_documents: f64,
}

impl SearchOptions {
    /// Refuses thresholds that mean nothing.
    pub fn check(&self) -> Result<()> {
        if self.theta > 0.0 && self.theta <= 1.0 {
            return Ok(());
        }
        Err(Error::argument("theta", format!("{} is not possible; give a share above 0 and at most 1", self.theta)))
    }

    /// Items that a hit must hold: ceil(theta * items), at least 1.
    pub fn need(&self, items: u64) -> u64 {
        ((self.theta * items as f64).ceil() as u64).max(1)
    }
}

/// Searches for queries, each a list of item hashes (repeats are dropped). A query's answer does not depend on the
/// others. A query without items has no hits.
pub fn search_items<Q: AsRef<[u64]> + Sync>(
    index: &Index,
    queries: &[Q],
    options: &SearchOptions,
    progress: &Progress,
) -> Result<Vec<Searched>> {
    options.check()?;
    progress.start("query", queries.len() as u64)?;
    let path = simd::path()?;
    let views = View::all(index);
    let one = |query: &Q| -> Result<Searched> {
        let mut hashes = query.as_ref().to_vec();
        dedup(&mut hashes);
        let answer = search_one(path, &views, &hashes, options);
        progress.advance(1)?;
        Ok(answer)
    };
    if options.threads == 1 || queries.len() < 2 {
        queries.iter().map(one).collect()
    } else {
        pool(options.threads)?.install(|| queries.par_iter().map(one).collect())
    }
}

fn search_one(path: simd::Path, views: &[View<'_>], hashes: &[u64], options: &SearchOptions) -> Searched {
    let items = hashes.len() as u64;
    if items == 0 {
        return Searched::default();
    }
    let need = options.need(items);
    let mut hits = Vec::new();
    let mut chances = Vec::new();
    for view in views {
        let segment = view.segment;
        let chance = segment
            .chance(|| Chance::new(segment.shape(), segment.bloom(), segment.live(), &dispatch(path, Absent(view))));
        let counted = dispatch(path, Count { view, chance, hashes, need });
        if !counted.answered.is_empty() {
            chances.push((chance, counted.answered, counted.chance));
        }
        hits.extend(counted.found.into_iter().map(|f| Hit {
            document: f.document,
            found: f.found,
            expected_false: f.expected_false,
        }));
    }
    let by_chance = |found: u64| -> f64 {
        let of = |(chance, answered, mean): &(&Chance, Vec<u64>, f64)| {
            chance.documents(items, found, answered.partition_point(|&a| a >= found), *mean)
        };
        chances.iter().map(of).sum()
    };
    hits.sort_by(|a, b| b.found.cmp(&a.found).then(a.document.cmp(&b.document)));
    weigh(&mut hits, by_chance);
    if let Some(top) = options.top {
        hits.truncate(top);
    }
    Searched { items, hits, expected_false_documents: by_chance(need) }
}

/// A hit is chance altogether with the share that chance has among all hits at least as good (the false discovery
/// rate); with the rest of the probability the estimate from its own missing items holds.
fn weigh(hits: &mut [Hit], by_chance: impl Fn(u64) -> f64) {
    let mut from = 0;
    while from < hits.len() {
        let found = hits[from].found;
        let to = from + hits[from..].iter().take_while(|h| h.found == found).count();
        let false_share = (by_chance(found) / to as f64).min(1.0);
        for hit in &mut hits[from..to] {
            let own = hit.expected_false.min(found as f64);
            hit.expected_false = false_share * found as f64 + (1.0 - false_share) * own;
        }
        from = to;
    }
}
