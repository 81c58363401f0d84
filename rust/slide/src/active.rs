//! The active neurons of a batch: one set for all its rows.
//!
//! True labels are always in. Each row then adds the neurons that its hash tables returned most often, and random ones
//! fill up the set.

use thrifty_base::hash::{mix64, reduce};
use thrifty_base::math::LANES;
use thrifty_base::philox::Philox;
use thrifty_base::prefetch::prefetch;

use crate::tables::{Span, Tables};

/// Neurons that rows ask for, most wanted first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Where the neurons of each row end.
    pub ends: Vec<usize>,
    /// The neurons.
    pub ids: Vec<u32>,
    /// Tables that returned each.
    pub counts: Vec<u16>,
}

/// Order of neurons that as many tables returned: not by number, which would favour small ones.
fn tie(id: u32) -> u32 {
    id.wrapping_mul(0x9E37_79B1)
}

impl Wanted {
    /// Rows.
    pub fn rows(&self) -> usize {
        self.ends.len()
    }

    /// Neurons of a row.
    pub fn row(&self, i: usize) -> &[u32] {
        let begin = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.ids[begin..self.ends[i]]
    }

    /// Rows of `each` neurons, best first, numbered from `first`, with how many there are.
    pub(crate) fn exact(ids: &[u32], each: usize, first: u32) -> (Self, u64) {
        let rank = |i: usize| (each - i % each).min(usize::from(u16::MAX)) as u16;
        let wanted = Self {
            ends: (1..=ids.len() / each).map(|row| row * each).collect(),
            ids: ids.iter().map(|id| first + id).collect(),
            counts: (0..ids.len()).map(rank).collect(),
        };
        (wanted, ids.len() as u64)
    }

    /// Appends a row: the `each` neurons with the highest scores, best first.
    pub(crate) fn push_best(&mut self, scored: impl Iterator<Item = (f32, u32)>, each: usize) {
        let mut all: Vec<(f32, u32)> = scored.collect();
        let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if all.len() > each {
            all.select_nth_unstable_by(each - 1, order);
            all.truncate(each);
        }
        all.sort_unstable_by(order);
        self.ids.extend(all.iter().map(|s| s.1));
        self.counts.extend((0..all.len()).map(|rank| (each - rank).min(usize::from(u16::MAX)) as u16));
        self.ends.push(self.ids.len());
    }

    /// Appends the rows of another.
    pub fn append(&mut self, other: &Self) {
        let base = self.ids.len();
        self.ends.extend(other.ends.iter().map(|end| base + end));
        self.ids.extend(&other.ids);
        self.counts.extend(&other.counts);
    }

    /// What rows ask of a whole whose slices they asked one by one: the `each` most wanted.
    pub fn merged(slices: &[Self], each: usize) -> Self {
        let mut out = Self::default();
        let mut best: Vec<(u16, u32)> = Vec::new();
        for row in 0..slices.first().map_or(0, Self::rows) {
            best.clear();
            for slice in slices {
                let begin = if row == 0 { 0 } else { slice.ends[row - 1] };
                best.extend((begin..slice.ends[row]).map(|i| (slice.counts[i], slice.ids[i])));
            }
            best.sort_unstable_by_key(|&(count, id)| (std::cmp::Reverse(count), tie(id)));
            best.truncate(each);
            out.ids.extend(best.iter().map(|b| b.1));
            out.counts.extend(best.iter().map(|b| b.0));
            out.ends.push(out.ids.len());
        }
        out
    }
}

/// What no slot of a [`Counter`] has.
const NOBODY: u32 = u32::MAX;

/// How many neurons of a bucket count, those that come first.
#[derive(Clone, Copy, Debug)]
pub enum Cap<'a> {
    /// At most so many of each.
    Same(usize),
    /// So many of each: a line of [`LANES`] for each table.
    Each(&'a [u32]),
}

impl Cap<'_> {
    fn of(self, at: usize) -> usize {
        match self {
            Self::Same(cap) => cap,
            Self::Each(caps) => caps[at] as usize,
        }
    }
}

