//! What is done with all numbers of a row, once for every instruction set.
//!
//! A row is worked on in chunks that stay in the first cache, so that memory is read once. Sums are of 64 lanes
//! within a chunk and in double precision beyond: no path rounds otherwise than another, and no length makes them
//! worse.

use pulp::{Simd, WithSimd};
use thrifty_base::math::{LANES, dispatch, exp, exps, is_all, mask};
use thrifty_base::prefetch::prefetch;
use thrifty_base::simd::Path;

use super::lanes::{Grouped, Kernel, Lanes, vectors};

/// Numbers that are worked on while they are in the cache.
pub(super) const CHUNK: usize = 4096;

/// Numbers that are computed together.
pub(super) const GROUP: usize = 4 * LANES;

/// A number of a row as it lies in memory.
pub(super) trait Element: Copy + Send + Sync {
    /// The f32 that it is.
    fn wide(self) -> f32;

    /// Those of a group, by value, so that they stay in registers.
    fn group(group: &[Self; GROUP]) -> [f32; GROUP];

    /// The largest number, or one that is none where there is one; minus infinity of nothing.
    fn largest<S: Simd, const V: usize>(s: S, row: &[Self]) -> f32;
}

impl Element for f32 {
    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }

    #[inline(always)]
    fn group(group: &[Self; GROUP]) -> [f32; GROUP] {
        *group
    }

    #[inline(always)]
    fn largest<S: Simd, const V: usize>(s: S, row: &[Self]) -> f32 {
        let (mut lanes, mut all) = (Lanes::<S, V>::of(s, f32::NEG_INFINITY), mask(s));
        groups(
            row,
            f32::NEG_INFINITY,
            #[inline(always)]
            |x| {
                for &x in vectors::<S, V>(x) {
                    // What is no number is not equal to itself.
                    all = s.and_m32s(all, s.equal_f32s(x, x));
                }
                lanes.meet(
                    x,
                    #[inline(always)]
                    |most, x| s.max_f32s(most, x),
                );
            },
        );
        if !is_all(s, all) {
            return f32::NAN;
        }
        lanes.numbers().into_iter().fold(f32::NEG_INFINITY, |a, b| if a > b { a } else { b })
    }
}

/// bf16, the upper half of an f32.
impl Element for u16 {
    #[inline(always)]
    fn wide(self) -> f32 {
        f32::from_bits(u32::from(self) << 16)
    }

    #[inline(always)]
    fn group(group: &[Self; GROUP]) -> [f32; GROUP] {
        group.map(Self::wide)
    }

    /// By their bits, of which twice as many fit a vector: signed ones order the numbers from 0 on, unsigned ones those
    /// below 0, the other way round.
    #[inline(always)]
    fn largest<S: Simd, const V: usize>(_: S, row: &[Self]) -> f32 {
        const INFINITY: i16 = 0x7F80;
        const MINUS: u16 = 0xFF80;
        let (mut above, mut least, mut most) = ([i16::MIN; GROUP], [MINUS; GROUP], [0; GROUP]);
        let mut meet = |group: &[u16; GROUP]| {
            for i in 0..GROUP {
                above[i] = above[i].max(group[i].cast_signed());
                least[i] = least[i].min(group[i]);
                most[i] = most[i].max(group[i]);
            }
        };
        let (whole, rest) = row.as_chunks::<GROUP>();
        whole.iter().for_each(&mut meet);
        let mut last = [MINUS; GROUP];
        last[..rest.len()].copy_from_slice(rest);
        meet(&last);
        let above = above.into_iter().fold(i16::MIN, i16::max);
        let (least, most) = (least.into_iter().fold(MINUS, u16::min), most.into_iter().fold(0, u16::max));
        match above {
            _ if most > MINUS || above > INFINITY => f32::NAN,
            0.. => above.cast_unsigned().wide(),
            _ => least.wide(),
        }
    }
}

/// How the numbers of a row become chances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Of {
    /// They are.
    Chances,
    /// `e^(scale (x - shift)) times` of numbers that were looked through.
    Scores {
        /// The largest number.
        shift: f32,
        /// One over the temperature.
        scale: f32,
        /// One over the sum.
        times: f32,
    },
    /// `e^(scale (x - shift))`, at most 1, of numbers of which somebody told the sum; NaN of what is none.
    Told {
        /// ln of the sum, times the temperature.
        shift: f32,
        /// One over the temperature.
        scale: f32,
    },
}

