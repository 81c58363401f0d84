//! Documents into an index that is there.

use std::path::Path;
use std::sync::Arc;

use thrifty_base::container::Target;
use thrifty_base::files::{WriteLock, with_suffix};
use thrifty_base::memory::Mode;
use thrifty_base::progress::Progress;

use crate::build::{Counted, count};
use crate::builder::freeze;
use crate::dealing::{Dealing, Place};
use crate::filters::Filters;
use crate::index::Index;
use crate::input::{By, Document, Input, Reading, for_each_document};
use crate::partition::node_of;
use crate::plan::{self, Plan, SegmentPlan, Wish, rate};
use crate::{Error, Result};

/// What was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// New documents.
    pub documents: u64,
    /// Segments opened because the planned load of the others was full.
    pub segments: u64,
    /// Documents left out because they belong to another shard.
    pub elsewhere: u64,
}

/// A new segment has room for this share of the index beyond what it is opened for, so that adding one document after
/// the other opens few.
const HEADROOM: f64 = 0.125;

/// Adds documents to the index at `path`. Segments are filled up to their planned load, which keeps their rate; what does
/// not fit, or is too much like what is there (V/B), goes to new segments planned for the same rate.
pub fn add(path: &Path, inputs: &[Input], by: By, threads: usize, progress: &Progress) -> Result<(Index, Added)> {
    let _lock = WriteLock::take(path)?;
    let base = Arc::new(Index::open(path, Mode::Map)?);
    let reading = Reading { by, items: base.items(), threads };
    let spooled = Spooled::of(path, inputs)?;
    let inputs = spooled.inputs(inputs);
    let counted = count(&inputs, reading, progress)?;
    let mut dealing = Dealing::on(&base);
    for name in &counted.names {
        if dealing.has(name) {
            return Err(Error::DuplicateName {
                name: name.clone(),
                first: base.path().display().to_string(),
                second: counted.origin(name).to_owned(),
            });
        }
    }
    let before = dealing.draft.plan.segments.len();
    let (places, elsewhere) = deal(&mut dealing, &counted)?;
    let mut filters = Filters::new(&dealing.draft, Some(base), path);
    for place in places.iter().flatten() {
        filters.need(place.segment)?;
    }
    progress.start("insert", inputs.iter().map(Input::length).sum())?;
    let locked = filters.locked();
    let insert = |d: usize, document: &Document| -> Result<()> {
        if let Some(Some(place)) = places.get(d) {
            document.for_each_chunk(|hashes| {
                locked.insert(place, hashes);
                Ok(progress.check()?)
            })?;
        }
        Ok(())
    };
    for_each_document(&inputs, reading, 0, progress, insert, |_| Ok(()))?;
    drop(locked);
    let added = Added {
        documents: places.iter().flatten().count() as u64,
        segments: (dealing.draft.plan.segments.len() - before) as u64,
        elsewhere,
    };
    let index = freeze(dealing, filters, &Target::File(path.to_owned()), threads, Mode::Map, progress)?;
    Ok((index, added))
}

/// Deals every document, opening segments where needed. Also how many belong to other shards.
fn deal(dealing: &mut Dealing, counted: &Counted) -> Result<(Vec<Option<Place>>, u64)> {
    let (node, nodes, seed) = (dealing.draft.node, dealing.draft.plan.nodes, dealing.draft.plan.seed);
    let mut places = vec![None; counted.names.len()];
    let mut elsewhere = 0;
    let mut left = Vec::new();
    for (d, (name, &items)) in counted.names.iter().zip(&counted.counts).enumerate() {
        if node.is_some_and(|n| node_of(name, seed, nodes) != n) {
            elsewhere += 1;
        } else if let Some(segment) = dealing.good_room_for(items) {
            dealing.sample(segment, counted.samples.document(d));
            places[d] = Some(dealing.deal(name.clone(), items, segment)?);
        } else {
            left.push(d);
        }
    }
    while !left.is_empty() {
        let first = dealing.draft.plan.segments.len();
        let more = open_segments(&dealing.draft.plan, counted, &left)?;
        dealing.extend_plan(more);
        dealing.draft.plan.check()?;
        let mut still = Vec::new();
        for d in left {
            let items = counted.counts[d];
            let new = first..dealing.draft.plan.segments.len();
            let Some(segment) = dealing.room_in(items, new) else {
                still.push(d);
                continue;
            };
            dealing.sample(segment, counted.samples.document(d));
            places[d] = Some(dealing.deal(counted.names[d].clone(), items, segment)?);
        }
        left = still;
    }
    Ok((places, elsewhere))
}

