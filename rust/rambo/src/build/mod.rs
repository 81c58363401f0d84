//! An index from files: count, plan, deal, insert, write. Killed at any moment, the same call goes on.

mod checkpoint;
mod count;

use std::path::Path;
use std::time::Instant;

use rayon::prelude::*;
use serde::Serialize;
use thrifty_base::container::Target;
use thrifty_base::files::WriteLock;
use thrifty_base::memory::{self, Mode};
use thrifty_base::pool::pool;
use thrifty_base::progress::Progress;

pub use count::{Counted, count};

use crate::builder::{freeze, no_room};
use crate::dealing::{Dealing, Place};
use crate::filters::Filters;
use crate::index::Index;
use crate::input::{Document, Input, Reading, for_each_document};
use crate::items::distinct::dedup;
use crate::partition::node_of;
use crate::plan::{self, Plan, Repetition, SegmentPlan, Wish, sample_shift};
use crate::sample::Samples;
use crate::{Error, Result};
use checkpoint::Checkpoint;

/// How the shape of the index is found.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Documents are read twice: counted and planned, then inserted.
    Counted(Wish),
    /// The plan is given; documents are read once.
    Planned(Plan),
}

/// What to build.
#[derive(Clone, Debug)]
pub struct Options {
    /// How documents are read.
    pub reading: Reading,
    /// How the shape is found.
    pub shape: Shape,
    /// Only this shard of a plan for several nodes.
    pub node: Option<u32>,
    /// Seconds between two savings of the unfinished work.
    pub checkpoint_seconds: f64,
}

/// What a build did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Windows left out for letters other than A, C, G, T.
    pub skipped_windows: u64,
    /// Documents without any item.
    pub empty_documents: u64,
    /// Documents that an earlier, interrupted run had inserted.
    pub resumed_documents: u64,
    /// Seconds of counting and planning.
    pub count_seconds: f64,
    /// Seconds of hashing and inserting.
    pub insert_seconds: f64,
    /// Seconds of writing.
    pub write_seconds: f64,
}

/// Builds `path` from documents. An index that is there already stays until the new one is complete.
pub fn build(path: &Path, inputs: &[Input], options: &Options, progress: &Progress) -> Result<(Index, Report)> {
    if let Shape::Counted(wish) = &options.shape {
        wish.check()?;
        if inputs.iter().any(Input::is_stdin) {
            return Err(Error::argument(
                "documents",
                "standard input can be read only once, so its size must be told: give --documents and --items-each",
            ));
        }
    }
    let _lock = WriteLock::take(path)?;
    let mut checkpoint = Checkpoint::open(path, inputs, options)?;
    let mut counted = checkpoint.take_counted();
    let mut report = Report { resumed_documents: checkpoint.inserted(), ..Report::default() };
    let started = Instant::now();
    let (mut dealing, filters) = match &options.shape {
        Shape::Counted(wish) => {
            count::go_on(&mut counted, inputs, options.reading, progress, &mut |c| checkpoint.save(c, 0, None))?;
            report.count_seconds = started.elapsed().as_secs_f64();
            insert_counted(path, &counted, wish, inputs, options, progress, &mut checkpoint)?
        }
        Shape::Planned(plan) => insert_planned(path, &mut counted, plan, inputs, options, progress, &mut checkpoint)?,
    };
    dealing.draft.by = Some(options.reading.by);
    report.insert_seconds = started.elapsed().as_secs_f64() - report.count_seconds;
    report.skipped_windows = counted.skipped_windows;
    report.empty_documents = dealing.draft.counts.iter().filter(|&&c| c == 0).count() as u64;
    let index = freeze(dealing, filters, &Target::File(path.to_owned()), options.reading.threads, Mode::Map, progress)?;
    checkpoint.remove()?;
    report.write_seconds = started.elapsed().as_secs_f64() - report.count_seconds - report.insert_seconds;
    Ok((index, report))
}

