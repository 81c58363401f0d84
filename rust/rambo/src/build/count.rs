//! The first pass: names, distinct items and samples of all documents.

use std::collections::HashMap;

use thrifty_base::progress::Progress;

use crate::input::{Document, Input, Reading, for_each_document};
use crate::items::distinct::dedup;
use crate::sample::Samples;
use crate::{Error, Result};

/// (item, document) pairs that the first pass samples at most: 8 MB.
const SAMPLE: usize = 1 << 20;

/// What is known of documents after one reading.
#[derive(Clone, Debug)]
pub struct Counted {
    /// Names, in the order of the input.
    pub names: Vec<String>,
    /// Distinct items of each.
    pub counts: Vec<u64>,
    /// Sampled items of each.
    pub samples: Samples,
    /// Windows left out for letters other than A, C, G, T.
    pub skipped_windows: u64,
    /// Whether all documents were counted.
    pub complete: bool,
    origins: HashMap<String, String>,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            counts: Vec::new(),
            samples: Samples::new(SAMPLE),
            skipped_windows: 0,
            complete: false,
            origins: HashMap::new(),
        }
    }
}

impl Counted {
    /// Refuses a second document of one name, naming both places.
    pub(crate) fn check_new(&self, name: &str, origin: &str) -> Result<()> {
        match self.origins.get(name) {
            None => Ok(()),
            Some(first) => {
                Err(Error::DuplicateName { name: name.to_owned(), first: first.clone(), second: origin.to_owned() })
            }
        }
    }

    /// Where a document came from.
    pub(crate) fn origin(&self, name: &str) -> &str {
        self.origins.get(name).map_or("", String::as_str)
    }

    /// Names with where they came from, in order.
    pub(super) fn listed(&self) -> Vec<(&str, &str)> {
        self.names.iter().map(|n| (n.as_str(), self.origins.get(n).map_or("", String::as_str))).collect()
    }

    /// Takes a document in. The sample may be taken at any earlier shift.
    pub(crate) fn push(&mut self, name: String, origin: String, items: u64, sample: Vec<u64>, skipped: u64) {
        self.origins.insert(name.clone(), origin);
        self.names.push(name);
        self.counts.push(items);
        self.samples.push(sample);
        self.skipped_windows += skipped;
    }
}

/// Counts all documents.
pub fn count(inputs: &[Input], reading: Reading, progress: &Progress) -> Result<Counted> {
    let mut counted = Counted::default();
    go_on(&mut counted, inputs, reading, progress, &mut |_| Ok(()))?;
    Ok(counted)
}

/// Counts the documents that `counted` lacks; `save` is called now and then with what is known.
pub(super) fn go_on(
    counted: &mut Counted,
    inputs: &[Input],
    reading: Reading,
    progress: &Progress,
    save: &mut dyn FnMut(&Counted) -> Result<()>,
) -> Result<()> {
    if counted.complete {
        return Ok(());
    }
    progress.start("count", inputs.iter().map(Input::length).sum())?;
    let shift = std::sync::atomic::AtomicU32::new(counted.samples.shift());
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    let work = |_: usize, document: &Document| -> Result<(u64, Vec<u64>, u64)> {
        let mut hashes = Vec::new();
        let skipped = document.for_each_chunk(|chunk| {
            hashes.extend_from_slice(chunk);
            Ok(progress.check()?)
        })?;
        dedup(&mut hashes);
        Ok((hashes.len() as u64, Samples::of(&hashes, shift.load(relaxed)), skipped))
    };
    for_each_document(inputs, reading, counted.names.len(), progress, work, |batch| {
        for (document, (items, sample, skipped)) in batch {
            counted.check_new(&document.name, &document.origin)?;
            counted.push(document.name, document.origin, items, sample, skipped);
        }
        shift.store(counted.samples.shift(), relaxed);
        save(counted)
    })?;
    if counted.names.is_empty() {
        let path = inputs.first().map(|i| i.path.clone()).unwrap_or_default();
        return Err(Error::Input { path, line: None, what: "no document in it: the file has no record".into() });
    }
    counted.complete = true;
    save(counted)
}
