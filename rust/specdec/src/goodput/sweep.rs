//! Plans by where they end: down to some bin, and to some depth. The time of each is known, so the best is taken.

use super::Fixed;
use super::histogram::{BINS, Histogram, Scale, Sums};
use crate::acceptance::DEPTHS;
use crate::times::{MOST_DRAFTS, Times};

/// Bins that the first look passes over at a time.
const STRIDE: usize = 8;
/// Steps after which all bins are looked at again, and not just those near the last plan.
const COLD: u32 = 16;
/// Bins, and depths, that are near.
const NEAR_BINS: usize = 3;
const NEAR_DEPTHS: u8 = 2;
/// Sizes between two bins that plans are filled to.
const MOST_EDGES: usize = 12;

/// A plan in the making: bins up to `bin` within these depths, or so many of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) score: f64,
    pub(super) ms: f64,
    pub(super) bin: usize,
    pub(super) before: Option<usize>,
    pub(super) depths: [u8; MOST_DRAFTS],
    pub(super) tokens: u32,
    /// What all of its bins within these depths have.
    pub(super) whole: u32,
}

impl Candidate {
    /// Ids worth more than the first limit are taken, and of those worth more than the second as many as fit.
    pub(super) fn limits(&self, scale: Scale) -> (f32, f32) {
        (self.before.map_or(f32::INFINITY, |bin| scale.floor(bin)), scale.floor(self.bin))
    }
}

/// Where the best plan of a set of drafts was. A step is much as the one before it, so looking near by is enough, if
/// everywhere is looked at now and then.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Warm {
    /// Values down to this were taken; 0 before anything is known.
    floor: f32,
    depths: [u8; MOST_DRAFTS],
    /// Tokens of the step without drafts, and drafts that were taken and had room.
    tokens: u32,
    taken: u32,
    room: u32,
    age: u32,
}

impl Warm {
    pub(super) fn find(&mut self, sweep: &Sweep<'_>, scale: Scale) -> Option<Candidate> {
        let &Fixed { tokens, room, .. } = sweep.fixed;
        // What had no room before may have it now, or the other way round.
        let bound = if self.taken < self.room { self.taken > room } else { room.abs_diff(self.room) > room / 16 };
        let alike = tokens.abs_diff(self.tokens) <= self.tokens / 16 && !bound;
        let mut found = None;
        if self.floor > 0.0 && self.age < COLD && alike {
            let bin = scale.bin(self.floor);
            let bins = (bin.saturating_sub(NEAR_BINS), (bin + NEAR_BINS + 1).min(BINS));
            self.age += 1;
            found = sweep.best(bins, 1, Some(self.depths));
        }
        if found.is_none() {
            (self.age, self.tokens) = (0, tokens);
            found = sweep.all(STRIDE);
        }
        match found {
            Some(found) => {
                (self.floor, self.depths) = (scale.floor(found.bin), found.depths);
                (self.taken, self.room) = (found.tokens, room);
            }
            None => self.floor = 0.0,
        }
        found
    }
}

/// What plans of a set of drafts are made of.
pub(super) struct Sweep<'a> {
    pub(super) times: &'a Times,
    pub(super) fixed: &'a Fixed,
    pub(super) set: u8,
    pub(super) histograms: &'a [Histogram],
}

impl Sweep<'_> {
    /// The best plan of all bins, first looking at some, then at those around the best of them.
    pub(super) fn all(&self, stride: usize) -> Option<Candidate> {
        let rough = self.best((0, BINS), stride, None)?;
        if stride == 1 {
            return Some(rough);
        }
        let bins = (rough.bin.saturating_sub(2 * stride - 1), (rough.bin + stride).min(BINS));
        let fine = self.best(bins, 1, None)?;
        // Of equal ones the one that knows where it ends.
        Some(if fine.score >= rough.score { fine } else { rough })
    }

    /// The best plan that ends in some bins.
    fn best(&self, (begin, end): (usize, usize), stride: usize, near: Option<[u8; MOST_DRAFTS]>) -> Option<Candidate> {
        let members = || (0..MOST_DRAFTS).filter(|d| self.set >> d & 1 == 1);
        let mut sums = [Sums::default(); MOST_DRAFTS];
        let mut before = [Sums::default(); MOST_DRAFTS];
        let mut found: Option<Candidate> = None;
        let (mut last, mut any) = (None, false);
        for bin in 0..end {
            for draft in members() {
                any |= self.histograms[draft].down_to(bin, &mut sums[draft]);
            }
            let looks = bin >= begin && (bin + 1).is_multiple_of(stride) && any;
            if looks {
                let look =
                    Look { times: self.times, fixed: self.fixed, set: self.set, sums: &sums, before: &before, near };
                let above = found.map_or(f64::NEG_INFINITY, |f| f.score);
                found = look.best(bin, last, above).or(found);
            }
            if looks || bin + 1 == begin {
                members().for_each(|draft| before[draft] = sums[draft]);
                (last, any) = (Some(bin), false);
            }
        }
        found
    }
}

