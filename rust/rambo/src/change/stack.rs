//! Joining indexes that were built apart: their buckets side by side.

use std::path::Path;
use std::sync::Arc;

use thrifty_base::container::Target;
use thrifty_base::files::WriteLock;
use thrifty_base::memory::Mode;
use thrifty_base::progress::Progress;

use super::{SideBySide, check_buckets};
use crate::draft::Draft;
use crate::index::Index;
use crate::{Error, Result};

/// Stacks indexes into `out` (two-level hash, paper section 5.3): the shards of one plan, in any order, or indexes of equal
/// plans over different documents. Nothing is hashed again, and the shards of a plan give the very file that one build
/// of the whole would.
pub fn stack(out: &Path, paths: &[std::path::PathBuf], threads: usize, progress: &Progress) -> Result<Index> {
    let _lock = WriteLock::take(out)?;
    let mut parts = Vec::with_capacity(paths.len());
    for path in paths {
        parts.push(Arc::new(Index::open(path, Mode::Map)?));
    }
    let Some(first) = parts.first().cloned() else {
        return Err(Error::argument("indexes", "none to stack"));
    };
    for part in &parts[1..] {
        check_alike(&first, part)?;
    }
    if first.node().is_some() {
        check_complete(&parts)?;
        parts.sort_by_key(|p| p.node());
    }
    let draft = join(&parts)?;
    let sources = (0..draft.plan.segments.len()).map(|s| parts.iter().map(|p| (p.clone(), s)).collect()).collect();
    draft.save(&Target::File(out.to_owned()), &SideBySide { sources }, threads, Mode::Map, progress)
}

fn check_alike(a: &Index, b: &Index) -> Result<()> {
    let differs = |what: &str, x: &dyn std::fmt::Debug, y: &dyn std::fmt::Debug| {
        let (x, y) = (format!("{x:?}"), format!("{y:?}"));
        if x == y {
            return Ok(());
        }
        Err(Error::Mismatch {
            what: format!(
                "{} and {} can't be stacked: {what} differs ({x} and {y}); build both by one plan",
                a.path().display(),
                b.path().display()
            ),
        })
    };
    differs("the kind of items", &a.items(), &b.items())?;
    differs("the seed", &a.plan().seed, &b.plan().seed)?;
    differs("the number of shards", &a.plan().nodes, &b.plan().nodes)?;
    differs("being a shard", &a.node().is_some(), &b.node().is_some())?;
    if a.node().is_some() && a.plan() != b.plan() {
        differs("the plan", a.plan(), b.plan())?;
    }
    let shape = |i: &Index| -> Vec<Vec<(u32, u64)>> {
        i.segments().iter().map(|s| s.shape().iter().map(|r| (r.hashes, r.rows)).collect()).collect()
    };
    differs("the shape (hashes and rows by segment and repetition)", &shape(a), &shape(b))
}

fn check_complete(parts: &[Arc<Index>]) -> Result<()> {
    let nodes = parts[0].plan().nodes;
    let mut seen = vec![None; nodes as usize];
    for part in parts {
        let node = part.node().expect("checked to be a shard like the first");
        if let Some(other) = seen[node as usize].replace(part.path().to_owned()) {
            return Err(Error::Mismatch {
                what: format!("{} and {} are both shard {node}/{nodes}", other.display(), part.path().display()),
            });
        }
    }
    match seen.iter().position(Option::is_none) {
        None => Ok(()),
        Some(missing) => Err(Error::Mismatch { what: format!("shard {missing}/{nodes} is missing") }),
    }
}

fn join(parts: &[Arc<Index>]) -> Result<Draft> {
    let sharded = parts[0].node().is_some();
    let mut all = parts[0].draft();
    all.node = None;
    let drafts: Vec<Draft> = parts.iter().map(|p| p.draft()).collect();
    check_names(parts, &drafts)?;
    all.sample.shift = drafts.iter().map(|d| d.sample.shift).max().unwrap_or(0);
    all.sample.counts.clear();
    all.removed.clear();
    for of in all.buckets.iter_mut().flatten() {
        of.clear();
    }
    (all.names, all.counts, all.segment_of) = (Vec::new(), Vec::new(), Vec::new());
    let mut offsets: Vec<Vec<u32>> = all.buckets.iter().map(|b| vec![0; b.len()]).collect();
    for (i, (part, draft)) in parts.iter().zip(drafts).enumerate() {
        all.removed.extend(draft.removed.iter().map(|d| d + all.names.len() as u32));
        for (s, segment) in draft.buckets.iter().enumerate() {
            for (r, of) in segment.iter().enumerate() {
                let offset = offsets[s][r];
                let buckets = part.segments()[s].shape()[r].buckets;
                check_buckets(offset + buckets)?;
                all.buckets[s][r].extend(of.iter().map(|&b| (u32::from(b) + offset) as u16));
                offsets[s][r] += buckets;
            }
            if !sharded && i > 0 {
                let (sum, more) = (&mut all.plan.segments[s], &draft.plan.segments[s]);
                sum.documents += more.documents;
                sum.items += more.items;
                sum.largest = sum.largest.max(more.largest);
            }
        }
        for (&key, &holders) in &draft.sample.counts {
            if all.sample.samples(key.1) {
                *all.sample.counts.entry(key).or_default() += holders;
            }
        }
        all.names.extend(draft.names);
        all.counts.extend(draft.counts);
        all.segment_of.extend(draft.segment_of);
    }
    for (segment, offsets) in all.plan.segments.iter_mut().zip(offsets) {
        for (repetition, buckets) in segment.repetitions.iter_mut().zip(offsets) {
            repetition.buckets = buckets;
        }
    }
    Ok(all)
}

fn check_names(parts: &[Arc<Index>], drafts: &[Draft]) -> Result<()> {
    let mut seen = std::collections::HashMap::new();
    for (part, draft) in parts.iter().zip(drafts) {
        for (d, name) in draft.names.iter().enumerate() {
            if draft.removed.binary_search(&(d as u32)).is_ok() {
                continue;
            }
            if let Some(first) = seen.insert(name.as_str(), part.path()) {
                return Err(Error::DuplicateName {
                    name: name.clone(),
                    first: first.display().to_string(),
                    second: part.path().display().to_string(),
                });
            }
        }
    }
    Ok(())
}
