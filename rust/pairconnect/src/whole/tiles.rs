//! Products by tiles of a matrix unit (AMX): 16 rows of weights times 16 vectors in an instruction.
//!
//! A number of 16 bits is 256 times a signed byte and an unsigned one. Both halves are multiplied by themselves, and sums of
//! whole numbers are exact, so the bits are those of all other instructions.
#![allow(unsafe_code)] // instructions that Rust has no functions for yet

use std::arch::asm;
use std::sync::OnceLock;

use pulp::NullaryFnOnce;
use pulp::x86::V4;
use thrifty_base::math::LANES;
use thrifty_base::simd::Path;

use super::product::put;
use super::{Panels, Whole, bytes};

/// Bytes of a row of a tile.
const WIDE: usize = 64;
/// Vectors of a tile; with fewer than so many, vectors are multiplied one by one.
const VECTORS: usize = 16;
const FEW: usize = 4;
/// Numbers of a tile of sums.
const SUMS: usize = VECTORS * LANES;

/// Whether weights of `columns` columns go through tiles.
pub(super) fn fit(path: Path, columns: usize) -> bool {
    path == Path::Avx512 && columns.is_multiple_of(WIDE) && simd().is_some()
}

/// The instructions, where processor and system let a program have them.
fn simd() -> Option<V4> {
    static FOUND: OnceLock<Option<V4>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        // Leaf 7: tiles, and products of bytes.
        let has = std::arch::x86_64::__cpuid_count(7, 0).edx & (0b11 << 24) == 0b11 << 24;
        let vnni = std::arch::is_x86_feature_detected!("avx512vnni");
        V4::try_new().filter(|_| has && vnni && permitted())
    })
}

/// Asks the system for the registers, which it saves for those alone who did; they are there for all threads then.
fn permitted() -> bool {
    if !cfg!(target_os = "linux") {
        return false;
    }
    const ARCH_PRCTL: i64 = 158;
    const REQUEST: i64 = 0x1023;
    const TILES: i64 = 18;
    let outcome: i64;
    // SAFETY: a system call that reads and writes no memory of the program; on Linux, where its number is this one.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => outcome,
            in("rdi") REQUEST,
            in("rsi") TILES,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    outcome == 0
}

/// `out[p][row] = rows[row] . x[p]`, of panels that [`fit`].
pub(super) fn product(w: &Panels, x: &mut Whole, rows: usize, out: &mut [f32]) {
    let simd = simd().expect("panels are made for tiles only where there are some");
    simd.vectorize(Product { w, x, rows, out });
}

struct Product<'a> {
    w: &'a Panels,
    x: &'a mut Whole,
    rows: usize,
    out: &'a mut [f32],
}

/// How large the eight tiles are.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    begin: u8,
    none: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

impl Shapes {
    /// 0 to 3: sums of two panels, of both halves; 4 and 5: the halves of vectors; 6 and 7: weights of two panels.
    fn of(vectors: usize) -> Self {
        let (vectors, weights) = (vectors as u8, LANES as u8);
        let mut shapes = Self { palette: 1, begin: 0, none: [0; 14], bytes: [0; 16], rows: [0; 16] };
        shapes.bytes[..8].fill(WIDE as u16);
        shapes.rows[..8].copy_from_slice(&[vectors, vectors, vectors, vectors, vectors, vectors, weights, weights]);
        shapes
    }
}