/// Asks tables for the neurons of [`LANES`] rows at a time; memory that one block of rows leaves to the next.
///
/// Loads that wait for memory come in loops that do nothing else: where buckets are, then what is in them, table after
/// table. Neurons are counted afterwards, in a hash table that stays in the cache whatever the number of neurons.
#[derive(Debug, Default)]
pub struct Counter {
    spans: Vec<Span>,
    returned: [Vec<u32>; LANES],
    /// (neuron, count).
    slots: Vec<(u32, u32)>,
    histogram: Vec<u32>,
    best: Vec<(u32, u32)>,
}

impl Counter {
    /// Appends `rows` (at most [`LANES`]) rows: for each the neurons that most tables return for its codes, most frequent
    /// first, at most `most` of them; returns how many there are in all. `codes` has a line of [`LANES`] codes for each
    /// table; of a bucket as many neurons count as `cap` says.
    pub fn ask(
        &mut self,
        tables: &Tables,
        codes: &[u32],
        rows: usize,
        cap: Cap<'_>,
        most: usize,
        out: &mut Wanted,
    ) -> usize {
        let lines = || codes.chunks_exact(LANES).enumerate();
        self.spans.clear();
        for (t, codes) in lines() {
            let spans = tables.table(t).spans();
            codes.iter().for_each(|&code| prefetch(&spans[code as usize..=code as usize]));
        }
        for (t, codes) in lines() {
            let (spans, ids) = (tables.table(t).spans(), tables.table(t).ids());
            for (lane, &code) in codes.iter().enumerate() {
                let span = spans[code as usize].cut(cap.of(t * LANES + lane));
                prefetch(&ids[span.range()]);
                self.spans.push(span);
            }
        }
        self.returned.iter_mut().for_each(Vec::clear);
        for (t, spans) in self.spans.chunks_exact(LANES).enumerate() {
            let ids = tables.table(t).ids();
            for (returned, span) in self.returned[..rows].iter_mut().zip(spans) {
                returned.extend_from_slice(&ids[span.range()]);
            }
        }
        (0..rows).map(|lane| self.count(lane, tables.hash().tables(), most, out)).sum()
    }

    /// Appends the most frequent neurons of one row; returns how many different ones there are.
    fn count(&mut self, lane: usize, tables: usize, most: usize, out: &mut Wanted) -> usize {
        let returned = &self.returned[lane];
        let size = (2 * returned.len()).next_power_of_two();
        self.slots.clear();
        self.slots.resize(size, (NOBODY, 0));
        self.histogram.clear();
        self.histogram.resize(tables + 2, 0);
        let shift = 32 - size.trailing_zeros();
        let mut different = 0;
        for &id in returned {
            let mut at = (u64::from(tie(id)) >> shift) as usize;
            let slot = loop {
                let slot = &mut self.slots[at];
                if slot.0 == id || slot.0 == NOBODY {
                    break slot;
                }
                at = (at + 1) & (size - 1);
            };
            different += usize::from(slot.1 == 0);
            self.histogram[slot.1 as usize] -= u32::from(slot.1 > 0);
            slot.0 = id;
            slot.1 += 1;
            self.histogram[slot.1 as usize] += 1;
        }
        // The least count that still counts, and how many have more.
        let (mut least, mut above) = (tables, 0);
        while least > 1 && above + (self.histogram[least] as usize) < most {
            above += self.histogram[least] as usize;
            least -= 1;
        }
        let key = |&(id, count): &(u32, u32)| (std::cmp::Reverse(count), tie(id));
        self.best.clear();
        self.best.extend(self.slots.iter().filter(|slot| slot.1 as usize >= least && slot.1 > 0));
        if self.best.len() > most {
            self.best.select_nth_unstable_by_key(most - 1, key);
            self.best.truncate(most);
        }
        self.best.sort_unstable_by_key(key);
        out.ids.extend(self.best.iter().map(|b| b.0));
        out.counts.extend(self.best.iter().map(|b| b.1 as u16));
        out.ends.push(out.ids.len());
        different
    }
}

