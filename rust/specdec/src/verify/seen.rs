//! Which ids stand before a position, and what that does to its scores.

use super::params::Setting;

/// Ids before a draft: those of the request, and the drafts before it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Ids, ascending, and how often each was seen; 0 of those that only stood behind a position looked at earlier.
    counts: Vec<(usize, u32)>,
    /// Drafts that are counted.
    drafts: Vec<i64>,
}

impl Seen {
    /// Ids of a request, no drafts; memory is used again.
    pub(super) fn begin(&mut self, prefix: &[i64]) {
        self.drafts.clear();
        self.counts.clear();
        self.counts.extend(prefix.iter().map(|&id| (id as usize, 1)));
        self.counts.sort_unstable();
        self.counts.dedup_by(|next, first| {
            let same = next.0 == first.0;
            first.1 += u32::from(same) * next.1;
            same
        });
    }

    /// Applies the penalties of position `position` to its scores.
    pub(super) fn penalise(&mut self, setting: &Setting<'_>, drafts: &[i64], position: usize, scores: &mut [f32]) {
        let drafts = &drafts[..position];
        // In a tree the way to another node goes apart from the last one.
        let same = self.drafts.iter().zip(drafts).take_while(|(a, b)| a == b).count();
        for id in self.drafts.drain(same..) {
            if let Ok(at) = self.counts.binary_search_by_key(&(id as usize), |c| c.0) {
                self.counts[at].1 -= 1;
            }
        }
        for &id in &drafts[same..] {
            let id = id as usize;
            match self.counts.binary_search_by_key(&id, |c| c.0) {
                Ok(at) => self.counts[at].1 += 1,
                Err(at) => self.counts.insert(at, (id, 1)),
            }
        }
        self.drafts.extend_from_slice(&drafts[same..]);
        for &(id, count) in self.counts.iter().filter(|c| c.1 > 0) {
            let score = &mut scores[id];
            *score = if *score > 0.0 { *score / setting.repetition } else { *score * setting.repetition };
            *score -= setting.frequency * count as f32 + setting.presence;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// In whatever order positions are looked at, counts are those of the ids before.
        #[test]
        fn counts(
            prefix in prop::collection::vec(0i64..6, 0..12), drafts in prop::collection::vec(0i64..6, 0..6),
            order in prop::collection::vec(0usize..7, 1..10), repetition in 0.5f32..2.0,
        ) {
            let setting = Setting { repetition, presence: 0.25, frequency: 0.5, ..Setting::default() };
            let mut seen = Seen::default();
            seen.begin(&prefix);
            let mut drafts = drafts;
            let length = drafts.len();
            for (turn, position) in order.into_iter().map(|i| i.min(length)).enumerate() {
                // Another branch of a tree.
                if let Some(id) = drafts.get_mut(turn) {
                    *id = (*id + 1) % 6;
                }
                let scores = [1.0f32, -1.0, 0.0, f32::NEG_INFINITY, 3.0, -2.0];
                let mut got = scores;
                seen.penalise(&setting, &drafts, position, &mut got);
                for (id, &x) in scores.iter().enumerate() {
                    let before = prefix.iter().chain(&drafts[..position]);
                    let count = before.filter(|&&i| i == id as i64).count() as f32;
                    let times = if x > 0.0 { x / repetition } else { x * repetition };
                    let wanted = if count > 0.0 { times - (0.5 * count + 0.25) } else { x };
                    prop_assert_eq!(got[id], wanted);
                }
            }
        }
    }
}
