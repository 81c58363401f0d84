//! Ids race: each has a time of its own, and the first wins.
//!
//! A time is -ln u of a uniform u of 32 bits, of which the upper 16 come first: a block of Philox has those of 8 ids, and
//! they tell of almost all that they have lost. The lower 16 are drawn for the few that may win.
//!
//! Of 64 ids, word w of 32 has the upper bits of id w in its upper half, those of id w + 32 in its lower half: two
//! vectors of ids are made of one of words without moving any. The lower bits stand the same way, 2^23 blocks on.

use pulp::{Simd, WithSimd};

use crate::math::{dispatch, is_all, mask};
use crate::philox::{GROUP, Philox};
use crate::simd::Path;

/// Ids that are looked at together.
pub const IDS: usize = GROUP;
/// Where in a row of blocks the lower bits are: behind the upper ones of 2^26 ids.
const LOWER: u64 = 1 << 23;
/// Words that have the upper bits of a group.
const HALF: usize = IDS / 2;

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
        debug_assert!(chances.ids() as u64 <= 8 * LOWER, "blocks of upper and lower bits would meet");
        let (blocks, mut drawn) = (random.words_of(position << 24), None);
        let (mut first, mut own, mut words) = (First::default(), [0.0f32; IDS], [0u32; GROUP]);
        for group in 0..chances.ids().div_ceil(IDS) {
            chances.bounds(s, IDS * group, &mut own);
            // A time is at least 2^-33, so ids whose chance is this small have lost whatever they draw.
            let least = ((first.rate * (0.999_99 * 2f64.powi(-33))) as f32).max(f32::from_bits(1));
            if !reaches(s, &own, least) {
                continue;
            }
            if drawn != Some(group / 2) {
                blocks.group(s, group / 2, &mut words);
                drawn = Some(group / 2);
            }
            let upper: &[u32; HALF] = &bytemuck::cast_ref::<_, [[u32; HALF]; 2]>(&words)[group % 2];
            if !runs(s, &own, upper, (first.rate * 0.999_99) as f32) {
                continue;
            }
            chances.chances(s, IDS * group, &mut own);
            if !first.pass(IDS * group, &own, upper, (random, position)) {
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
    let mut small = mask(s);
    for &x in S::as_simd_f32s(chances).0 {
        small = s.and_m32s(small, s.less_than_f32s(x, least));
    }
    !is_all(s, small)
}

/// Whether an id may win, or its chance is no number: -ln u >= 1 - u, so most have lost by the upper bits of u.
#[inline(always)]
fn runs<S: Simd>(s: S, chances: &[f32; IDS], upper: &[u32; HALF], low: f32) -> bool {
    let (low, minus) = (s.splat_f32s(low), s.splat_f32s(-low));
    let (bits, one) = (s.splat_u32s(0x007F_FF80), s.splat_u32s(0x3FFF_FF80));
    let words = S::as_simd_u32s(upper).0;
    let (before, behind) = S::as_simd_f32s(chances).0.split_at(words.len());
    let mut small = mask(s);
    for ((&x, &y), &word) in before.iter().zip(behind).zip(words) {
        let halves = [s.wrapping_dyn_shr_u32s(word, s.splat_u32s(9)), s.wrapping_dyn_shl_u32s(word, s.splat_u32s(7))];
        for (x, u) in [x, y].into_iter().zip(halves) {
            // 1 + (1 - u), as if the lower bits were all ones, so never more than it is.
            let late = s.transmute_f32s_u32s(s.xor_u32s(s.and_u32s(u, bits), one));
            small = s.and_m32s(small, s.less_than_f32s(x, s.mul_add_f32s(late, low, minus)));
        }
    }
    !is_all(s, small)
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
    fn pass(
        &mut self,
        begin: usize,
        chances: &[f32; IDS],
        upper: &[u32; HALF],
        (random, position): (Philox, u64),
    ) -> bool {
        let own =
            |i: usize| f64::from(chances[i]) / time(unit(half(upper[i % HALF], i), lower(random, position, begin + i)));
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
            if !(chances[i] > 0.0 && f64::from(chances[i]) >= self.rate * 0.999_99 * late(half(upper[i % HALF], i))) {
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
        let (p, upper) = (f64::from(p), upper(random, position, id as usize));
        if winner.is_some_and(|(rate, ..)| p < rate * late(upper)) {
            continue;
        }
        let rate = p / time(unit(upper, lower(random, position, id as usize)));
        if winner.is_none_or(|(most, first, _)| rate > most || rate == most && id < first) {
            winner = Some((rate, id, place));
        }
    }
    winner.map(|(_, id, place)| (id, place))
}

/// The half of a word that id `id` has.
fn half(word: u32, id: usize) -> u32 {
    if id % IDS < HALF { word >> 16 } else { word & 0xFFFF }
}

/// The upper 16 bits of an id's number.
fn upper(random: Philox, position: u64, id: usize) -> u32 {
    let word = id / IDS * HALF + id % HALF;
    half(random.words_at(position << 24 | (word / 4) as u64)[word % 4], id)
}

/// Its lower 16 bits.
fn lower(random: Philox, position: u64, id: usize) -> u32 {
    let word = id / IDS * HALF + id % HALF;
    half(random.words_at(position << 24 | LOWER | (word / 4) as u64)[word % 4], id)
}

/// What a time is at least, by the upper bits of its number.
fn late(upper: u32) -> f64 {
    f64::from(0xFFFF - upper) * 2f64.powi(-16)
}

/// The middle of one of 2^32 parts of 0..1.
fn unit(upper: u32, lower: u32) -> f64 {
    (f64::from(upper << 16 | lower) + 0.5) * 2f64.powi(-32)
}

#[cfg(test)]
pub(super) fn uniform(random: Philox, position: u64, id: usize) -> f64 {
    unit(upper(random, position, id), lower(random, position, id))
}

/// An exponential time.
pub(super) fn time(u: f64) -> f64 {
    -u.ln()
}
