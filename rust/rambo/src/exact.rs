//! Hits checked against the documents themselves: what a Bloom filter can't promise, the files can.

use std::collections::HashMap;

use thrifty_base::progress::Progress;

use crate::index::Index;
use crate::input::{Document, Input, Reading, for_each_document};
use crate::items::distinct::{Table, dedup};
use crate::query::{SearchOptions, Searched};
use crate::{Error, Result};

/// Replaces the counts of all hits by exact ones and drops hits that then fall below the threshold.
///
/// Items are compared by hash: exact for k-mers up to k = 32, whose hash is a bijection; for longer k-mers and words two
/// items share a hash with probability 2^-64. Every document with a hit must be among the inputs.
pub fn verify<Q: AsRef<[u64]> + Sync>(
    index: &Index,
    queries: &[Q],
    mut results: Vec<Searched>,
    options: &SearchOptions,
    inputs: &[Input],
    reading: Reading,
    progress: &Progress,
) -> Result<Vec<Searched>> {
    progress.start("verify hits", inputs.iter().map(Input::length).sum())?;
    // (query, hit) pairs by document.
    let mut wanted: HashMap<&str, Vec<(usize, usize)>> = HashMap::new();
    for (q, result) in results.iter().enumerate() {
        for (h, hit) in result.hits.iter().enumerate() {
            wanted.entry(index.name(hit.document)).or_default().push((q, h));
        }
    }
    if wanted.is_empty() {
        return Ok(results);
    }
    let count = |_: usize, document: &Document| -> Result<Vec<(usize, usize, u64)>> {
        let Some(pairs) = wanted.get(document.name.as_str()) else { return Ok(Vec::new()) };
        let mut hashes = Vec::new();
        document.for_each_chunk(|chunk| {
            hashes.extend_from_slice(chunk);
            Ok(progress.check()?)
        })?;
        dedup(&mut hashes);
        let set = Table::of(&hashes);
        let count = |&(q, h): &(usize, usize)| {
            let mut distinct = queries[q].as_ref().to_vec();
            dedup(&mut distinct);
            (q, h, distinct.iter().filter(|&&hash| set.contains(hash)).count() as u64)
        };
        Ok(pairs.iter().map(count).collect())
    };
    let mut exact: Vec<(usize, usize, u64)> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for_each_document(inputs, reading, 0, progress, count, |batch| {
        for (document, counts) in batch {
            exact.extend(counts);
            seen.insert(document.name);
        }
        Ok(())
    })?;
    if let Some(name) = wanted.keys().find(|n| !seen.contains(**n)) {
        return Err(Error::argument(
            "exact",
            format!(
                "document '{name}' has a hit and is not in the files given; give the files that the index was built from"
            ),
        ));
    }
    for (q, h, found) in exact {
        let hit = &mut results[q].hits[h];
        (hit.found, hit.expected_false) = (found, 0.0);
    }
    for result in &mut results {
        let need = options.need(result.items);
        result.hits.retain(|h| h.found >= need);
        result.hits.sort_by(|a, b| b.found.cmp(&a.found).then(a.document.cmp(&b.document)));
        result.expected_false_documents = 0.0;
    }
    Ok(results)
}
