//! A frozen index: immutable, shared by threads, mapped or in memory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::iter;
use std::ops::Range;
use std::path::Path;

use serde::Serialize;
use thrifty_base::container::{Container, Damage};
use thrifty_base::memory::Mode;
use thrifty_base::progress::Progress;
use thrifty_base::{hash, philox};

use crate::draft::Draft;
use crate::format::{KIND, Meta, section};
use crate::input::By;
use crate::items::Items;
use crate::plan::{Plan, Repetition, SegmentPlan};
use crate::sample::Table;
use crate::segment::Segment;
use crate::{Result, rows};

/// An index that answers queries.
#[derive(Debug)]
pub struct Index {
    container: Container,
    meta: Meta,
    names: Range<usize>,
    name_ends: Vec<u32>,
    counts: Vec<u64>,
    segment_of: Vec<u16>,
    removed: Vec<u32>,
    sample: Table,
    buckets: Vec<Vec<Vec<u16>>>,
    segments: Vec<Segment>,
    /// Document in the order of the file, by id.
    order: Vec<u32>,
}

impl Index {
    /// Opens an index file. Everything but the rows is checked against its checksums.
    pub fn open(path: &Path, mode: Mode) -> Result<Self> {
        Self::from_container(Container::open(path, KIND, mode)?)
    }

    pub(crate) fn from_container(container: Container) -> Result<Self> {
        let meta = read_meta(&container)?;
        let name_ends: Vec<u32> = {
            let bytes = container.section(section::NAME_ENDS)?;
            container.numbers(section::NAME_ENDS, bytes.len() / 4)?.to_vec()
        };
        let documents = name_ends.len();
        check_names(&container, &name_ends)?;
        let counts = container.numbers::<u64>(section::ITEMS, documents)?.to_vec();
        let segment_of = container.numbers::<u16>(section::SEGMENTS, documents)?.to_vec();
        let mut in_segment = vec![Vec::new(); meta.plan.segments.len()];
        for (d, &s) in segment_of.iter().enumerate() {
            let Some(list) = in_segment.get_mut(usize::from(s)) else {
                return Err(container
                    .bad(section::SEGMENTS, format!("document {d} is in segment {s}, which is not there"))
                    .into());
            };
            list.push(d as u32);
        }
        let removed = container.section(section::REMOVED)?;
        let removed = container.numbers::<u32>(section::REMOVED, removed.len() / 4)?.to_vec();
        if !removed.is_sorted_by(|a, b| a < b) || removed.last().is_some_and(|&d| d as usize >= documents) {
            return Err(container.bad(section::REMOVED, "not a list of documents of this index").into());
        }
        let sample = read_sample(&container, &meta)?;
        let gone: HashSet<u32> = removed.iter().copied().collect();
        let (mut segments, mut buckets) = (Vec::new(), Vec::new());
        let mut order = Vec::with_capacity(documents);
        for (s, documents) in in_segment.into_iter().enumerate() {
            let (segment, table, slots) = read_segment(&container, &meta, s, documents, &gone, order.len() as u32)?;
            order.extend(slots);
            segments.push(segment);
            buckets.push(table);
        }
        container.expect_random_reads();
        let names = container.range(section::NAMES)?;
        Ok(Self { container, meta, names, name_ends, counts, segment_of, removed, sample, buckets, segments, order })
    }

    /// How documents and queries are cut into items.
    pub fn items(&self) -> Items {
        self.meta.items
    }

    /// The plan it was built by.
    pub fn plan(&self) -> &Plan {
        &self.meta.plan
    }

    /// Which shard of a two-level index this is, if it is one.
    pub fn node(&self) -> Option<u32> {
        self.meta.node
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        self.container.path()
    }

    /// The file, unless the index is in memory only.
    pub fn file(&self) -> Option<&Path> {
        self.container.file()
    }

    /// Size of the file in bytes, everything included.
    pub fn bytes(&self) -> u64 {
        self.container.length()
    }

    /// What one document was when it was built from files.
    pub fn by(&self) -> Option<By> {
        self.meta.by
    }

