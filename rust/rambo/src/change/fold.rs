//! Making an index smaller after it was built: buckets onto buckets, rows onto rows.
//!
//! A bucket folded onto another is the filter of both their documents; a row folded onto its neighbour is the filter of
//! half the length, since positions are scaled hashes. Either halves the memory and makes the filters fuller.
//! Segments whose filters have equal rows and hashes are first put side by side into one, which costs nothing.

use std::path::Path;
use std::sync::Arc;

use thrifty_base::container::Target;
use thrifty_base::files::WriteLock;
use thrifty_base::memory::Mode;
use thrifty_base::progress::Progress;

use super::{SideBySide, check_buckets};
use crate::draft::{Draft, RowSource};
use crate::index::Index;
use crate::plan::SegmentPlan;
use crate::{Error, Result, rows};

/// What to fold to. Numbers are those of the largest segment's first repetition; all others are folded by the same factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoldTo {
    /// So many buckets, a divisor of those that there are. Segments with one repetition keep theirs: documents that share
    /// their only bucket could not be told apart.
    Buckets(u32),
    /// So many rows, a divisor of those that there are.
    Rows(u64),
    /// A file of at most so many bytes, with the least loss of rate.
    MaxBytes(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Factors {
    buckets: u32,
    rows: u64,
}

/// Folds the index at `path` into `out`, which may be the same.
pub fn fold(path: &Path, out: &Path, to: FoldTo, threads: usize, progress: &Progress) -> Result<Index> {
    let _lock = WriteLock::take(out)?;
    let base = Arc::new(Index::open(path, Mode::Map)?);
    if base.node().is_some() {
        return Err(Error::Mismatch {
            what: format!("{}: a shard; stack the shards and fold the whole", path.display()),
        });
    }
    let merged = Merged::new(&base)?;
    let factors = merged.factors(to)?;
    let (draft, source) = merged.fold(factors);
    draft.save(&Target::File(out.to_owned()), &source, threads, Mode::Map, progress)
}

/// An index whose segments of equal rows and hashes are side by side.
struct Merged {
    draft: Draft,
    side: SideBySide,
}

impl Merged {
    fn new(base: &Arc<Index>) -> Result<Self> {
        let old = base.draft();
        let mut draft = Draft {
            buckets: Vec::new(),
            plan: crate::plan::Plan { segments: Vec::new(), ..old.plan.clone() },
            ..old.clone()
        };
        let mut sources: Vec<Vec<(Arc<Index>, usize)>> = Vec::new();
        let mut new_of = Vec::new();
        for (s, segment) in old.plan.segments.iter().enumerate() {
            let alike = |p: &SegmentPlan| {
                let shape = |p: &SegmentPlan| p.repetitions.iter().map(|r| (r.hashes, r.rows)).collect::<Vec<_>>();
                shape(p) == shape(segment)
            };
            let at = draft.plan.segments.iter().position(alike).unwrap_or(draft.plan.segments.len());
            new_of.push(at as u16);
            if at == draft.plan.segments.len() {
                draft.plan.segments.push(segment.clone());
                draft.buckets.push(vec![Vec::new(); segment.repetitions.len()]);
                sources.push(Vec::new());
            } else {
                let sum = &mut draft.plan.segments[at];
                sum.documents += segment.documents;
                sum.items += segment.items;
                sum.largest = sum.largest.max(segment.largest);
                for (a, b) in sum.repetitions.iter_mut().zip(&segment.repetitions) {
                    a.buckets += b.buckets;
                    check_buckets(a.buckets)?;
                }
            }
            sources[at].push((base.clone(), s));
        }
        let side = SideBySide { sources };
        // Documents of a merged segment come in the order of the file, whichever old segment they are from.
        let mut at = vec![0; old.plan.segments.len()];
        for (d, &s) in old.segment_of.iter().enumerate() {
            let (s, new) = (usize::from(s), new_of[usize::from(s)]);
            draft.segment_of[d] = new;
            let new = usize::from(new);
            for r in 0..old.buckets[s].len() {
                let before: u32 = side.sources[new]
                    .iter()
                    .take_while(|(_, other)| *other != s)
                    .map(|(index, other)| index.segments()[*other].shape()[r].buckets)
                    .sum();
                draft.buckets[new][r].push((u32::from(old.buckets[s][r][at[s]]) + before) as u16);
            }
            at[s] += 1;
        }
        draft.sample.counts.clear();
        for (&(s, hash), &holders) in &old.sample.counts {
            let new = new_of.get(usize::from(s)).copied().unwrap_or(s);
            *draft.sample.counts.entry((new, hash)).or_default() += holders;
        }
        Ok(Self { draft, side })
    }

    fn main(&self) -> &SegmentPlan {
        self.draft.plan.segments.iter().max_by_key(|s| s.items).expect("an index has a segment")
    }

    fn factors(&self, to: FoldTo) -> Result<Factors> {
        match to {
            FoldTo::Buckets(wish) => {
                let have = self
                    .draft
                    .plan
                    .segments
                    .iter()
                    .filter(|s| s.repetitions.len() > 1)
                    .max_by_key(|s| s.items)
                    .map(|s| s.repetitions[0].buckets);
                let Some(have) = have else {
                    return Err(Error::argument(
                        "buckets",
                        "every document of this index has a bucket of its own, which can't be shared; fold rows",
                    ));
                };
                let fits = |f: u32| f >= 1 && self.takes_buckets(f);
                let possible = || (1..=have).filter(|&n| have.is_multiple_of(n) && fits(have / n)).map(u64::from);
                if wish == 0 || !have.is_multiple_of(wish) || !fits(have / wish) {
                    return Err(not_possible("buckets", u64::from(wish), &possible().collect::<Vec<_>>()));
                }
                Ok(Factors { buckets: have / wish, rows: 1 })
            }
            FoldTo::Rows(wish) => {
                let have = self.main().repetitions[0].rows;
                let fits = |f: u64| f >= 1 && self.takes_rows(f);
                let possible =
                    || (0..40).map(|i| 1 << i).filter(|&f| have.is_multiple_of(f) && fits(f)).map(|f| have / f);
                if wish == 0 || !have.is_multiple_of(wish) || !fits(have / wish) {
                    return Err(not_possible("rows", wish, &possible().collect::<Vec<_>>()));
                }
                Ok(Factors { buckets: 1, rows: have / wish })
            }
            FoldTo::MaxBytes(wish) => {
                let rows = (0..40).map(|i| 1u64 << i).filter(|&f| self.takes_rows(f));
                let candidates = rows.flat_map(|rows| {
                    (0..16)
                        .map(|i| 1u32 << i)
                        .filter(|&f| self.takes_buckets(f))
                        .map(move |buckets| Factors { buckets, rows })
                });
                let mut sized: Vec<(u64, f64, Factors)> = candidates
                    .map(|f| {
                        let plan = self.plan(f);
                        (plan.bytes(self.draft.names.len()), plan.predicted_fpr_at_multiplicity(), f)
                    })
                    .collect();
                sized.sort_by(|a, b| a.1.total_cmp(&b.1));
                if let Some(best) = sized.iter().find(|c| c.0 <= wish) {
                    return Ok(best.2);
                }
                let least = sized.iter().map(|c| c.0).min().unwrap_or(0);
                Err(Error::Infeasible {
                    what: format!("max-bytes {wish} can't be reached by folding; the smallest possible is {least}"),
                })
            }
        }
    }

    fn takes_buckets(&self, factor: u32) -> bool {
        let folded = self.draft.plan.segments.iter().filter(|s| s.repetitions.len() > 1);
        folded.flat_map(|s| &s.repetitions).all(|r| r.buckets.is_multiple_of(factor) && r.buckets / factor >= 2)
    }

    fn takes_rows(&self, factor: u64) -> bool {
        self.draft.plan.segments.iter().flat_map(|s| &s.repetitions).all(|r| r.rows.is_multiple_of(factor))
    }

    /// The plan after folding. A filter whose bits are set with probability f has them set with 1 - (1 - f)^2 when two
    /// halves are laid on each other.
    fn plan(&self, factors: Factors) -> crate::plan::Plan {
        let mut plan = self.draft.plan.clone();
        for segment in &mut plan.segments {
            let buckets = bucket_factor(segment, factors);
            let hashes = f64::from(segment.hashes());
            let fill = segment.fpr.powf(1.0 / hashes);
            let times = f64::from(buckets) * factors.rows as f64;
            segment.fpr = (1.0 - (1.0 - fill).powf(times)).powf(hashes);
            for repetition in &mut segment.repetitions {
                repetition.buckets /= buckets;
                repetition.rows /= factors.rows;
                if buckets > 1 {
                    // Documents that shared a bucket still do; as buckets get fewer, more do.
                    repetition.collision = (repetition.collision * f64::from(buckets)).min(1.0);
                }
            }
        }
        plan.fpr = plan.predicted_fpr();
        plan
    }

    fn fold(self, factors: Factors) -> (Draft, Folded) {
        let plan = self.plan(factors);
        let mut draft = self.draft;
        for (segment, tables) in draft.plan.segments.iter().zip(&mut draft.buckets) {
            let factor = bucket_factor(segment, factors);
            for (repetition, of) in segment.repetitions.iter().zip(tables) {
                let left = repetition.buckets / factor;
                of.iter_mut().for_each(|b| *b = (u32::from(*b) % left) as u16);
            }
        }
        let bucket_factors = draft.plan.segments.iter().map(|s| bucket_factor(s, factors)).collect();
        draft.plan = plan;
        (draft, Folded { side: self.side, buckets: bucket_factors, rows: factors.rows })
    }
}

/// Segments with one repetition keep their buckets.
fn bucket_factor(segment: &SegmentPlan, factors: Factors) -> u32 {
    if segment.repetitions.len() > 1 { factors.buckets } else { 1 }
}

fn not_possible(argument: &'static str, wish: u64, possible: &[u64]) -> Error {
    let list = possible.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    Error::argument(argument, format!("{wish} is not possible; folding this index can give {list}"))
}

/// Rows of a folded index.
struct Folded {
    side: SideBySide,
    /// By segment.
    buckets: Vec<u32>,
    rows: u64,
}

impl RowSource for Folded {
    fn rows(&self, segment: usize, repetition: usize, first: u64, last: u64) -> Vec<u8> {
        let factor = self.buckets[segment];
        if factor == 1 && self.rows == 1 {
            return self.side.rows(segment, repetition, first, last);
        }
        let before = self.side.buckets(segment, repetition);
        let after = before / factor;
        let mut out = rows::Packer::default();
        let mut sum = vec![0u64; after.div_ceil(64) as usize];
        let mut part = sum.clone();
        for row in first..last {
            sum.fill(0);
            for old in row * self.rows..(row + 1) * self.rows {
                let mut wide = rows::Packer::default();
                self.side.row(segment, repetition, old, &mut wide);
                let wide = wide.finish();
                for piece in 0..factor {
                    rows::read(&wide, u64::from(piece), after, &mut part);
                    sum.iter_mut().zip(&part).for_each(|(s, p)| *s |= p);
                }
            }
            out.push(&sum, after as usize);
        }
        out.finish()
    }
}