/// How random neurons are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Draw {
    /// All alike.
    Uniform,
    /// Neuron i with a probability of ln((i + 2) / (i + 1)) / ln(n + 1): for neurons in the order of their frequency.
    LogUniform,
    /// The more often the longer its row is: as often as it is in a hash table. Needs tables over all neurons.
    Length,
}

/// The set of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Active {
    /// The neurons, ascending.
    pub ids: Vec<u32>,
    /// What each score is raised by: minus the logarithm of the chance with which a random neuron is in, so that the sum of
    /// exponentials over the set is that of all neurons in the mean; 0 for neurons that are certain to be in. Empty where
    /// scores are not to be corrected.
    pub shifts: Vec<f32>,
}

/// A set of ids that costs what it holds: open addressing.
struct Ids {
    slots: Vec<u32>,
    mask: usize,
}

impl Ids {
    fn new(most: usize) -> Self {
        let slots = (2 * most + 2).next_power_of_two();
        Self { slots: vec![u32::MAX; slots], mask: slots - 1 }
    }

    /// Whether `id` (not `u32::MAX`) was not yet in.
    fn insert(&mut self, id: u32) -> bool {
        let mut at = (mix64(u64::from(id)) as usize) & self.mask;
        loop {
            if self.slots[at] == id {
                return false;
            }
            if self.slots[at] == u32::MAX {
                self.slots[at] = id;
                return true;
            }
            at = (at + 1) & self.mask;
        }
    }
}

/// What [`choose`] fills up a set with.
#[derive(Clone, Copy, Debug)]
pub struct TopUp<'a> {
    /// The first neuron that may be drawn.
    pub first: u32,
    /// Neurons that may be drawn: from `first` on.
    pub neurons: usize,
    /// Neurons of the set.
    pub size: usize,
    /// How random ones are drawn.
    pub draw: Draw,
    /// Whether scores are corrected for the chance of being drawn.
    pub correct: bool,
    /// Where draws come from.
    pub random: Philox,
    /// Number of the step, another draw for each.
    pub step: u64,
    /// Tables over these neurons, for [`Draw::Length`]; without them that is [`Draw::Uniform`].
    pub tables: Option<&'a Tables>,
}

/// The set of a batch: `labels` whatever their number, then what rows want, each row in turn, then random neurons.
pub fn choose(labels: &[u32], wanted: &Wanted, top_up: TopUp<'_>) -> Active {
    let TopUp { first, neurons, size, draw, correct, random, step, tables } = top_up;
    let lengths = tables.filter(|tables| draw == Draw::Length && tables.is_built()).map(Tables::shares);
    let size = size.min(neurons);
    let mut seen = Ids::new(size.max(labels.len()));
    let mut out: Vec<u32> = labels.iter().copied().filter(|&l| seen.insert(l)).collect();
    let longest = (0..wanted.rows()).map(|i| wanted.row(i).len()).max().unwrap_or(0);
    let by_rank = (0..longest).flat_map(|rank| (0..wanted.rows()).filter_map(move |i| wanted.row(i).get(rank)));
    for &id in by_rank {
        if out.len() >= size {
            break;
        }
        if seen.insert(id) {
            out.push(id);
        }
    }
    let certain = out.len();
    // Log-uniform numbers are exponentials of uniform ones from the logarithm of first + 1 on.
    let least = (f64::from(first) + 1.0).ln();
    let spread = (f64::from(first) + neurons as f64 + 1.0).ln() - least;
    let most = 64 * size as u64;
    let mut tries = 0;
    let mut words = [0; 4];
    while out.len() < size {
        if tries % 2 == 0 {
            words = random.words_at((step << 32) | (tries / 2));
        }
        let half = 2 * (tries % 2) as usize;
        let bits = u64::from(words[half]) | u64::from(words[half + 1]) << 32;
        tries += 1;
        let place = match draw {
            // Rare neurons of a large set would be waited for too long.
            _ if tries > most => (tries - most - 1) as u32,
            Draw::Length if lengths.is_some_and(|lengths| lengths.total() > 0) => {
                lengths.map_or(0, |lengths| lengths.find(reduce(bits, lengths.total())) as u32)
            }
            Draw::Uniform | Draw::Length => reduce(bits, neurons as u64) as u32,
            Draw::LogUniform => {
                let uniform = (bits >> 11) as f64 / (1u64 << 53) as f64;
                let id = ((least + uniform * spread).exp() - 1.0) as u32;
                id.saturating_sub(first).min(neurons as u32 - 1)
            }
        };
        let id = first + place;
        if seen.insert(id) {
            out.push(id);
        }
    }
    let drawn = out.len() - certain;
    let mut shifts = Vec::new();
    let mut random_ones = out[certain..].to_vec();
    random_ones.sort_unstable();
    out.sort_unstable();
    if correct {
        let uniform = -((drawn as f64 / (neurons - certain).max(1) as f64).ln()) as f32;
        let in_tries = |p: f64| -((tries as f64 * (-p).ln_1p()).exp_m1().abs().ln()) as f32;
        let chance = |id: u32| match (draw, lengths) {
            (Draw::LogUniform, _) => in_tries(((f64::from(id) + 2.0).ln() - (f64::from(id) + 1.0).ln()) / spread),
            (Draw::Length, Some(lengths)) => {
                in_tries(lengths.of((id - first) as usize) as f64 / lengths.total() as f64)
            }
            _ => uniform,
        };
        shifts = out.iter().map(|&id| if random_ones.binary_search(&id).is_ok() { chance(id) } else { 0.0 }).collect();
    }
    Active { ids: out, shifts }
}

