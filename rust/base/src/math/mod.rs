//! Dense arithmetic on rows of f32.
//!
//! Every kernel is written once, against [`pulp::Simd`], and compiled for each instruction set. Elements are summed in
//! one order with fused multiply-adds, so all paths give the same bits.

pub mod adam;
pub mod bf16;
mod dot;
mod exp;
mod gemm;
mod log_sum_exp;

use pulp::{Scalar, Simd, WithSimd};

pub use dot::{Lanes, axpy, dot, dots, sum};
pub use exp::{exp, exps};
pub use gemm::{Rows, accumulate, combine, multiply};
pub use log_sum_exp::log_sum_exp;

use crate::simd::Path;

/// Numbers that rows are padded to: the lanes of the widest path.
pub const LANES: usize = 16;

/// `length` rounded up to [`LANES`].
pub const fn padded(length: usize) -> usize {
    length.next_multiple_of(LANES)
}

/// A mask of which all lanes are true.
#[inline(always)]
pub fn mask<S: Simd>(s: S) -> S::m32s {
    s.less_than_f32s(s.splat_f32s(0.0), s.splat_f32s(1.0))
}

/// Whether all lanes are true: bytes are compared in an instruction or two, a largest lane takes ten.
#[inline(always)]
pub fn is_all<S: Simd>(s: S, lanes: S::m32s) -> bool {
    bytemuck::bytes_of(&lanes) == bytemuck::bytes_of(&mask(s))
}

/// Runs a kernel on `path`, or on the scalar twin where the machine lacks that path.
pub fn dispatch<Op: WithSimd>(path: Path, op: Op) -> Op::Output {
    #[cfg(target_arch = "x86_64")]
    match path {
        Path::Avx512 => {
            if let Some(simd) = pulp::x86::V4::try_new() {
                return Simd::vectorize(simd, op);
            }
        }
        Path::Avx2 => {
            if let Some(simd) = pulp::x86::V3::try_new() {
                return Simd::vectorize(simd, op);
            }
        }
        Path::Scalar => {}
    }
    let _ = path;
    op.with_simd(Scalar)
}
