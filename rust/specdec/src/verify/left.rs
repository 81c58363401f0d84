//! What p has more than q, computed where a race asks for it.
//!
//! Of most ids the race needs no more than a bound of their chance in p: neither is its exponential taken, nor q read.

use pulp::Simd;
use thrifty_base::math::{is_all, mask};
use thrifty_base::philox::Philox;
use thrifty_base::sampling::{Chances, IDS, race_of_chances};
use thrifty_base::simd::Path;

use super::kernels::{Element, GROUP, Of, chances, group_at, log_steps, power_of_steps, scaled, taken};
use super::rows::{Numbers, on};

/// What is taken from p.
#[derive(Clone, Copy, Debug)]
pub(super) enum Less<'a> {
    /// Nothing: p is drawn from as it is.
    Nothing,
    /// A row. Where its sum was told, so that nobody looked through it, what is no number in it is looked for.
    Row(Numbers<'a>, Of),
    /// Ids and their chances; entries of one id add up.
    List(&'a [u32], &'a [f32]),
    /// All of one id.
    One(usize),
}

/// The id that wins the race of max(times p - q, 0), elements as [`super::kernels`] computes them; and whether a number
/// of q that was to be looked for is none. While ids race, memory brings `next`.
pub(super) fn race_left(
    path: Path,
    (p, of): (Numbers<'_>, Of),
    times: f32,
    less: Less<'_>,
    next: Option<Numbers<'_>>,
    (random, position): (Philox, u64),
) -> (Option<usize>, bool) {
    let next = next.unwrap_or(Numbers::F32(&[]));
    let q = if let Less::Row(row, _) = less { row } else { Numbers::F32(&[]) };
    on!(p, p => on!(q, q => {
        let mut left = Left { p, of, times, q, less, next, wrong: false };
        let id = race_of_chances(path, &mut left, random, position);
        (id, left.wrong)
    }))
}

struct Left<'a, P, Q> {
    p: &'a [P],
    of: Of,
    times: f32,
    /// The row of `less`.
    q: &'a [Q],
    less: Less<'a>,
    next: Numbers<'a>,
    wrong: bool,
}

// A group of a row is one of a race.
const _: () = assert!(GROUP == IDS);

impl<P: Element, Q: Element> Chances for &mut Left<'_, P, Q> {
    fn ids(&self) -> usize {
        self.p.len()
    }

    #[inline(always)]
    fn bounds<S: Simd>(&mut self, s: S, begin: usize, out: &mut [f32; IDS]) {
        self.next.prefetch(begin, IDS);
        let scores = match self.of {
            Of::Chances => None,
            Of::Scores { shift, scale, times } => Some((shift, scale, times)),
            Of::Told { shift, scale } => Some((shift, scale, 1.0)),
        };
        match scores {
            None => {
                *out = group_at(self.p, begin, 0.0);
                scaled(s, out, self.times);
            }
            Some((shift, scale, times)) => {
                let p = group_at(self.p, begin, f32::NEG_INFINITY);
                let (shift, steps) = (s.splat_f32s(shift), s.splat_f32s(log_steps(scale)));
                // More than what a line and rounding may lack.
                let times = s.splat_f32s(1.000_2 * times * self.times);
                for (out, &x) in S::as_mut_simd_f32s(out).0.iter_mut().zip(S::as_simd_f32s(&p).0) {
                    *out = s.mul_f32s(power_of_steps(s, s.sub_f32s(x, shift), steps), times);
                }
            }
        }
        if let Less::Row(_, Of::Told { .. }) = self.less {
            let mut all = mask(s);
            for &x in S::as_simd_f32s(&group_at(self.q, begin, 0.0)).0 {
                all = s.and_m32s(all, s.equal_f32s(x, x));
            }
            self.wrong |= !is_all(s, all);
        }
    }

    #[inline(always)]
    fn chances<S: Simd>(&mut self, s: S, begin: usize, out: &mut [f32; IDS]) {
        let rest = if self.of == Of::Chances { 0.0 } else { f32::NEG_INFINITY };
        *out = group_at(self.p, begin, rest);
        chances(s, out, self.of);
        scaled(s, out, self.times);
        if let Less::Row(_, of) = self.less {
            taken(s, &group_at(self.q, begin, 0.0), of, out);
        }
        match self.less {
            Less::Nothing | Less::Row(..) => {}
            Less::List(ids, chances) => {
                let here = |id: u32| (id as usize).checked_sub(begin).filter(|&at| at < IDS);
                for (&id, q) in ids.iter().zip(chances) {
                    if let Some(at) = here(id) {
                        out[at] -= q;
                    }
                }
                for at in ids.iter().filter_map(|&id| here(id)) {
                    out[at] = if out[at] < 0.0 { 0.0 } else { out[at] };
                }
            }
            Less::One(id) => {
                if let Some(out) = id.checked_sub(begin).and_then(|at| out.get_mut(at)) {
                    *out = 0.0;
                }
            }
        }
    }
}