/// Numbers of a row from `begin` on, and `rest` behind the last.
#[inline(always)]
pub(super) fn group_at<T: Element>(row: &[T], begin: usize, rest: f32) -> [f32; GROUP] {
    let row = row.get(begin..).unwrap_or_default();
    if let Some(group) = row.first_chunk() {
        return T::group(group);
    }
    let mut last = [rest; GROUP];
    last.iter_mut().zip(row).for_each(|(out, x)| *out = x.wide());
    last
}

/// Calls `each` with every group of a row; the last is filled up with `rest`.
#[inline(always)]
fn groups<T: Element>(row: &[T], rest: f32, mut each: impl FnMut(&[f32; GROUP])) {
    let (whole, last) = row.as_chunks::<GROUP>();
    for group in whole {
        each(&T::group(group));
    }
    if !last.is_empty() {
        each(&group_at(last, 0, rest));
    }
}

/// Vectors of a group, two of which are computed side by side.
#[inline(always)]
fn pairs<S: Simd>(x: &mut [f32; GROUP]) -> &mut [[S::f32s; 2]] {
    S::as_mut_simd_f32s(x).0.as_chunks_mut().0
}

/// The chances of a group.
#[inline(always)]
pub(super) fn chances<S: Simd>(s: S, x: &mut [f32; GROUP], of: Of) {
    match of {
        Of::Chances => {}
        Of::Scores { shift, scale, times } => {
            let (shift, scale, times) = (s.splat_f32s(shift), s.splat_f32s(scale), s.splat_f32s(times));
            for x in pairs::<S>(x) {
                for x in &mut *x {
                    *x = s.mul_f32s(scale, s.sub_f32s(*x, shift));
                }
                *x = exps(s, *x);
                for x in x {
                    *x = s.mul_f32s(*x, times);
                }
            }
        }
        Of::Told { shift, scale } => {
            let (shift, scale, zero) = (s.splat_f32s(shift), s.splat_f32s(scale), s.splat_f32s(0.0));
            for x in S::as_mut_simd_f32s(x).0 {
                let power = s.mul_f32s(scale, s.sub_f32s(*x, shift));
                // The sum may be a little too small.
                let power = s.select_f32s(s.greater_than_f32s(power, zero), zero, power);
                // `exp` would lose what is no number.
                *x = s.select_f32s(s.equal_f32s(power, power), exp(s, power), power);
            }
        }
    }
}

/// A group times a number.
#[inline(always)]
pub(super) fn scaled<S: Simd>(s: S, x: &mut [f32; GROUP], times: f32) {
    let times = s.splat_f32s(times);
    for x in S::as_mut_simd_f32s(x).0 {
        *x = s.mul_f32s(*x, times);
    }
}

/// `out = max(out - law(x), 0)` of a group.
#[inline(always)]
pub(super) fn taken<S: Simd>(s: S, x: &[f32; GROUP], of: Of, out: &mut [f32; GROUP]) {
    let (mut x, zero) = (*x, s.splat_f32s(0.0));
    chances(s, &mut x, of);
    for (left, &x) in S::as_mut_simd_f32s(out).0.iter_mut().zip(S::as_simd_f32s(&x).0) {
        let less = s.sub_f32s(*left, x);
        // Written so that a NaN stays and is found.
        *left = s.select_f32s(s.less_than_f32s(less, zero), zero, less);
    }
}

/// The largest number m of a row (NaN where one is), and the sum of e^(scale (x - m)); one pass over memory.
pub(super) fn exponentials<T: Element>(path: Path, row: &[T], scale: f32) -> (f32, f64) {
    dispatch(path, Grouped(Exponentials::<T, true> { row, scale }))
}

/// [`exponentials`] to a fraction of the cost: the sum is never less than it is, to 1e-4 of it, and at most 1.062
/// times it.
pub(super) fn ceiling<T: Element>(path: Path, row: &[T], scale: f32) -> (f32, f64) {
    dispatch(path, Grouped(Exponentials::<T, false> { row, scale }))
}

struct Exponentials<'a, T, const EXACT: bool> {
    row: &'a [T],
    scale: f32,
}