impl NullaryFnOnce for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { w, x, rows, out } = self;
        let Whole { columns, numbers, scales, halves } = x;
        let columns = *columns;
        let vectors = numbers.chunks(VECTORS * columns).zip(scales.chunks(VECTORS));
        for ((numbers, factors), out) in vectors.zip(out.chunks_mut(VECTORS * rows)) {
            halves.resize(2 * numbers.len(), 0);
            let (high, low) = halves.split_at_mut(numbers.len());
            if factors.len() < FEW {
                for ((&x, high), low) in numbers.iter().zip(&mut *high).zip(&mut *low) {
                    (*high, *low) = (bytes::shifted(x), x as u8);
                }
                let each = high.chunks_exact(columns).zip(low.chunks_exact(columns)).zip(factors);
                for (((high, low), &factor), out) in each.zip(out.chunks_exact_mut(rows)) {
                    // SAFETY: `simd` found the instructions.
                    unsafe { bytes::product(w, high.as_chunks().0, low.as_chunks().0, factor, out) };
                }
                continue;
            }
            for ((&x, high), low) in numbers.iter().zip(&mut *high).zip(&mut *low) {
                (*high, *low) = ((x >> 8) as u8, x as u8);
            }
            let shapes = Shapes::of(factors.len());
            // SAFETY: `simd` found the instructions, and shapes are within what palette 1 has.
            unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const shapes, options(nostack, readonly)) };
            let panels = w.weights.chunks(2 * LANES * columns).zip(w.scales.chunks(2 * LANES));
            for (i, (weights, scales)) in panels.enumerate() {
                let sums = sums_of_two(weights, high, low, columns);
                for (n, scales) in scales.as_chunks::<LANES>().0.iter().enumerate() {
                    let begin = (2 * i + n) * LANES;
                    let (high, low) = (sums[2 * n].as_chunks::<LANES>().0, sums[2 * n + 1].as_chunks::<LANES>().0);
                    let each = out.chunks_exact_mut(rows).zip(factors).zip(high.iter().zip(low));
                    for ((out, factor), (high, low)) in each {
                        let mut lanes = [0.0f32; LANES];
                        for i in 0..LANES {
                            // The sum itself is within 32 bits.
                            let sum = high[i].wrapping_mul(256).wrapping_add(low[i]);
                            lanes[i] = sum as f32 * (scales[i] * factor);
                        }
                        put(&mut out[begin..], &lanes);
                    }
                }
            }
            // SAFETY: as above. Registers that hold nothing need not be saved.
            unsafe { asm!("tilerelease", options(nostack, nomem)) };
        }
    }
}

/// Sums of one or two panels times the vectors: of each panel those of the high bytes, then those of the low ones.
#[inline(always)]
fn sums_of_two(weights: &[i8], high: &[u8], low: &[u8], columns: usize) -> [[i32; SUMS]; 4] {
    let panel = LANES * columns;
    assert!(columns.is_multiple_of(WIDE) && weights.len().is_multiple_of(panel) && weights.len() >= panel);
    assert!(high.len() == low.len() && high.len().is_multiple_of(columns) && high.len() <= VECTORS * columns);
    let second = weights.len() - panel;
    let mut sums = [[0; SUMS]; 4];
    // SAFETY: a tile of vectors reads `WIDE` bytes of each vector, `columns` apart, from a multiple of `WIDE` below `columns`
    // on; a tile of weights 16 times `WIDE` bytes that follow each other within a panel, of which there are one or two. The
    // shapes, of as many vectors as `high` and `low` have, were set before. Sums have room for 16 vectors.
    unsafe {
        asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack, nomem));
        for at in (0..columns).step_by(WIDE) {
            let first = weights.as_ptr().add(at * LANES);
            asm!(
                "tileloadd tmm4, [{high} + {apart}*1]",
                "tileloadd tmm6, [{first} + {wide}*1]",
                "tdpbssd tmm0, tmm4, tmm6",
                "tileloadd tmm5, [{low} + {apart}*1]",
                "tdpbusd tmm1, tmm5, tmm6",
                "tileloadd tmm7, [{second} + {wide}*1]",
                "tdpbssd tmm2, tmm4, tmm7",
                "tdpbusd tmm3, tmm5, tmm7",
                high = in(reg) high.as_ptr().add(at),
                low = in(reg) low.as_ptr().add(at),
                apart = in(reg) columns,
                first = in(reg) first,
                second = in(reg) first.add(second),
                wide = in(reg) WIDE,
                options(nostack, readonly),
            );
        }
        let [a, b, c, d] = &mut sums;
        asm!(
            "tilestored [{a} + {wide}*1], tmm0",
            "tilestored [{b} + {wide}*1], tmm1",
            "tilestored [{c} + {wide}*1], tmm2",
            "tilestored [{d} + {wide}*1], tmm3",
            a = in(reg) a.as_mut_ptr(),
            b = in(reg) b.as_mut_ptr(),
            c = in(reg) c.as_mut_ptr(),
            d = in(reg) d.as_mut_ptr(),
            wide = in(reg) WIDE,
            options(nostack),
        );
    }
    sums
}
