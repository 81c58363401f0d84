//! The sections of an index file. docs/formats.md describes them; a change of meaning is a new version.

use serde::{Deserialize, Serialize};
use thrifty_base::container::{Kind, Spec};
use thrifty_base::{hash, philox};

use crate::input::By;
use crate::items::Items;
use crate::plan::{Plan, Repetition, SegmentPlan};
use crate::rows;

/// Kind and version of index files.
pub const KIND: Kind = Kind { name: "rambo", version: 1 };

/// What stands in the section `meta`, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Version of the hash functions.
    pub hash_version: u32,
    /// Version of the random generator.
    pub philox_version: u32,
    /// How documents are cut into items.
    pub items: Items,
    /// The plan of the whole index, also in a shard.
    pub plan: Plan,
    /// Which shard this is, where the file holds one of several.
    pub node: Option<u32>,
    /// What one document was, where it was built from files.
    pub by: Option<By>,
    /// Items whose hash starts with this many zero bits are in the sample.
    pub sample_shift: u32,
}

impl Meta {
    /// Meta of the current versions.
    pub fn new(items: Items, plan: Plan, node: Option<u32>, by: Option<By>, sample_shift: u32) -> Self {
        Self { hash_version: hash::VERSION, philox_version: philox::VERSION, items, plan, node, by, sample_shift }
    }

    /// Shape of a segment in this file: the whole, or the share of one node.
    pub fn shape(&self, segment: &SegmentPlan) -> Vec<Repetition> {
        let nodes = if self.node.is_some() { self.plan.nodes } else { 1 };
        segment.repetitions.iter().map(|r| r.shard(nodes)).collect()
    }
}

/// Names of the sections.
pub(crate) mod section {
    pub(crate) const META: &str = "meta";
    pub(crate) const NAMES: &str = "names";
    pub(crate) const NAME_ENDS: &str = "name_ends";
    pub(crate) const ITEMS: &str = "items";
    pub(crate) const SEGMENTS: &str = "segments";
    pub(crate) const REMOVED: &str = "removed";
    pub(crate) const SAMPLE_HASHES: &str = "sample.hashes";
    pub(crate) const SAMPLE_SEGMENTS: &str = "sample.segments";
    pub(crate) const SAMPLE_COUNTS: &str = "sample.counts";

    pub(crate) fn buckets(segment: usize) -> String {
        format!("{segment}.buckets")
    }

    pub(crate) fn rows(segment: usize, repetition: usize) -> String {
        format!("{segment}.rows.{repetition}")
    }

    pub(crate) fn fill(segment: usize) -> String {
        format!("{segment}.fill")
    }
}

/// Sizes that the layout of a file depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sizes {
    pub(crate) meta: usize,
    pub(crate) names: usize,
    pub(crate) documents: usize,
    pub(crate) removed: usize,
    pub(crate) sample: usize,
}

/// Shape in a file and number of documents of a segment.
pub(crate) type Shape = (Vec<Repetition>, usize);

/// The sections of a file in order.
pub(crate) fn specs(segments: &[Shape], sizes: Sizes) -> Vec<Spec> {
    let mut out = vec![
        Spec::small(section::META, sizes.meta),
        Spec::small(section::NAMES, sizes.names),
        Spec::small(section::NAME_ENDS, 4 * sizes.documents),
        Spec::small(section::ITEMS, 8 * sizes.documents),
        Spec::small(section::SEGMENTS, 2 * sizes.documents),
        Spec::small(section::REMOVED, 4 * sizes.removed),
        Spec::small(section::SAMPLE_HASHES, 8 * sizes.sample),
        Spec::small(section::SAMPLE_SEGMENTS, 2 * sizes.sample),
        Spec::small(section::SAMPLE_COUNTS, 4 * sizes.sample),
    ];
    for (i, (shape, documents)) in segments.iter().enumerate() {
        out.push(Spec::small(section::buckets(i), 2 * shape.len() * documents));
    }
    for (i, (shape, _)) in segments.iter().enumerate() {
        for (r, repetition) in shape.iter().enumerate() {
            out.push(Spec::bulk(section::rows(i, r), rows::section_length(repetition)));
        }
    }
    for (i, (shape, _)) in segments.iter().enumerate() {
        out.push(Spec::small(section::fill(i), 8 * shape.iter().map(|r| r.buckets as usize).sum::<usize>()));
    }
    out
}