/// Segments for the documents `left`. Where a class of theirs is there, the new segment takes its hashes and rows and as
/// many buckets as give the same load, so that `fold` can put the two side by side.
fn open_segments(plan: &Plan, counted: &Counted, left: &[usize]) -> Result<Plan> {
    let mut segments: Vec<SegmentPlan> = Vec::new();
    let mut fresh = Vec::new();
    let mut like: Vec<(usize, Vec<u64>)> = Vec::new();
    for &d in left {
        let items = counted.counts[d];
        let sibling = (0..plan.segments.len())
            .filter(|&s| items <= plan.segments[s].largest)
            .min_by_key(|&s| plan.segments[s].largest);
        match sibling {
            None => fresh.push(items),
            Some(s) => match like.iter_mut().find(|(t, _)| *t == s) {
                Some((_, counts)) => counts.push(items),
                None => like.push((s, vec![items])),
            },
        }
    }
    for (s, counts) in like {
        match more_of(&plan.segments[s], &counts, plan.nodes) {
            Some(segment) => segments.push(segment),
            None => fresh.extend(counts),
        }
    }
    if !fresh.is_empty() {
        let total: u64 = fresh.iter().sum();
        let room = (HEADROOM * plan.items() as f64 / total.max(1) as f64).ceil().clamp(1.0, 64.0) as usize;
        let counts: Vec<u64> = fresh.iter().flat_map(|&c| std::iter::repeat_n(c, room)).collect();
        let multiplicity = plan.segments.iter().map(|s| s.multiplicity).fold(1.0, f64::max);
        let wish = Wish { fpr: plan.fpr, max_bytes: None, multiplicity, nodes: plan.nodes, seed: plan.seed };
        segments.extend(plan::plan(&counts, &wish)?.segments);
    }
    Ok(Plan { segments, ..plan.clone() })
}

/// A segment like `old` for these documents; none when its few buckets would tell near-identical documents apart badly.
fn more_of(old: &SegmentPlan, counts: &[u64], nodes: u32) -> Option<SegmentPlan> {
    let own: u64 = counts.iter().sum();
    let direct = old.repetitions.len() == 1;
    let mean = |items: u64, documents: u64| items as f64 / documents.max(1) as f64;
    if direct && mean(own, counts.len() as u64) < 0.75 * mean(old.items, old.documents) {
        return None; // with buckets of their own, smaller documents would waste most of theirs
    }
    let share = |whole: u64| (HEADROOM * whole as f64).ceil() as u64;
    let items = own.max(share(old.items)).max(1);
    let documents = (counts.len() as u64).max(share(old.documents));
    let mut new = SegmentPlan { documents, items, ..old.clone() };
    for repetition in &mut new.repetitions {
        let load = old.items.div_ceil(u64::from(repetition.buckets)).max(1);
        let wish = if direct { plan::share(documents, nodes) * u64::from(nodes) } else { items.div_ceil(load).max(2) };
        let step = u64::from(nodes) * if direct || wish < 64 { 1 } else { 64 };
        let buckets = wish.next_multiple_of(step);
        if buckets > u64::from(rate::MAX_BUCKETS) {
            return None;
        }
        repetition.buckets = buckets as u32;
        let k = documents as f64;
        repetition.collision =
            if direct { 0.0 } else { ((k / buckets as f64 - 1.0) / (k - 1.0).max(1.0)).clamp(0.0, 1.0) };
    }
    let tells_apart = new.shared() <= (1.25 * old.shared()).max(0.1);
    tells_apart.then_some(new)
}

/// Standard input can be read only once: it is kept beside the index while documents are added.
struct Spooled(Option<std::path::PathBuf>);

impl Spooled {
    fn of(index: &Path, inputs: &[Input]) -> Result<Self> {
        if !inputs.iter().any(Input::is_stdin) {
            return Ok(Self(None));
        }
        let path = with_suffix(index, ".stdin");
        let copy = std::fs::File::create(&path).and_then(|mut f| std::io::copy(&mut std::io::stdin(), &mut f));
        copy.map_err(thrifty_base::Error::io(&path, "keeping standard input"))?;
        Ok(Self(Some(path)))
    }

    fn inputs(&self, inputs: &[Input]) -> Vec<Input> {
        let put = |input: &Input| match (&self.0, input.is_stdin()) {
            (Some(path), true) => Input { path: path.clone(), name: input.name.clone() },
            _ => input.clone(),
        };
        inputs.iter().map(put).collect()
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}
