//! From files to documents: which files, what they are called, and what is in them.

mod names;
mod open;
mod records;

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thrifty_base::pool::pool;
use thrifty_base::progress::Progress;

pub use names::{document_name, list_inputs};
pub use records::{Record, Records};

use crate::items::Items;
use crate::{Error, Result};

/// What one document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// A file with all its records.
    File,
    /// A record of FASTA or FASTQ; for text, a line.
    Record,
}

/// One input: a file, or standard input as `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The file.
    pub path: PathBuf,
    /// Name of the document when the file is one.
    pub name: String,
}

impl Input {
    /// An input named after its file.
    pub fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), name: document_name(path) }
    }

    /// Whether this is standard input.
    pub fn is_stdin(&self) -> bool {
        self.path.as_os_str() == "-"
    }

    /// Bytes on disk, 0 where unknown; for progress.
    pub fn length(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |m| m.len())
    }
}

/// A document whose items can be read.
pub struct Document {
    /// Its name.
    pub name: String,
    /// Where it comes from, for messages.
    pub origin: String,
    source: Source,
    items: Items,
}

enum Source {
    File(Input),
    Record(Vec<u8>),
}

/// Hashes handed on at once: enough to amortise a lock, few enough to stay in cache.
const CHUNK: usize = 1 << 13;

impl Document {
    /// Hands the hashes of all items, repeats included, to `take` in chunks. Returns the windows skipped.
    pub fn for_each_chunk(&self, mut take: impl FnMut(&[u64]) -> Result<()>) -> Result<u64> {
        let mut hashes = Vec::with_capacity(2 * CHUNK);
        let mut give = |hashes: &mut Vec<u64>, least: usize| -> Result<()> {
            if hashes.len() >= least.max(1) {
                hashes.chunks(CHUNK).try_for_each(&mut take)?;
                hashes.clear();
            }
            Ok(())
        };
        let mut skipped = 0;
        match &self.source {
            Source::Record(bytes) => skipped += self.items.hashes(bytes, &mut hashes),
            Source::File(input) => {
                let mut records = Records::open(input, self.items)?;
                match self.items {
                    Items::Dna { .. } => {
                        while let Some(record) = records.next()? {
                            skipped += self.items.hashes(record.bytes, &mut hashes);
                            give(&mut hashes, CHUNK)?;
                        }
                    }
                    Items::Text { n, within } => {
                        let mut grams = crate::items::text::Grams::new(n, within);
                        while let Some(piece) = records.next_piece()? {
                            grams.push(piece, &mut hashes);
                            give(&mut hashes, CHUNK)?;
                        }
                        grams.end_document(&mut hashes);
                    }
                }
            }
        }
        give(&mut hashes, 1)?;
        Ok(skipped)
    }
}

/// How documents are read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// What one document is.
    pub by: By,
    /// What an item is.
    pub items: Items,
    /// Threads, 0 for all.
    pub threads: usize,
}

/// Bytes of records that are gathered before threads start on them.
const BATCH: usize = 16 << 20;
const BATCH_RECORDS: usize = 1 << 14;
/// Files a thread that are handed out together.
const BATCH_FILES: usize = 4;

/// Runs `work` on every document from number `skip` on, in parallel, and `take` on batches of results, in the order of
/// the documents, on the calling thread while no work is under way.
pub fn for_each_document<T: Send>(
    inputs: &[Input],
    reading: Reading,
    skip: usize,
    progress: &Progress,
    work: impl Fn(usize, &Document) -> Result<T> + Sync,
    mut take: impl FnMut(Vec<(Document, T)>) -> Result<()>,
) -> Result<()> {
    let Reading { by, items, threads } = reading;
    let pool = pool(threads)?;
    match by {
        By::File => {
            let skip = skip.min(inputs.len());
            progress.advance(inputs[..skip].iter().map(Input::length).sum())?;
            let batch = BATCH_FILES * pool.current_num_threads();
            for (i, inputs) in inputs[skip..].chunks(batch).enumerate() {
                let first = skip + i * batch;
                let one = |(i, input): (usize, &Input)| {
                    let document = Document {
                        name: input.name.clone(),
                        origin: input.path.display().to_string(),
                        source: Source::File(input.clone()),
                        items,
                    };
                    progress.check()?;
                    let result = work(first + i, &document)?;
                    progress.advance(input.length())?;
                    Ok((document, result))
                };
                let files = || inputs.par_iter().enumerate().with_max_len(1).map(one).collect::<Vec<Result<_>>>();
                // Collected whole, so that the first error in the order of the files is the one that is told.
                take(pool.install(files).into_iter().collect::<Result<_>>()?)?;
            }
        }
        By::Record => {
            let mut first = 0;
            for input in inputs {
                let mut records = Records::open(input, items)?;
                let mut seen = 0;
                loop {
                    let batch = gather(&mut records, input, items)?;
                    let read = records.bytes_read();
                    progress.advance(read - seen)?;
                    seen = read;
                    if batch.is_empty() {
                        break;
                    }
                    let numbered: Vec<(usize, Document)> = (first..).zip(batch).collect();
                    first += numbered.len();
                    let one = |(i, document): (usize, Document)| {
                        progress.check()?;
                        let result = work(i, &document)?;
                        Ok((document, result))
                    };
                    let wanted = numbered.into_iter().filter(|(i, _)| *i >= skip).collect::<Vec<_>>();
                    let results: Vec<Result<_>> = pool.install(|| wanted.into_par_iter().map(one).collect());
                    take(results.into_iter().collect::<Result<_>>()?)?;
                }
            }
        }
    }
    Ok(())
}

fn gather(records: &mut Records, input: &Input, items: Items) -> Result<Vec<Document>> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while bytes < BATCH && batch.len() < BATCH_RECORDS {
        let Some(record) = records.next()? else { break };
        bytes += record.bytes.len();
        if record.name.is_empty() {
            return Err(Error::Input {
                path: input.path.clone(),
                line: Some(record.line),
                what: "this record has no name: its header has no word after the mark".into(),
            });
        }
        batch.push(Document {
            origin: format!("{}, line {}", input.path.display(), record.line),
            name: record.name,
            source: Source::Record(record.bytes.to_vec()),
            items,
        });
    }
    Ok(batch)
}
