//! Ids race: each has a time of its own, and the first wins.

use pulp::{Simd, WithSimd};

use crate::math::dispatch;
use crate::philox::{GROUP, Philox};
use crate::simd::Path;

/// Ids that are looked at together.
pub const IDS: usize = GROUP;

/// Chances of ids, computed where a race asks for them.
///
/// Most ids lose whatever their chances are within a few percent: those are told apart by bounds.
pub trait Chances {
    /// How many ids there are.
    fn ids(&self) -> usize;

    /// Writes what the chances of the [`IDS`] ids from `begin` on are at most, and 0 behind the last. Called once for
    /// every group of ids, in their order.
    fn bounds<S: Simd>(&mut self, s: S, begin: usize, out: &mut [f32; IDS]);

    /// Writes these chances.
    fn chances<S: Simd>(&mut self, s: S, begin: usize, out: &mut [f32; IDS]);
}

/// The id that wins the race at `position` (below 2^40) of a stream: id i with probability `law[i]` over their sum.
/// `None` where no probability is positive, or one is no number.
pub fn race(path: Path, law: &[f32], random: Philox, position: u64) -> Option<usize> {
    race_of_chances(path, Known(law), random, position)
}

/// [`race`] of chances that are computed on the way.
pub fn race_of_chances<C: Chances>(path: Path, chances: C, random: Philox, position: u64) -> Option<usize> {
    dispatch(path, Race { chances, random, position })
}

/// Chances as they stand.
struct Known<'a>(&'a [f32]);

impl Chances for Known<'_> {
    fn ids(&self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn bounds<S: Simd>(&mut self, _: S, begin: usize, out: &mut [f32; IDS]) {
        let law = &self.0[begin..];
        match law.first_chunk() {
            Some(law) => *out = *law,
            None => {
                *out = [0.0; IDS];
                out[..law.len()].copy_from_slice(law);
            }
        }
    }

    #[inline(always)]
    fn chances<S: Simd>(&mut self, s: S, begin: usize, out: &mut [f32; IDS]) {
        self.bounds(s, begin, out);
    }
}

struct Race<C> {
    chances: C,
    random: Philox,
    position: u64,
}

impl<C: Chances> WithSimd for Race<C> {
    type Output = Option<usize>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> Option<usize> {
        let Self { mut chances, random, position } = self;
        let random = random.words_of(position << 24);
        let (mut first, mut own, mut words) = (First::default(), [0.0f32; IDS], [0u32; IDS]);
        for group in 0..chances.ids().div_ceil(IDS) {
            chances.bounds(s, IDS * group, &mut own);
            // A time is at least 2^-33, so ids whose chance is this small have lost whatever they draw.
            let least = ((first.rate * (0.999_99 * 2f64.powi(-33))) as f32).max(f32::from_bits(1));
            if !reaches(s, &own, least) {
                continue;
            }
            random.group(s, group, &mut words);
            if !runs(s, &own, &words, (first.rate * 0.999_99) as f32) {
                continue;
            }
            chances.chances(s, IDS * group, &mut own);
            if !first.pass(IDS * group, &own, &words) {
                return None;
            }
        }
        first.id
    }
}

/// Whether a chance is at least so much, or no number.
#[inline(always)]
fn reaches<S: Simd>(s: S, chances: &[f32; IDS], least: f32) -> bool {
    let least = s.splat_f32s(least);
    let mut all = s.less_than_f32s(s.splat_f32s(0.0), s.splat_f32s(1.0));
    for &x in S::as_simd_f32s(chances).0 {
        all = s.and_m32s(all, s.less_than_f32s(x, least));
    }
    !is_all(s, all)
}

/// Whether an id may win, or its chance is no number: -ln u >= 1 - u, so most have lost before their logarithm is taken.
#[inline(always)]
fn runs<S: Simd>(s: S, chances: &[f32; IDS], words: &[u32; IDS], low: f32) -> bool {
    let (low, minus) = (s.splat_f32s(low), s.splat_f32s(-low));
    let (by, one) = (s.splat_u32s(9), s.splat_u32s(0x3FFF_FFFF));
    let mut all = s.less_than_f32s(s.splat_f32s(0.0), s.splat_f32s(1.0));
    for (&x, &word) in S::as_simd_f32s(chances).0.iter().zip(S::as_simd_u32s(words).0) {
        // 1 + (1 - u), to 23 bits behind the point, so never more than it is.
        let late = s.transmute_f32s_u32s(s.xor_u32s(s.wrapping_dyn_shr_u32s(word, by), one));
        all = s.and_m32s(all, s.less_than_f32s(x, s.mul_add_f32s(late, low, minus)));
    }
    !is_all(s, all)
}

/// Whether all lanes are true.
#[inline(always)]
fn is_all<S: Simd>(s: S, mask: S::m32s) -> bool {
    s.reduce_max_f32s(s.select_f32s(mask, s.splat_f32s(0.0), s.splat_f32s(1.0))) == 0.0
}

/// Who is first by now.
#[derive(Default)]
struct First {
    id: Option<usize>,
    /// Chance over time.
    rate: f64,
}

impl First {
    /// Lets ids from `begin` on run; false where a chance is no number.
    fn pass(&mut self, begin: usize, chances: &[f32; IDS], words: &[u32; IDS]) -> bool {
        let own = |i: usize| f64::from(chances[i]) / time(unit(words[i]));
        if self.id.is_none() {
            // One that likely goes far, so that few others need a logarithm.
            let most = chances.iter().fold(0.0f32, |most, &p| most.max(p));
            if let Some(likeliest) = chances.iter().position(|&p| p == most && p > 0.0) {
                *self = Self { id: Some(begin + likeliest), rate: own(likeliest) };
            }
        }
        for i in 0..IDS {
            if chances[i].is_nan() {
                return false;
            }
            let late = f64::from(!words[i]) * 2f64.powi(-32);
            if !(chances[i] > 0.0 && f64::from(chances[i]) >= self.rate * 0.999_99 * late) {
                continue;
            }
            let (id, rate) = (begin + i, own(i));
            if rate > self.rate || rate == self.rate && self.id.is_some_and(|first| id < first) {
                *self = Self { id: Some(id), rate };
            }
        }
        true
    }
}

/// [`race`] of the ids `ids` alone, each once, whose probabilities are `law`: the id that wins among them, and its place.
pub fn race_of(ids: &[u32], law: &[f32], random: Philox, position: u64) -> Option<(u32, usize)> {
    let mut winner: Option<(f64, u32, usize)> = None;
    for (place, (&id, &p)) in ids.iter().zip(law).enumerate() {
        if p.is_nan() {
            return None;
        }
        if p <= 0.0 {
            continue;
        }
        let u = uniform(random, position, id as usize);
        let p = f64::from(p);
        if winner.is_some_and(|(rate, ..)| p < rate * (1.0 - u)) {
            continue;
        }
        let rate = p / time(u);
        if winner.is_none_or(|(most, first, _)| rate > most || rate == most && id < first) {
            winner = Some((rate, id, place));
        }
    }
    winner.map(|(_, id, place)| (id, place))
}

pub(super) fn uniform(random: Philox, position: u64, id: usize) -> f64 {
    unit(random.words_at(position << 24 | (id / 4) as u64)[id % 4])
}

/// The middle of one of 2^32 parts of 0..1.
fn unit(word: u32) -> f64 {
    (f64::from(word) + 0.5) * 2f64.powi(-32)
}

/// An exponential time.
pub(super) fn time(u: f64) -> f64 {
    -u.ln()
}