/// Plans for documents that were counted: size classes, buckets dealt, rows for the loads as they came. Also the size of
/// the file.
pub fn plan_counted(counted: &Counted, reading: Reading, wish: &Wish) -> Result<(Plan, u64)> {
    let draft = deal_all(counted, reading, wish)?.0.draft;
    let bytes = draft.bytes();
    Ok((draft.plan, bytes))
}

/// All documents dealt, the plan fitted to them, and the place of each in the order of the input.
fn deal_all(counted: &Counted, reading: Reading, wish: &Wish) -> Result<(Dealing, Vec<Place>)> {
    let mut shapes = plan::plan_sampled(&counted.counts, &counted.samples, wish)?;
    if wish.nodes > 1 {
        fit_nodes(&mut shapes, counted, wish);
    }
    let shift = sample_shift(counted.counts.iter().sum());
    let mut dealing = Dealing::new(reading.items, shapes, None, shift)?;
    dealing.draft.by = Some(reading.by);
    let mut places = Vec::with_capacity(counted.names.len());
    for (d, (name, &items)) in counted.names.iter().zip(&counted.counts).enumerate() {
        let segment = dealing.draft.plan.class_of(items);
        places.push(dealing.deal(name.clone(), items, segment)?);
        dealing.sample(segment, counted.samples.document(d));
    }
    let mut plan = dealing.draft.plan.clone();
    for (s, segment) in plan.segments.iter_mut().enumerate() {
        segment.multiplicity = dealing.draft.sample.multiplicity(s as u16);
    }
    plan::fit(&mut plan, &dealing.draft, &dealing.loads(), &counted.samples, wish);
    dealing.draft.plan = plan;
    Ok((dealing, places))
}

/// Where each document has a bucket of its own, gives every node as many as the fullest one needs.
fn fit_nodes(plan: &mut Plan, counted: &Counted, wish: &Wish) {
    let mut documents = vec![vec![0u32; wish.nodes as usize]; plan.segments.len()];
    for (name, &items) in counted.names.iter().zip(&counted.counts) {
        documents[plan.class_of(items)][node_of(name, wish.seed, wish.nodes) as usize] += 1;
    }
    for (segment, of) in plan.segments.iter_mut().zip(documents) {
        if let [only] = segment.repetitions.as_mut_slice() {
            only.buckets = wish.nodes * of.into_iter().max().unwrap_or(0).max(1);
        }
    }
}

/// Inserts documents that were counted.
fn insert_counted(
    path: &Path,
    counted: &Counted,
    wish: &Wish,
    inputs: &[Input],
    options: &Options,
    progress: &Progress,
    checkpoint: &mut Checkpoint,
) -> Result<(Dealing, Filters)> {
    let (mut dealing, places) = deal_all(counted, options.reading, wish)?;
    let mut places: Vec<Option<Place>> = places.into_iter().map(Some).collect();
    if let Some(node) = options.node {
        // Every shard counts all documents, so all agree on the plan without a word; then each keeps its own.
        let (plan, shift) = (dealing.draft.plan, dealing.draft.sample.shift);
        dealing = Dealing::new(options.reading.items, plan, Some(node), shift)?;
        for (d, place) in places.iter_mut().enumerate() {
            let (name, items) = (&counted.names[d], counted.counts[d]);
            let mine = node_of(name, wish.seed, wish.nodes) == node;
            *place = match place.take() {
                Some(whole) if mine => {
                    dealing.sample(whole.segment, counted.samples.document(d));
                    Some(dealing.deal(name.clone(), items, whole.segment)?)
                }
                _ => None,
            };
        }
    }
    let mut filters = take_memory(path, &dealing)?;
    checkpoint.restore(&mut filters)?;
    progress.start("insert", inputs.iter().map(Input::length).sum())?;
    let locked = filters.locked();
    let mut done = checkpoint.inserted();
    let insert = |d: usize, document: &Document| -> Result<()> {
        if counted.names.get(d) != Some(&document.name) {
            return Err(changed(&document.origin));
        }
        if let Some(place) = &places[d] {
            document.for_each_chunk(|hashes| {
                locked.insert(place, hashes);
                Ok(progress.check()?)
            })?;
        }
        Ok(())
    };
    for_each_document(inputs, options.reading, done as usize, progress, insert, |batch| {
        done += batch.len() as u64;
        checkpoint.save(counted, done, Some(&locked))
    })?;
    if done as usize != counted.names.len() {
        return Err(changed("the input"));
    }
    drop(locked);
    Ok((dealing, filters))
}

