//! How rows of p and q are read: dense or sparse, f32 or bf16, and the law that they are.

use thrifty_base::prefetch::prefetch;
use thrifty_base::simd::Path;

use super::kernels::{self, Of};

/// Dense rows as they lie in memory.
#[derive(Clone, Copy, Debug)]
pub enum Numbers<'a> {
    /// f32.
    F32(&'a [f32]),
    /// bf16, the upper halves of f32.
    Bf16(&'a [u16]),
}

/// Runs the same on whichever numbers there are.
macro_rules! on {
    ($numbers:expr, $x:ident => $body:expr) => {
        match $numbers {
            $crate::verify::rows::Numbers::F32($x) => $body,
            $crate::verify::rows::Numbers::Bf16($x) => $body,
        }
    };
}
pub(super) use on;

impl<'a> Numbers<'a> {
    /// How many.
    pub fn len(self) -> usize {
        on!(self, x => x.len())
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Row `row` of those of `length`.
    pub(super) fn row(self, row: usize, length: usize) -> Self {
        self.part(row * length, length)
    }

    fn part(self, begin: usize, length: usize) -> Self {
        match self {
            Self::F32(x) => Self::F32(&x[begin..begin + length]),
            Self::Bf16(x) => Self::Bf16(&x[begin..begin + length]),
        }
    }

    /// Asks memory for some, which are needed later.
    #[inline(always)]
    pub(super) fn prefetch(self, begin: usize, length: usize) {
        let end = (begin + length).min(self.len());
        on!(self, x => prefetch(x.get(begin..end).unwrap_or_default()));
    }

    /// A copy in f32.
    pub(super) fn widen(self, path: Path, out: &mut [f32]) {
        on!(self, x => kernels::write(path, x, Of::Chances, 1.0, out));
    }

    pub(super) fn exponentials(self, path: Path, scale: f32) -> (f32, f64) {
        on!(self, x => kernels::exponentials(path, x, scale))
    }

    pub(super) fn ceiling(self, path: Path, scale: f32) -> (f32, f64) {
        on!(self, x => kernels::ceiling(path, x, scale))
    }

    pub(super) fn best(self, path: Path) -> Option<(f32, usize)> {
        on!(self, x => kernels::best(path, x))
    }

    pub(super) fn mass(self, path: Path) -> (f64, f32) {
        on!(self, x => kernels::mass(path, x))
    }
}

/// The law of a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Law<'a> {
    /// All chances, or what they are made of.
    Dense(Numbers<'a>, Of),
    /// Ids and their chances; entries of one id add up.
    Sparse(&'a [u32], &'a [f32]),
    /// One id has all.
    One(usize),
}

impl Law<'_> {
    /// The chance of an id: the number that [`Self::write`] would write.
    pub(super) fn chance(&self, path: Path, id: usize) -> f32 {
        match *self {
            Self::Dense(numbers, of) => {
                let mut out = [0.0];
                on!(numbers, x => kernels::write(path, &x[id..=id], of, 1.0, &mut out));
                out[0]
            }
            Self::Sparse(ids, chances) => {
                ids.iter().zip(chances).filter(|(i, _)| **i as usize == id).fold(0.0, |sum, (_, p)| sum + p)
            }
            Self::One(only) => f32::from(id == only),
        }
    }

    /// Writes `times` the chance of every id.
    pub(super) fn write(&self, path: Path, times: f32, out: &mut [f32]) {
        match *self {
            Self::Dense(numbers, of) => on!(numbers, x => kernels::write(path, x, of, times, out)),
            Self::Sparse(ids, chances) => {
                out.fill(0.0);
                ids.iter().zip(chances).for_each(|(&id, p)| out[id as usize] += times * p);
            }
            Self::One(id) => {
                out.fill(0.0);
                out[id] = times;
            }
        }
    }
}

/// The sum of max(times p - q, 0); NaN where a number of q is. `out` is room.
///
/// Every element is computed alike whatever form the laws have, so that the form changes no decision.
pub(super) fn surplus(path: Path, p: &Law<'_>, times: f32, q: &Law<'_>, out: &mut [f32]) -> f64 {
    if let (Law::Dense(p, of), Law::Dense(q, of_q)) = (*p, *q) {
        return on!(p, p => on!(q, q => kernels::surplus(path, (p, of), times, (q, of_q))));
    }
    p.write(path, times, out);
    subtract(path, q, out)
}

/// Takes q from `out`, where that leaves less than 0 leaves 0, and returns the sum of what is left.
pub(super) fn subtract(path: Path, q: &Law<'_>, out: &mut [f32]) -> f64 {
    match *q {
        Law::Dense(numbers, of) => on!(numbers, x => kernels::take(path, x, of, out)),
        Law::Sparse(ids, chances) => {
            ids.iter().zip(chances).for_each(|(&id, q)| out[id as usize] -= q);
            for &id in ids {
                let left = &mut out[id as usize];
                *left = if *left < 0.0 { 0.0 } else { *left };
            }
        }
        Law::One(id) => out[id] = 0.0,
    }
    kernels::mass(path, out).0
}