    /// Number of documents; their ids run from 0 to this. Ids follow the buckets, so that answers come out sorted; they
    /// hold for this opened index only: names are what stays.
    pub fn documents(&self) -> usize {
        self.order.len()
    }

    /// Sum over documents of their distinct items, removed documents included.
    pub fn pairs(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Distinct items of a document.
    pub fn item_count(&self, id: u32) -> u64 {
        self.counts[self.order[id as usize] as usize]
    }

    /// Name of a document.
    pub fn name(&self, id: u32) -> &str {
        self.name_at(self.order[id as usize] as usize)
    }

    /// Name of the d-th document of the file.
    fn name_at(&self, d: usize) -> &str {
        let from = if d == 0 { 0 } else { self.name_ends[d - 1] as usize };
        let bytes = &self.container.bytes()[self.names.start + from..self.names.start + self.name_ends[d] as usize];
        // Checked when the file was opened; a file that changed on disk since gives an empty name, not a crash.
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Ids by name.
    pub fn ids_by_name(&self) -> HashMap<&str, u32> {
        (0..self.documents() as u32).map(|id| (self.name(id), id)).collect()
    }

    /// Place in the file of a document.
    pub(crate) fn place_in_file(&self, id: u32) -> u32 {
        self.order[id as usize]
    }

    /// Documents of like size with rows of their own.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Packed rows of a segment's repetition, with the zeros behind them.
    pub(crate) fn rows(&self, segment: usize, repetition: usize) -> &[u8] {
        &self.container.bytes()[self.segments[segment].rows_range(repetition)]
    }

    /// Present mean number of documents that hold an item, by segment, from the sample.
    pub fn multiplicity(&self, segment: usize) -> f64 {
        self.sample.multiplicity(segment as u16)
    }

    /// How many documents of a segment hold an item of one of them: numbers and their shares, from the sample.
    ///
    /// A small sample lacks numbers that there are, so the square root of its size more items (what makes the largest
    /// error of a multinomial estimate least, Steinhaus 1957) are spread over all numbers, evenly on a logarithmic scale.
    pub(crate) fn holders(&self, segment: usize) -> Vec<(u32, f64)> {
        let of = (segment as u16, 0)..=(segment as u16, u64::MAX);
        let (mut pairs, mut items) = (BTreeMap::new(), 0.0);
        for (_, &holders) in self.sample.counts.range(of) {
            *pairs.entry(holders).or_insert(0.0) += f64::from(holders);
            items += 1.0;
        }
        let spread = 1.0 / f64::max(1.0, f64::sqrt(items));
        let all: f64 = pairs.values().sum();
        let shares = pairs.into_iter().map(|(holders, of)| (holders, (1.0 - spread) * of / all));
        let most = self.segments[segment].live() as u32;
        let steps = iter::successors(Some(1u32), |&v| Some(v + v.div_ceil(4))).take_while(|&v| v <= most.max(1));
        let each = spread / steps.clone().count() as f64;
        shares.chain(steps.map(|v| (v, each))).collect()
    }

    /// Reads every byte and lists what is damaged.
    pub fn verify(&self, progress: &Progress) -> Result<Vec<Damage>> {
        Ok(self.container.verify(progress)?)
    }

    /// For printing: the present state beside the plan.
    pub fn describe(&self) -> Described {
        let segments: Vec<DescribedSegment> = self
            .segments
            .iter()
            .enumerate()
            .map(|(i, s)| {
                let multiplicity = self.multiplicity(i);
                DescribedSegment {
                    documents: s.live(),
                    planned_documents: s.plan().documents,
                    items: s.documents().iter().map(|&d| self.counts[d as usize]).sum(),
                    planned_items: s.plan().items,
                    buckets: s.shape()[0].buckets,
                    repetitions: s.shape().to_vec(),
                    fill: s.fill().to_vec(),
                    planned_fpr: s.plan().fpr,
                    fpr: s.present_fpr(),
                    multiplicity,
                    fpr_at_multiplicity: s.present_fpr_at(multiplicity),
                }
            })
            .collect();
        let items = (0..self.documents() as u32).map(|id| self.item_count(id)).sum();
        let live = (self.documents() as f64).max(1.0);
        let mean = |of: &dyn Fn(&DescribedSegment) -> f64| {
            segments.iter().map(|s| s.documents as f64 * of(s)).sum::<f64>() / live
        };
        Described {
            format: KIND.version,
            items_are: self.meta.items,
            documents: self.documents(),
            removed: self.removed.len(),
            items,
            bytes: self.bytes(),
            bits_per_item: 8.0 * self.bytes() as f64 / (items as f64).max(1.0),
            seed: self.meta.plan.seed,
            nodes: self.meta.plan.nodes,
            shard: self.meta.node,
            by: self.meta.by,
            asked_fpr: self.meta.plan.fpr,
            planned_fpr: mean(&|s| s.planned_fpr),
            fpr: mean(&|s| s.fpr),
            fpr_at_multiplicity: mean(&|s| s.fpr_at_multiplicity),
            lines_per_item: self.meta.plan.lines_per_item(),
            segments,
        }
    }

    /// Everything but the rows, to be changed and written anew.
    pub(crate) fn draft(&self) -> Draft {
        Draft {
            items: self.meta.items,
            plan: self.meta.plan.clone(),
            node: self.meta.node,
            by: self.meta.by,
            names: (0..self.counts.len()).map(|d| self.name_at(d).to_owned()).collect(),
            counts: self.counts.clone(),
            segment_of: self.segment_of.clone(),
            removed: self.removed.clone(),
            sample: self.sample.clone(),
            buckets: self.buckets.clone(),
        }
    }
}

/// An index as it is printed.
#[derive(Clone, Debug, Serialize)]
pub struct Described {
    /// Version of the file format.
    pub format: u32,
    /// What an item is.
    pub items_are: Items,
    /// Documents that queries can find.
    pub documents: usize,
    /// Documents taken out.
    pub removed: usize,
    /// (document, distinct item) pairs that queries can find.
    pub items: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Size of the file over pairs.
    pub bits_per_item: f64,
    /// Key of hashes and partitions.
    pub seed: u64,
    /// Shards that the plan is for.
    pub nodes: u32,
    /// Which of them this is.
    pub shard: Option<u32>,
    /// What one document was when it was built from files.
    pub by: Option<By>,
    /// Rate that was asked for.
    pub asked_fpr: f64,
    /// Rate planned for an item that no document holds.
    pub planned_fpr: f64,
    /// The same from the bits that are set now.
    pub fpr: f64,
    /// Present rate for an item that the usual number of other documents hold.
    pub fpr_at_multiplicity: f64,
    /// Cache lines read for an item.
    pub lines_per_item: f64,
    /// Size classes, and what `add` opened.
    pub segments: Vec<DescribedSegment>,
}

/// A segment as it is printed.
#[derive(Clone, Debug, Serialize)]
pub struct DescribedSegment {
    /// Documents that queries can find.
    pub documents: usize,
    /// Documents that the plan holds.
    pub planned_documents: u64,
    /// (document, distinct item) pairs.
    pub items: u64,
    /// Pairs that the plan holds.
    pub planned_items: u64,
    /// Buckets of the first repetition (B).
    pub buckets: u32,
    /// Shape of each repetition.
    pub repetitions: Vec<Repetition>,
    /// Share of bits set, by repetition.
    pub fill: Vec<f64>,
    /// Planned rate for an item that no document holds.
    pub planned_fpr: f64,
    /// The same from the bits that are set now.
    pub fpr: f64,
    /// Mean number of documents that hold an item, from the sample.
    pub multiplicity: f64,
    /// Present rate for an item that so many other documents hold.
    pub fpr_at_multiplicity: f64,
}

fn read_meta(container: &Container) -> Result<Meta> {
    let meta: Meta = serde_json::from_slice(container.section(section::META)?)
        .map_err(|e| container.bad(section::META, format!("not the description of an index: {e}")))?;
    for (what, found, supported) in [
        ("hash functions", meta.hash_version, hash::VERSION),
        ("random generator", meta.philox_version, philox::VERSION),
    ] {
        if found != supported {
            return Err(container
                .bad(section::META, format!("version {found} of the {what}; this program has {supported}"))
                .into());
        }
    }
    let nodes = meta.plan.nodes;
    let whole = meta.node.is_none_or(|n| n < nodes) && nodes >= 1;
    let divides = meta.node.is_none()
        || whole && meta.plan.segments.iter().flat_map(|s| &s.repetitions).all(|r| r.buckets.is_multiple_of(nodes));
    let checked = meta.plan.check().and(meta.items.check().map(|_| ()));
    if let (true, true, Ok(())) = (whole, divides, &checked) {
        return Ok(meta);
    }
    let why = checked.err().map_or_else(|| "shards that do not fit the plan".to_owned(), |e| e.to_string());
    Err(container.bad(section::META, why).into())
}

fn check_names(container: &Container, ends: &[u32]) -> Result<()> {
    let names = container.section(section::NAMES)?;
    let mut from = 0;
    for &end in ends {
        let fine = names.get(from..end as usize).is_some_and(|n| std::str::from_utf8(n).is_ok());
        if !fine {
            return Err(container.bad(section::NAME_ENDS, "names are cut at impossible places").into());
        }
        from = end as usize;
    }
    if from != names.len() {
        return Err(container.bad(section::NAMES, "more names than documents").into());
    }
    Ok(())
}

fn read_sample(container: &Container, meta: &Meta) -> Result<Table> {
    let n = container.section(section::SAMPLE_HASHES)?.len() / 8;
    let hashes = container.numbers::<u64>(section::SAMPLE_HASHES, n)?;
    let segments = container.numbers::<u16>(section::SAMPLE_SEGMENTS, n)?;
    let counts = container.numbers::<u32>(section::SAMPLE_COUNTS, n)?;
    let counts = segments.iter().zip(hashes).zip(counts).map(|((&s, &h), &c)| ((s, h), c)).collect();
    Ok(Table { shift: meta.sample_shift.min(63), counts })
}

fn read_segment(
    container: &Container,
    meta: &Meta,
    s: usize,
    documents: Vec<u32>,
    gone: &HashSet<u32>,
    first_id: u32,
) -> Result<(Segment, Vec<Vec<u16>>, Vec<u32>)> {
    let plan: &SegmentPlan = &meta.plan.segments[s];
    let shape = meta.shape(plan);
    let name = section::buckets(s);
    let flat = container.numbers::<u16>(&name, shape.len() * documents.len())?;
    let mut table = Vec::new();
    for (r, repetition) in shape.iter().enumerate() {
        let of = &flat[r * documents.len()..(r + 1) * documents.len()];
        if of.iter().any(|&b| u32::from(b) >= repetition.buckets) {
            let what = format!("a bucket beyond the {} that there are", repetition.buckets);
            return Err(container.bad(&name, what).into());
        }
        table.push(of.to_vec());
    }
    let mut ranges = Vec::new();
    for (r, repetition) in shape.iter().enumerate() {
        let name = section::rows(s, r);
        let range = container.range(&name)?;
        if range.len() as u64 != rows::section_length(repetition) {
            return Err(container.bad(&name, format!("{} bytes do not fit the plan", range.len())).into());
        }
        ranges.push(range);
    }
    let buckets = shape.iter().map(|r| r.buckets as usize).sum();
    let mut all_fill = container.numbers::<u64>(&section::fill(s), buckets)?;
    let fill = shape.iter().map(|r| all_fill.split_off(..r.buckets as usize).expect("as many as were asked for"));
    let fill: Vec<&[u64]> = fill.collect();
    let (segment, slots) =
        Segment::new(plan.clone(), shape, meta.plan.seed, documents, &table, ranges, &fill, gone, first_id);
    Ok((segment, table, slots))
}