fn changed(what: &str) -> Error {
    Error::Mismatch { what: format!("{what}: changed between counting and inserting; run the build again") }
}

/// Counts and inserts documents as they come, by a plan that is given.
fn insert_planned(
    path: &Path,
    counted: &mut Counted,
    plan: &Plan,
    inputs: &[Input],
    options: &Options,
    progress: &Progress,
    checkpoint: &mut Checkpoint,
) -> Result<(Dealing, Filters)> {
    let shift = sample_shift(plan.items());
    let mut dealing = Dealing::new(options.reading.items, plan.clone(), options.node, shift)?;
    let mut filters = take_memory(path, &dealing)?;
    checkpoint.restore(&mut filters)?;
    let mine = |name: &str| options.node.is_none_or(|node| node_of(name, plan.seed, plan.nodes) == node);
    let place = |dealing: &mut Dealing, name: &str, items: u64, sample: &[u64]| -> Result<Option<Place>> {
        if !mine(name) {
            return Ok(None);
        }
        let segment = dealing.room_for(items).ok_or_else(|| no_room(plan, name, items))?;
        dealing.sample(segment, sample);
        dealing.deal(name.to_owned(), items, segment).map(Some)
    };
    for d in 0..counted.names.len() {
        place(&mut dealing, &counted.names[d], counted.counts[d], counted.samples.document(d))?;
    }
    progress.start("insert", inputs.iter().map(Input::length).sum())?;
    let locked = filters.locked();
    let pool = pool(options.reading.threads)?;
    let read = |_: usize, document: &Document| -> Result<(Vec<u64>, u64)> {
        let mut hashes = Vec::new();
        if !mine(&document.name) {
            return Ok((hashes, 0)); // another shard's: not even opened when it is a file
        }
        let skipped = document.for_each_chunk(|chunk| {
            hashes.extend_from_slice(chunk);
            Ok(progress.check()?)
        })?;
        dedup(&mut hashes);
        Ok((hashes, skipped))
    };
    for_each_document(inputs, options.reading, counted.names.len(), progress, read, |batch| {
        let mut placed = Vec::with_capacity(batch.len());
        for (document, (hashes, skipped)) in batch {
            let sample = Samples::of(&hashes, shift);
            counted.check_new(&document.name, &document.origin)?;
            let items = hashes.len() as u64;
            if let Some(at) = place(&mut dealing, &document.name, items, &sample)? {
                placed.push((at, hashes));
            }
            counted.push(document.name, document.origin, items, sample, skipped);
        }
        pool.install(|| placed.par_iter().for_each(|(at, hashes)| locked.insert(at, hashes)));
        checkpoint.save(counted, counted.names.len() as u64, Some(&locked))
    })?;
    drop(locked);
    Ok((dealing, filters))
}

/// Memory for all filters, or a clear refusal before hours are spent.
fn take_memory(path: &Path, dealing: &Dealing) -> Result<Filters> {
    let meta = dealing.draft.meta();
    let bits = |s: &SegmentPlan| meta.shape(s).iter().map(Repetition::bits).sum::<u64>();
    let need = meta.plan.segments.iter().map(bits).sum::<u64>() / 8;
    if let Some(free) = memory::available()
        && need > free
    {
        return Err(Error::Capacity {
            what: format!(
                "building this index takes {need} bytes of memory and {free} are free; build it in shards (--shard i/n, \
                 then stack), or allow a higher rate or a smaller size"
            ),
        });
    }
    let mut filters = Filters::new(&dealing.draft, None, path);
    filters.need_all()?;
    Ok(filters)
}