impl<T: Element, const EXACT: bool> Kernel for Exponentials<'_, T, EXACT> {
    type Output = (f32, f64);

    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, s: S) -> (f32, f64) {
        let Self { row, scale } = self;
        let (mut most, mut sum) = (f32::NEG_INFINITY, 0.0f64);
        for (i, chunk) in row.chunks(CHUNK).enumerate() {
            let here = T::largest::<S, V>(s, chunk);
            if here.is_nan() || here == f32::INFINITY {
                return (here, f64::NAN);
            }
            if here > most {
                if sum > 0.0 {
                    sum *= (f64::from(scale) * (f64::from(most) - f64::from(here))).exp();
                }
                most = here;
            }
            if most == f32::NEG_INFINITY {
                continue;
            }
            let shift = s.splat_f32s(most);
            let by = s.splat_f32s(if EXACT { scale } else { log_steps(scale) });
            let mut lanes = Lanes::<S, V>::of(s, 0.0);
            // Memory brings the next chunk while this one is computed.
            let mut ahead = row.get((i + 1) * CHUNK..).unwrap_or_default().as_chunks::<GROUP>().0.iter();
            groups(
                chunk,
                f32::NEG_INFINITY,
                #[inline(always)]
                |x| {
                    if let Some(next) = ahead.next() {
                        prefetch(next);
                    }
                    let mut x = *x;
                    for pair in pairs::<S>(&mut x) {
                        for x in &mut *pair {
                            *x = s.sub_f32s(*x, shift);
                            *x = if EXACT { s.mul_f32s(by, *x) } else { power_of_steps(s, *x, by) };
                        }
                        if EXACT {
                            *pair = exps(s, *pair);
                        }
                    }
                    lanes.meet(
                        &x,
                        #[inline(always)]
                        |sum, x| s.add_f32s(sum, x),
                    );
                },
            );
            sum += lanes.total();
        }
        (most, sum)
    }
}

/// What [`power_of_steps`] takes for a scale.
#[inline(always)]
pub(super) fn log_steps(scale: f32) -> f32 {
    // Finite, so that it makes no NaN of 0.
    (scale * (32_768.0 * std::f32::consts::LOG2_E)).min(f32::MAX)
}

/// What is at least e^(scale x) for x <= 0, to 1e-4 of it, and at most 1.062 times it: between powers of two a straight
/// line, which is what the bits of an f32 count along.
#[inline(always)]
pub(super) fn power_of_steps<S: Simd>(s: S, x: S::f32s, steps: S::f32s) -> S::f32s {
    // log2 in 2^15ths, from the least exponent on, on top of 2^23: whole numbers in the low bits, which 8 bits
    // further up are exponent and fraction.
    let place = s.mul_add_f32s(x, steps, s.splat_f32s(8_388_608.0 + 127.0 * 32_768.0));
    let bits = s.transmute_u32s_f32s(s.max_f32s(place, s.splat_f32s(8_388_608.0)));
    s.transmute_f32s_u32s(s.wrapping_dyn_shl_u32s(bits, s.splat_u32s(8)))
}

/// The largest number of a row and where the first of them is; `None` where one is NaN, or all are minus infinity.
pub(super) fn best<T: Element>(path: Path, row: &[T]) -> Option<(f32, usize)> {
    dispatch(path, Grouped(Best(row)))
}

struct Best<'a, T>(&'a [T]);

impl<T: Element> Kernel for Best<'_, T> {
    type Output = Option<(f32, usize)>;

    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, s: S) -> Self::Output {
        let (mut most, mut begin) = (f32::NEG_INFINITY, None);
        for (i, chunk) in self.0.chunks(CHUNK).enumerate() {
            let here = T::largest::<S, V>(s, chunk);
            if here.is_nan() {
                return None;
            }
            if here > most {
                (most, begin) = (here, Some(i * CHUNK));
            }
        }
        let begin = begin?;
        // Groups first, of which all numbers are looked at side by side.
        let row = &self.0[begin..];
        let is = |x: &T| x.wide() == most;
        let group = row.chunks(GROUP).position(|group| group.iter().fold(false, |any, x| any | is(x)))? * GROUP;
        let at = row[group..].iter().position(is)?;
        Some((most, begin + group + at))
    }
}

/// The sum of numbers (NaN where one is), and the least of them.
pub(super) fn mass<T: Element>(path: Path, row: &[T]) -> (f64, f32) {
    dispatch(path, Grouped(Mass(row)))
}

struct Mass<'a, T>(&'a [T]);

