//! Queries of many items against a whole index: hits, counts, and what chance would give.

use std::ops::Range;

use rayon::prelude::*;
use thrifty_base::pool::pool;
use thrifty_base::progress::Progress;
use thrifty_base::simd;

use super::absent::absent;
use super::score::{Chance, single};
use super::sequence::{Count, Counted, Scratch};
use super::view::View;
use crate::index::Index;
use crate::items::distinct::Distinct;
use crate::simd::{Kernel, Simd, dispatch};
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

    /// Items that a hit must hold, at least 1: the least number whose share of all items is not below theta.
    pub fn need(&self, items: u64) -> u64 {
        let need = (self.theta * items as f64).ceil() as u64;
        // The product may be rounded up beyond a whole number: 0.55 * 100 is.
        let enough = need > 0 && (need - 1) as f64 / items as f64 >= self.theta;
        need.saturating_sub(u64::from(enough)).max(1)
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
    let part = |queries: &[Q]| dispatch(path, Search { views: &views, queries, options, progress });
    if options.threads == 1 || queries.len() < 2 {
        return part(queries);
    }
    let pool = pool(options.threads)?;
    // Small parts, since one query may be a read and the next a genome.
    let size = queries.len().div_ceil(16 * pool.current_num_threads()).min(256);
    let parts: Result<Vec<Vec<Searched>>> = pool.install(|| queries.par_chunks(size).map(part).collect());
    Ok(parts?.into_iter().flatten().collect())
}

/// Queries that one thread searches for.
struct Search<'a, Q> {
    views: &'a [View<'a>],
    queries: &'a [Q],
    options: &'a SearchOptions,
    progress: &'a Progress,
}

impl<Q: AsRef<[u64]>> Kernel for Search<'_, Q> {
    type Out = Result<Vec<Searched>>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Out {
        let mut scratch = Scratch::new(self.views);
        let (mut hashes, mut distinct) = (Vec::new(), Distinct::default());
        let mut out = Vec::with_capacity(self.queries.len());
        for query in self.queries {
            hashes.clear();
            hashes.extend_from_slice(query.as_ref());
            distinct.dedup(&mut hashes);
            out.push(self.one(s, &mut scratch, &hashes));
            self.progress.advance(1)?;
        }
        Ok(out)
    }
}

impl<Q> Search<'_, Q> {
    #[inline(always)]
    fn one<S: Simd>(&self, s: S, scratch: &mut Scratch<S>, hashes: &[u64]) -> Searched {
        let items = hashes.len() as u64;
        if items == 0 {
            return Searched::default();
        }
        let need = self.options.need(items);
        let mut hits = Vec::new();
        let mut parts = Vec::with_capacity(self.views.len());
        for view in self.views {
            let segment = view.segment;
            let chance = match segment.chance() {
                Some(known) => known,
                None => {
                    let absent = absent(s, view);
                    let holders = view.index.holders(view.number);
                    segment.set_chance(Chance::new(segment.shape(), segment.bloom(), segment.live(), &absent, &holders))
                }
            };
            let Counted { found, chance: mean, answered } = Count { view, chance, hashes, need }.count(s, scratch);
            let begin = hits.len();
            hits.extend(found.into_iter().map(|f| Hit {
                document: f.document,
                found: f.found,
                expected_false: f.expected_false,
            }));
            parts.push(Part { chance, answered, mean, hits: begin..hits.len() });
        }
        let best_first = |a: &Hit, b: &Hit| b.found.cmp(&a.found).then(a.document.cmp(&b.document));
        let expected_false_documents = if items == 1 {
            let of_all = weigh_single(&mut hits, &parts);
            hits.sort_by(best_first);
            of_all
        } else {
            hits.sort_by(best_first);
            weigh(&mut hits, &parts, items, need)
        };
        if let Some(top) = self.options.top {
            hits.truncate(top);
        }
        Searched { items, hits, expected_false_documents }
    }
}

/// What one segment said to a query.
struct Part<'a> {
    chance: &'a Chance,
    /// Counts of the buckets that reached the threshold, descending.
    answered: Vec<u64>,
    /// Mean chance of an item.
    mean: f64,
    /// Its hits, before all are sorted.
    hits: Range<usize>,
}

/// For a query of one item, all hits in a segment are as likely to be chance. Returns how many documents chance alone
/// would report.
fn weigh_single(hits: &mut [Hit], parts: &[Part<'_>]) -> f64 {
    let seen: Vec<_> = parts.iter().map(|p| p.chance.seen(p.answered.len())).collect();
    let false_documents = single(&seen);
    for (part, of) in parts.iter().zip(&false_documents) {
        let each = of / part.hits.len() as f64;
        hits[part.hits.clone()].iter_mut().for_each(|hit| hit.expected_false = each.min(1.0));
    }
    parts.iter().map(|p| p.chance.of_single(p.answered.len())).sum()
}

/// A hit is chance altogether with the share that chance has among all hits at least as good (the false discovery
/// rate); with the rest of the probability the estimate from its own missing items holds. Returns how many documents
/// chance alone would report.
fn weigh(hits: &mut [Hit], parts: &[Part<'_>], items: u64, need: u64) -> f64 {
    let by_chance = |found: u64| -> f64 {
        let reached = |p: &Part<'_>| p.answered.partition_point(|&a| a >= found);
        let heard = parts.iter().filter(|p| !p.answered.is_empty());
        heard.map(|p| p.chance.documents(items, found, reached(p), p.mean)).sum()
    };
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
    by_chance(need)
}
