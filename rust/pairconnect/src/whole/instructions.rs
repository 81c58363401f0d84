//! Instructions for pairs of 16-bit numbers: all give the same sums.
#![allow(unsafe_code)] // one call of a function with more instructions than pulp knows of

use pulp::{NullaryFnOnce, Scalar, Simd};
use thrifty_base::math::LANES;
use thrifty_base::simd::Path;

use super::Block;

/// Work for any of the instructions below.
pub(super) trait WithPairs {
    fn run<M: Pairs>(self, m: M);
}

pub(super) fn with_pairs(path: Path, work: impl WithPairs) {
    #[cfg(target_arch = "x86_64")]
    match path {
        Path::Avx512 => {
            if let Some(simd) = pulp::x86::V4::try_new() {
                if std::arch::is_x86_feature_detected!("avx512vnni") {
                    // SAFETY: the instructions of V4 and those named here are there.
                    return unsafe { with_vnni(simd, work) };
                }
                return simd.vectorize(Call { simd, work });
            }
        }
        Path::Avx2 => {
            if let Some(simd) = pulp::x86::V3::try_new() {
                return simd.vectorize(Call { simd, work });
            }
        }
        Path::Scalar => {}
    }
    let _ = path;
    work.run(Scalar::new());
}

struct Call<M, W> {
    simd: M,
    work: W,
}

impl<M: Pairs, W: WithPairs> NullaryFnOnce for Call<M, W> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.work.run(self.simd);
    }
}

/// The same instructions as without, but the compiler makes one of a product and a sum.
#[cfg(target_arch = "x86_64")]
#[target_feature(
    enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni,avx2,fma,bmi1,bmi2,lzcnt,popcnt,movbe,f16c"
)]
fn with_vnni(simd: pulp::x86::V4, work: impl WithPairs) {
    work.run(simd);
}

/// Instructions that multiply pairs of 16-bit numbers and add both to sums of 32 bits.
pub(super) trait Pairs: Copy {
    /// Whether there are registers for the sums of a whole tile.
    const MANY: bool;
    /// Two columns of 16 rows in 16 bits.
    type Weights: Copy;
    /// Sums of 16 rows.
    type Sums: Copy;
    fn zero(self) -> Self::Sums;
    fn widen(self, block: &Block) -> Self::Weights;
    fn load(self, block: &[i16; 2 * LANES]) -> Self::Weights;
    /// One pair beside every row.
    fn splat(self, pair: [i16; 2]) -> Self::Weights;
    fn add(self, sums: Self::Sums, weights: Self::Weights, x: Self::Weights) -> Self::Sums;
    fn lanes(self, sums: Self::Sums) -> [i32; LANES];
}

impl Pairs for Scalar {
    const MANY: bool = false;
    type Weights = [i16; 2 * LANES];
    type Sums = [i32; LANES];

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        [0; LANES]
    }

    #[inline(always)]
    fn widen(self, block: &Block) -> Self::Weights {
        block.map(i16::from)
    }

    #[inline(always)]
    fn load(self, block: &[i16; 2 * LANES]) -> Self::Weights {
        *block
    }

    #[inline(always)]
    fn splat(self, pair: [i16; 2]) -> Self::Weights {
        std::array::from_fn(|i| pair[i % 2])
    }

    #[inline(always)]
    fn add(self, mut sums: Self::Sums, weights: Self::Weights, x: Self::Weights) -> Self::Sums {
        for ((sum, w), x) in sums.iter_mut().zip(weights.as_chunks::<2>().0).zip(x.as_chunks::<2>().0) {
            *sum += i32::from(w[0]) * i32::from(x[0]) + i32::from(w[1]) * i32::from(x[1]);
        }
        sums
    }

    #[inline(always)]
    fn lanes(self, sums: Self::Sums) -> [i32; LANES] {
        sums
    }
}

#[cfg(target_arch = "x86_64")]
impl Pairs for pulp::x86::V3 {
    const MANY: bool = false;
    type Weights = [pulp::i16x16; 2];
    type Sums = [pulp::u32x8; 2];

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        [self.splat_u32s(0); 2]
    }

    #[inline(always)]
    fn widen(self, block: &Block) -> Self::Weights {
        let halves: &[[i8; LANES]; 2] = bytemuck::cast_ref(block);
        halves.map(|half| self.convert_i8x16_to_i16x16(pulp::cast(half)))
    }

    #[inline(always)]
    fn load(self, block: &[i16; 2 * LANES]) -> Self::Weights {
        pulp::cast(*block)
    }

    #[inline(always)]
    fn splat(self, pair: [i16; 2]) -> Self::Weights {
        [pulp::cast(self.splat_i32x8(bytemuck::cast(pair))); 2]
    }

    #[inline(always)]
    fn add(self, sums: Self::Sums, weights: Self::Weights, x: Self::Weights) -> Self::Sums {
        let more = |i: usize| pulp::cast(self.multiply_wrapping_add_adjacent_i16x16(weights[i], x[i]));
        [self.add_u32s(sums[0], more(0)), self.add_u32s(sums[1], more(1))]
    }

    #[inline(always)]
    fn lanes(self, sums: Self::Sums) -> [i32; LANES] {
        pulp::cast(sums)
    }
}

#[cfg(target_arch = "x86_64")]
impl Pairs for pulp::x86::V4 {
    const MANY: bool = true;
    type Weights = pulp::i16x32;
    type Sums = pulp::u32x16;

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        self.splat_u32s(0)
    }

    #[inline(always)]
    fn widen(self, block: &Block) -> Self::Weights {
        self.convert_i8x32_to_i16x32(pulp::cast(*block))
    }

    #[inline(always)]
    fn load(self, block: &[i16; 2 * LANES]) -> Self::Weights {
        pulp::cast(*block)
    }

    #[inline(always)]
    fn splat(self, pair: [i16; 2]) -> Self::Weights {
        pulp::cast(self.splat_i32x16(bytemuck::cast(pair)))
    }

    #[inline(always)]
    fn add(self, sums: Self::Sums, weights: Self::Weights, x: Self::Weights) -> Self::Sums {
        self.add_u32s(sums, pulp::cast(self.multiply_wrapping_add_adjacent_i16x32(weights, x)))
    }

    #[inline(always)]
    fn lanes(self, sums: Self::Sums) -> [i32; LANES] {
        pulp::cast(sums)
    }
}