/// The plans that end in one bin.
struct Look<'a> {
    times: &'a Times,
    fixed: &'a Fixed,
    set: u8,
    /// What bins up to this one have, and up to the one looked at before.
    sums: &'a [Sums; MOST_DRAFTS],
    before: &'a [Sums; MOST_DRAFTS],
    /// Depths to look at: those near to these, and none.
    near: Option<[u8; MOST_DRAFTS]>,
}

/// What drafts up to some depth add up to.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    ms: f64,
    tokens: u32,
    gain: f64,
    /// Of those in the bins before.
    tokens_before: u32,
    gain_before: f64,
}

impl Part {
    fn plus(self, other: Self) -> Self {
        Self {
            ms: self.ms + other.ms,
            tokens: self.tokens + other.tokens,
            gain: self.gain + other.gain,
            tokens_before: self.tokens_before + other.tokens_before,
            gain_before: self.gain_before + other.gain_before,
        }
    }
}

impl Look<'_> {
    fn members(&self) -> impl Iterator<Item = usize> + '_ {
        (0..MOST_DRAFTS).filter(|d| self.set >> d & 1 == 1)
    }

    /// Parts of a draft, from depth 0 to the deepest that has any; `each` says whether to go on.
    fn parts(&self, draft: usize, mut each: impl FnMut(u8, Part)) {
        let (sums, before) = (&self.sums[draft], &self.before[draft]);
        let mut part = Part::default();
        each(0, part);
        for k in 0..DEPTHS {
            if sums.count[k] == 0 {
                break;
            }
            part = part.plus(Part {
                ms: self.times.drafts[draft].ms(sums.count[k], 0),
                tokens: sums.count[k],
                gain: f64::from(sums.gain[k]),
                tokens_before: before.count[k],
                gain_before: f64::from(before.gain[k]),
            });
            each(k as u8 + 1, part);
        }
    }

    fn best(&self, bin: usize, last: Option<usize>, above: f64) -> Option<Candidate> {
        let mut depths = [DEPTHS as u8; MOST_DRAFTS];
        let mut chosen = [Part::default(); MOST_DRAFTS];
        let mut found: Option<Candidate> = None;
        let several = self.set.count_ones() > 1;
        if several {
            // Begin with all of each draft; then change one at a time.
            for draft in self.members() {
                self.parts(draft, |_, part| chosen[draft] = part);
            }
        }
        for _ in 0..if several { 2 } else { 1 } {
            for draft in self.members() {
                let others =
                    self.members().filter(|&d| d != draft).map(|d| chosen[d]).fold(Part::default(), Part::plus);
                let mut most = f64::NEG_INFINITY;
                self.parts(draft, |depth, part| {
                    if self.near.is_some_and(|near| depth > 0 && depth.abs_diff(near[draft]) > NEAR_DEPTHS) {
                        return;
                    }
                    let all = others.plus(part);
                    let (score, ms, tokens) = self.weigh(all);
                    let had = depths;
                    depths[draft] = depth;
                    // The best that drafts is wanted, though none may be better: a finer look may find more.
                    if depth > 0 && score > found.map_or(above, |f| f.score) {
                        found = Some(Candidate { score, ms, bin, before: last, depths, tokens, whole: all.tokens });
                    }
                    if score > most {
                        (most, chosen[draft]) = (score, part);
                    } else {
                        depths = had;
                    }
                });
            }
        }
        found
    }

    /// The best use of a part: all of it, or of its last bins only what fits, or what reaches just to a knot. Between knots
    /// both gain and time are straight lines, so the score, which is then bent upwards, is largest at an end.
    fn weigh(&self, part: Part) -> (f64, f64, u32) {
        let Fixed { tokens, room, .. } = *self.fixed;
        let of = |drafted: u32| {
            let gain = if drafted == part.tokens {
                part.gain
            } else {
                let share = f64::from(drafted - part.tokens_before) / f64::from(part.tokens - part.tokens_before);
                part.gain_before + share * (part.gain - part.gain_before)
            };
            let ms = self.fixed.ms(self.times, drafted, part.ms);
            (self.fixed.score(gain, ms), ms, drafted)
        };
        let most = part.tokens.min(room);
        if most < part.tokens_before {
            return (f64::NEG_INFINITY, 0.0, 0);
        }
        let mut best = of(most);
        if most > part.tokens_before {
            let knots = self.times.verify.knots().between(tokens + part.tokens_before, tokens + most);
            for &size in knots.iter().rev().step_by(knots.len().div_ceil(MOST_EDGES).max(1)) {
                let less = of(size - tokens);
                if less.0 >= best.0 {
                    best = less;
                }
            }
        }
        best
    }
}
