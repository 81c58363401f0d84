//! Which segment and buckets each document goes to.

use std::collections::HashSet;

use crate::draft::Draft;
use crate::index::Index;
use crate::items::Items;
use crate::partition::Dealer;
use crate::plan::{self, Plan};
use crate::sample::Table;
use crate::{Error, Result};

/// Where a document was dealt to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: usize,
    /// Bucket in each repetition.
    pub(crate) buckets: Vec<u16>,
}

/// The documents of an index so far and the loads of its buckets.
pub(crate) struct Dealing {
    pub(crate) draft: Draft,
    known: HashSet<String>,
    segments: Vec<Part>,
}

struct Part {
    dealers: Vec<Dealer>,
    items: u64,
    /// Distinct sampled items, and the sum of their holders.
    sampled: (u64, u64),
}

impl Dealing {
    /// No documents yet. `node`: only this shard of a plan for several nodes.
    pub(crate) fn new(items: Items, plan: Plan, node: Option<u32>, sample_shift: u32) -> Result<Self> {
        plan.check()?;
        if let Some(node) = node
            && (plan.nodes < 2 || node >= plan.nodes)
        {
            let what = if plan.nodes < 2 {
                "the plan is for one node; plan for as many as there are shards".to_owned()
            } else {
                format!("{node}/{} is not possible; shards count from 0 to {}", plan.nodes, plan.nodes - 1)
            };
            return Err(Error::argument("shard", what));
        }
        let buckets = plan.segments.iter().map(|s| vec![Vec::new(); s.repetitions.len()]).collect();
        let draft = Draft {
            items,
            plan,
            node,
            by: None,
            names: Vec::new(),
            counts: Vec::new(),
            segment_of: Vec::new(),
            removed: Vec::new(),
            sample: Table { shift: sample_shift, ..Table::default() },
            buckets,
        };
        let mut this = Self { draft, known: HashSet::new(), segments: Vec::new() };
        this.open_parts();
        Ok(this)
    }

    /// Continues an index.
    pub(crate) fn on(base: &Index) -> Self {
        let known = base.ids_by_name().into_keys().map(str::to_owned).collect();
        let mut this = Self { draft: base.draft(), known, segments: Vec::new() };
        this.open_parts();
        let draft = &this.draft;
        let mut at = vec![0; this.segments.len()];
        for (&s, &items) in draft.segment_of.iter().zip(&draft.counts) {
            let s = usize::from(s);
            let part = &mut this.segments[s];
            part.items += items;
            for (dealer, buckets) in part.dealers.iter_mut().zip(&draft.buckets[s]) {
                dealer.put(u32::from(buckets[at[s]]), items);
            }
            at[s] += 1;
        }
        for (&(segment, _), &holders) in &draft.sample.counts {
            if let Some(part) = this.segments.get_mut(usize::from(segment)) {
                part.sampled.0 += 1;
                part.sampled.1 += u64::from(holders);
            }
        }
        this
    }

    /// Adds segments to the plan.
    pub(crate) fn extend_plan(&mut self, more: Plan) {
        for segment in more.segments {
            self.draft.buckets.push(vec![Vec::new(); segment.repetitions.len()]);
            self.draft.plan.segments.push(segment);
        }
        self.open_parts();
    }

    fn open_parts(&mut self) {
        let Draft { plan, node, .. } = &self.draft;
        let nodes = if node.is_some() { 1 } else { plan.nodes };
        let meta = self.draft.meta();
        for segment in &plan.segments[self.segments.len()..] {
            let shape = meta.shape(segment);
            let dealers = (0..shape.len())
                .map(|r| {
                    let load = segment.items.div_ceil(u64::from(segment.repetitions[r].buckets));
                    Dealer::new(shape[r].buckets, nodes, r as u32, shape.len() as u32, load, plan.seed)
                })
                .collect();
            self.segments.push(Part { dealers, items: 0, sampled: (0, 0) });
        }
    }

    /// Whether a document of this name is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.known.contains(name)
    }

    /// The segment with room for one more document of `items` items: the tightest class that takes it.
    pub(crate) fn room_for(&self, items: u64) -> Option<usize> {
        self.room_in(items, 0..self.segments.len())
    }

    /// The same, passing over segments whose documents have become more alike than planned (V/B).
    pub(crate) fn good_room_for(&self, items: u64) -> Option<usize> {
        let good = (0..self.segments.len()).filter(|&s| self.keeps_multiplicity(s));
        self.room_in(items, good)
    }

    /// The same among some segments.
    pub(crate) fn room_in(&self, items: u64, segments: impl Iterator<Item = usize>) -> Option<usize> {
        // Documents are dealt to shards by hash: some get more than their share.
        let nodes = if self.draft.node.is_some() { self.draft.plan.nodes } else { 1 };
        segments
            .filter(|&s| {
                let (plan, part) = (&self.draft.plan.segments[s], &self.segments[s]);
                let documents = plan::share(plan.documents, nodes);
                let most = plan.items as f64 * documents as f64 / plan.documents.max(1) as f64;
                items <= plan.largest
                    && (self.draft.buckets[s][0].len() as u64) < documents
                    && part.items + items <= most.ceil() as u64
            })
            .min_by_key(|&s| self.draft.plan.segments[s].largest)
    }

    /// Whether documents of the segment are still as unlike each other as planned, or few enough share a bucket.
    fn keeps_multiplicity(&self, s: usize) -> bool {
        let (items, holders) = self.segments[s].sampled;
        let plan = &self.draft.plan.segments[s];
        let present = if items == 0 { 1.0 } else { holders as f64 / items as f64 };
        present / plan.multiplicity * plan.shared() <= (1.25 * plan.shared()).max(0.1)
    }

    /// Takes a document in and deals it to buckets of `segment`.
    pub(crate) fn deal(&mut self, name: String, items: u64, segment: usize) -> Result<Place> {
        let part = &mut self.segments[segment];
        let mut buckets = Vec::with_capacity(part.dealers.len());
        for dealer in &mut part.dealers {
            let Some(bucket) = dealer.deal(&name, items) else {
                let plan = &self.draft.plan.segments[segment];
                return Err(Error::Capacity {
                    what: format!(
                        "'{name}' is one document too many: each needs a bucket of its own and the plan has {} for {} \
                         documents; plan for more",
                        plan.buckets(),
                        plan.documents
                    ),
                });
            };
            buckets.push(bucket as u16);
        }
        for (of, &bucket) in self.draft.buckets[segment].iter_mut().zip(&buckets) {
            of.push(bucket);
        }
        part.items += items;
        self.known.insert(name.clone());
        self.draft.names.push(name);
        self.draft.counts.push(items);
        self.draft.segment_of.push(segment as u16);
        Ok(Place { segment, buckets })
    }

    /// Notes the distinct items of a dealt document in the sample; those that are not sampled are passed over.
    pub(crate) fn sample(&mut self, segment: usize, distinct: &[u64]) {
        let sampled = &mut self.segments[segment].sampled;
        let (new, pairs) = self.draft.sample.add(segment as u16, distinct);
        sampled.0 += new;
        sampled.1 += pairs;
    }

    /// Items of each bucket, counted once a document, by segment and repetition.
    pub(crate) fn loads(&self) -> Vec<Vec<Vec<u64>>> {
        self.segments.iter().map(|p| p.dealers.iter().map(|d| d.loads().to_vec()).collect()).collect()
    }
}
