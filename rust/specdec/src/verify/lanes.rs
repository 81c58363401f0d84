//! A group of numbers in as many vectors as the instructions make of it, and a lane for each of them.

use pulp::{Simd, WithSimd};

use super::kernels::GROUP;

/// Work with a group in `V` vectors.
pub(super) trait Kernel {
    type Output;
    fn run<S: Simd, const V: usize>(self, s: S) -> Self::Output;
}

/// Does it with as many as there are in a group.
pub(super) struct Grouped<K>(pub(super) K);

impl<K: Kernel> WithSimd for Grouped<K> {
    type Output = K::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> Self::Output {
        match GROUP / S::F32_LANES {
            4 => self.0.run::<S, 4>(s),
            8 => self.0.run::<S, 8>(s),
            16 => self.0.run::<S, 16>(s),
            _ => self.0.run::<S, GROUP>(s),
        }
    }
}

/// The vectors of a group.
#[inline(always)]
pub(super) fn vectors<S: Simd, const V: usize>(group: &[f32; GROUP]) -> &[S::f32s; V] {
    S::as_simd_f32s(group).0.try_into().expect("a group has V vectors")
}

/// A lane for each number of a group: none waits for another.
#[derive(Clone, Copy)]
pub(super) struct Lanes<S: Simd, const V: usize>([S::f32s; V]);

impl<S: Simd, const V: usize> Lanes<S, V> {
    #[inline(always)]
    pub(super) fn of(s: S, value: f32) -> Self {
        Self([s.splat_f32s(value); V])
    }

    /// Each lane becomes `next` of itself and the number that meets it.
    #[inline(always)]
    pub(super) fn meet(&mut self, group: &[f32; GROUP], next: impl Fn(S::f32s, S::f32s) -> S::f32s) {
        for (lane, &x) in self.0.iter_mut().zip(vectors::<S, V>(group)) {
            *lane = next(*lane, x);
        }
    }

    #[inline(always)]
    pub(super) fn numbers(self) -> [f32; GROUP] {
        let mut out = [0.0f32; GROUP];
        for (out, lane) in S::as_mut_simd_f32s(&mut out).0.iter_mut().zip(self.0) {
            *out = lane;
        }
        out
    }

    /// Their sum, in double precision.
    #[inline(always)]
    pub(super) fn total(self) -> f64 {
        self.numbers().iter().map(|&x| f64::from(x)).sum()
    }
}