#[cfg(test)]
mod tests {
    use thrifty_base::simd::Path;

    use super::*;
    use crate::hash::{Family, Hash};
    use crate::matrix::{Matrix, Values};

    fn top_up(neurons: usize, size: usize) -> TopUp<'static> {
        let random = Philox::new(1, 1);
        TopUp { first: 0, neurons, size, draw: Draw::Uniform, correct: false, random, step: 0, tables: None }
    }

    fn wanted(rows: &[&[u32]]) -> Wanted {
        let mut out = Wanted::default();
        for row in rows {
            out.ids.extend(*row);
            out.counts.extend(row.iter().map(|_| 1));
            out.ends.push(out.ids.len());
        }
        out
    }

    /// Against a plain count over the tables; slices of the neurons give the same when merged.
    #[test]
    fn rows_get_the_most_frequent() {
        let (rows, length) = (300, 24);
        let random = Philox::new(4, 4);
        let weights: Vec<f32> = (0..(rows * length) as u64).map(|i| (random.u64_at(i) >> 40) as f32 - 8e6).collect();
        let tables = |first: usize, end: usize| {
            let mut tables =
                Tables::new(Hash::new(Family::Dwta, 1, 20, 3, length, 1).unwrap(), first as u32, end - first, rows, 1);
            let values = Values::F32(&weights[first * length..end * length]);
            tables.rebuild(Path::Scalar, Matrix { values, stride: length, length }).unwrap();
            tables
        };
        let (whole, low, high) = (tables(0, rows), tables(0, 100), tables(100, rows));
        let mut counter = Counter::default();
        for query in 0..5 {
            let codes: Vec<u32> = (0..20).map(|t| (random.u64_at(1 << 40 | query << 8 | t) % 8) as u32).collect();
            // The row in question is the second of two.
            let lanes: Vec<u32> = codes
                .iter()
                .flat_map(|&code| (0..LANES as u32).map(move |l| if l == 1 { code } else { l % 8 }))
                .collect();
            let second = |wanted: Wanted| Wanted {
                ends: vec![wanted.row(1).len()],
                ids: wanted.row(1).to_vec(),
                counts: wanted.counts[wanted.ends[0]..].to_vec(),
            };
            let mut counts = vec![0u16; rows];
            for (t, &code) in codes.iter().enumerate() {
                whole.bucket(t, code, 30).iter().for_each(|&id| counts[id as usize] += 1);
            }
            let mut exact: Vec<u32> = (0..rows as u32).filter(|&id| counts[id as usize] > 0).collect();
            exact.sort_by_key(|&id| (std::cmp::Reverse(counts[id as usize]), tie(id)));
            for most in [1, 12, 299, 1000] {
                let (mut got, mut first) = (Wanted::default(), Wanted::default());
                let returned = counter.ask(&whole, &lanes, 2, Cap::Same(30), most, &mut got);
                let other = counter.ask(&whole, &lanes, 1, Cap::Same(30), most, &mut first);
                assert_eq!(returned - other, exact.len());
                let got = second(got);
                assert_eq!(got.ids, exact[..most.min(exact.len())]);
                assert!(got.ids.iter().zip(&got.counts).all(|(&id, &count)| counts[id as usize] == count));
            }
            let mut slices = vec![Wanted::default(); 2];
            counter.ask(&low, &lanes, 2, Cap::Same(500), 12, &mut slices[0]);
            Counter::default().ask(&high, &lanes, 2, Cap::Same(500), 12, &mut slices[1]);
            let mut all = Wanted::default();
            Counter::default().ask(&whole, &lanes, 2, Cap::Same(500), 12, &mut all);
            assert_eq!(Wanted::merged(&slices, 12), all);
        }
    }

    #[test]
    fn sets_hold_labels_then_wishes_then_random_neurons() {
        let asked = wanted(&[&[10, 11, 12], &[20, 10]]);
        assert_eq!(choose(&[5, 7, 5], &asked, top_up(100, 4)).ids, [5, 7, 10, 20]);
        let all = choose(&[5, 7], &asked, top_up(100, 30)).ids;
        assert!(all.len() == 30 && all.windows(2).all(|w| w[0] < w[1]));
        assert!([5, 7, 10, 11, 12, 20].iter().all(|id| all.binary_search(id).is_ok()));
        assert_ne!(all, choose(&[5, 7], &asked, TopUp { step: 1, ..top_up(100, 30) }).ids);
        // More labels than the size; fewer neurons than it.
        assert_eq!(choose(&[1, 2, 3], &wanted(&[]), top_up(100, 2)).ids, [1, 2, 3]);
        assert_eq!(choose(&[1], &wanted(&[]), top_up(4, 10)).ids, [0, 1, 2, 3]);
    }

    /// The corrected sum over the set is in the mean that over all neurons: 400 sets, within 4 standard errors.
    #[test]
    fn corrected_sums_are_unbiased() {
        let value = |id: u32| 1.0 + f64::from(id % 7);
        let whole: f64 = (0..500).map(value).sum();
        let length = 8;
        let weights: Vec<f32> = (0..500 * length).map(|i| (1.0 + (i / length % 9) as f32) * 0.1).collect();
        let hash = Hash::new(Family::Dwta, 1, 20, 3, length, 1).unwrap();
        let mut tables = Tables::new(hash, 0, 500, 1 << 20, 1);
        tables.rebuild(Path::Scalar, Matrix { values: Values::F32(&weights), stride: length, length }).unwrap();
        let share = |id| tables.shares().of(id);
        assert!((0..8).all(|id| share(id) <= share(id + 1)) && share(8) > share(0));
        for (draw, slack) in [(Draw::Uniform, 0.0), (Draw::LogUniform, 0.02), (Draw::Length, 0.02)] {
            let sums: Vec<f64> = (0..400)
                .map(|step| {
                    let top_up = TopUp { draw, correct: true, step, tables: Some(&tables), ..top_up(500, 90) };
                    let set = choose(&[3, 50], &wanted(&[&[9, 80]]), top_up);
                    assert_eq!(set.shifts[set.ids.binary_search(&50).unwrap()], 0.0);
                    set.ids.iter().zip(&set.shifts).map(|(&id, &s)| value(id) * f64::from(s).exp()).sum()
                })
                .collect();
            let mean = sums.iter().sum::<f64>() / 400.0;
            let variance = sums.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / 399.0;
            let away = (mean - whole).abs();
            assert!(away < 4.0 * (variance / 400.0).sqrt() + slack * whole, "{draw:?}: {mean}, {whole}");
        }
    }
}