impl<T: Element> Kernel for Mass<'_, T> {
    type Output = (f64, f32);

    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, s: S) -> (f64, f32) {
        let (mut sum, mut least) = (0.0f64, Lanes::<S, V>::of(s, 0.0));
        for chunk in self.0.chunks(CHUNK) {
            let mut lanes = Lanes::<S, V>::of(s, 0.0);
            groups(
                chunk,
                0.0,
                #[inline(always)]
                |x| {
                    lanes.meet(
                        x,
                        #[inline(always)]
                        |sum, x| s.add_f32s(sum, x),
                    );
                    least.meet(
                        x,
                        #[inline(always)]
                        |least, x| s.select_f32s(s.less_than_f32s(x, least), x, least),
                    );
                },
            );
            sum += lanes.total();
        }
        (sum, least.numbers().into_iter().fold(0.0, |a, b| if b < a { b } else { a }))
    }
}

/// The sum of max(times law(p) - law(q), 0), to the bit what [`mass`] says of what [`write`] and [`take`] leave.
pub(super) fn surplus<P: Element, Q: Element>(path: Path, p: (&[P], Of), times: f32, q: (&[Q], Of)) -> f64 {
    dispatch(path, Grouped(Surplus { p, times, q }))
}

struct Surplus<'a, P, Q> {
    p: (&'a [P], Of),
    times: f32,
    q: (&'a [Q], Of),
}

impl<P: Element, Q: Element> Kernel for Surplus<'_, P, Q> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, s: S) -> f64 {
        let Self { p: (p, of), times, q: (q, of_q) } = self;
        let mut sum = 0.0f64;
        for (p, q) in p.chunks(CHUNK).zip(q.chunks(CHUNK)) {
            let mut lanes = Lanes::<S, V>::of(s, 0.0);
            let mut begin = 0;
            groups(
                p,
                0.0,
                #[inline(always)]
                |p| {
                    let mut out = *p;
                    chances(s, &mut out, of);
                    scaled(s, &mut out, times);
                    taken(s, &group_at(q, begin, 0.0), of_q, &mut out);
                    // Behind the end there is nothing, whatever laws make of it.
                    out.iter_mut().skip(q.len() - begin).for_each(|x| *x = 0.0);
                    begin += GROUP;
                    lanes.meet(
                        &out,
                        #[inline(always)]
                        |sum, x| s.add_f32s(sum, x),
                    );
                },
            );
            sum += lanes.total();
        }
        sum
    }
}

/// Calls `each` with every group of a row and the one of `out` beside it, which it may change.
#[inline(always)]
fn beside<T: Element>(row: &[T], out: &mut [f32], mut each: impl FnMut(&[f32; GROUP], &mut [f32; GROUP])) {
    let (whole, last) = out.as_chunks_mut::<GROUP>();
    let end = whole.len() * GROUP;
    for (i, out) in whole.iter_mut().enumerate() {
        each(&group_at(row, i * GROUP, 0.0), out);
    }
    if !last.is_empty() {
        let mut group = [0.0; GROUP];
        group[..last.len()].copy_from_slice(last);
        each(&group_at(row, end, 0.0), &mut group);
        last.copy_from_slice(&group[..last.len()]);
    }
}

/// `out = times law(row)`.
pub(super) fn write<T: Element>(path: Path, row: &[T], of: Of, times: f32, out: &mut [f32]) {
    dispatch(path, Write { row, of, times, out });
}

struct Write<'a, T> {
    row: &'a [T],
    of: Of,
    times: f32,
    out: &'a mut [f32],
}

impl<T: Element> WithSimd for Write<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        beside(
            self.row,
            self.out,
            #[inline(always)]
            |x, out| {
                *out = *x;
                chances(s, out, self.of);
                scaled(s, out, self.times);
            },
        );
    }
}

/// `out = max(out - law(row), 0)`.
pub(super) fn take<T: Element>(path: Path, row: &[T], of: Of, out: &mut [f32]) {
    dispatch(path, Take { row, of, out });
}

struct Take<'a, T> {
    row: &'a [T],
    of: Of,
    out: &'a mut [f32],
}

impl<T: Element> WithSimd for Take<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        beside(
            self.row,
            self.out,
            #[inline(always)]
            |x, out| taken(s, x, self.of, out),
        );
    }
}

#[cfg(test)]
mod tests;
