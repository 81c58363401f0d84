//! What lookups reach of what memory gives: rows that are only read, at places that are known, beside lookups of as many
//! rows. A JSON line a table, in GB of rows a second; all take turns on one thread, medians of rounds.
//!
//! Rows are read in several ways, and the fastest counts. All read the rows of the one table, so that none finds more of
//! them in the caches than another.

#![allow(clippy::print_stdout)] // what it is for

use std::hint::black_box;
use std::time::Instant;

use pulp::{Simd, WithSimd};
use thrifty_base::hash::mix64;
use thrifty_base::math::dispatch;
use thrifty_base::prefetch::{prefetch, prefetch_near};
use thrifty_base::progress::Progress;
use thrifty_base::simd::{self, Path};
use thrifty_pairconnect::Result;
use thrifty_pairconnect::spec::{Kind, Layout, PairSpec, Pool, Precision};
use thrifty_pairconnect::table::PairTable;

const BAGS: usize = 2048;
const WINDOW: usize = 64;
const DIM: usize = 128;
const ROUNDS: u64 = 31;
/// Rows that are set at once.
const SET: usize = 1 << 14;
/// Vectors that are added side by side.
const SUMS: usize = 8;

type Way = fn(Path, &[u8], &[usize]) -> u64;

/// Of rows whose bytes are known.
fn ways<const BYTES: usize>() -> [Way; 6] {
    [
        read::<BYTES, 8, false>,
        read::<BYTES, 16, true>,
        read::<BYTES, 16, false>,
        read::<BYTES, 32, false>,
        read::<BYTES, 64, false>,
        read::<BYTES, 0, false>,
    ]
}

/// A table, and what was measured of it: GB of rows a second, by way and of lookups.
struct Case {
    name: &'static str,
    table: PairTable,
    stride: usize,
    ways: [Way; 6],
    reads: [Vec<f64>; 6],
    lookups: Vec<f64>,
}

impl Case {
    fn new(name: &'static str, precision: Precision, rows: usize) -> Result<Self> {
        let spec = PairSpec {
            vocab: 30_000,
            rows,
            heads: 1,
            head_dim: DIM,
            window: WINDOW,
            offsets: true,
            include_self: false,
            pool: Pool::Sum,
            query_gram: 1,
            key_gram: 1,
            hash: Kind::Mix64,
            seed: 1,
            precision,
        };
        let stride = Layout::of(&spec)?.stride;
        let ways = match precision {
            Precision::F32 => ways::<512>(),
            Precision::Bf16 => ways::<256>(),
            Precision::I8 => ways::<132>(),
        };
        let mut table = PairTable::zeros(spec, None)?;
        let values: Vec<f32> = (0..SET).flat_map(|r| (0..DIM).map(move |i| (r * i) as f32)).collect();
        for first in (0..rows).step_by(SET) {
            table.set(first, &values[..DIM * SET.min(rows - first)], None)?;
        }
        Ok(Self { name, table, stride, ways, reads: Default::default(), lookups: Vec::new() })
    }

    /// One of each, with places that no turn before had.
    fn turn(&mut self, path: Path, round: u64, out: &mut [f32]) -> Result<()> {
        let Self { table, stride, ways, reads, lookups, .. } = self;
        let pairs: usize = (0..BAGS).map(|t| t.min(WINDOW)).sum();
        let rate = |begun: Instant| (pairs * *stride) as f64 / begun.elapsed().as_secs_f64() / 1e9;
        let rows = table.spec().rows;
        for (turn, (way, reads)) in ways.iter().zip(reads).enumerate() {
            let random = |i: u64| mix64(i ^ mix64(round << 8 | turn as u64)) as usize;
            let places: Vec<usize> = (0..pairs as u64).map(|i| random(i) % rows * *stride).collect();
            let begun = Instant::now();
            black_box(way(path, table.data(), &places));
            reads.push(rate(begun));
        }
        let ids: Vec<u32> = (0..BAGS as u64).map(|i| (mix64(i ^ mix64(round + 99)) % 30_000) as u32).collect();
        let begun = Instant::now();
        table.lookup(&ids, BAGS, None, 1, &Progress::new(), out)?;
        lookups.push(rate(begun));
        black_box(out);
        Ok(())
    }
}

fn main() -> Result<()> {
    use Precision::{Bf16, F32, I8};
    let path = simd::path()?;
    // Of i8, as many rows as 256 MB have room for.
    let mut cases = [
        Case::new("8 MB", F32, 1 << 14)?,
        Case::new("256 MB", F32, 1 << 19)?,
        Case::new("1 GB", F32, 1 << 21)?,
        Case::new("256 MB bf16", Bf16, 1 << 20)?,
        Case::new("256 MB i8", I8, 2_033_600)?,
    ];
    let mut out = vec![0.0; BAGS * DIM];
    for round in 0..ROUNDS {
        for case in &mut cases {
            case.turn(path, round, &mut out)?;
        }
    }
    for Case { name, stride, reads, lookups, .. } in cases {
        let roof = reads.map(median).into_iter().fold(0.0, f64::max);
        let lookup = median(lookups);
        println!(r#"{{"name": "{name}", "roof": {roof:.3}, "lookup": {lookup:.3}, "row": {stride}}}"#);
    }
    Ok(())
}

/// All words of rows of `BYTES` bytes, added as whole numbers: to have read them takes no less. Memory is asked `AHEAD`
/// rows before.
struct Read<'a, const BYTES: usize, const AHEAD: usize, const NEAR: bool>(&'a [u8], &'a [usize]);

impl<const BYTES: usize, const AHEAD: usize, const NEAR: bool> WithSimd for Read<'_, BYTES, AHEAD, NEAR> {
    type Output = u64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> u64 {
        let Self(data, places) = self;
        let row = |place: usize| -> &[u8; BYTES] { data[place..][..BYTES].try_into().expect("as many bytes") };
        let mut sums = [s.splat_u32s(0); SUMS];
        let mut last = 0u32;
        for (i, &place) in places.iter().enumerate() {
            if let Some(&later) = places.get(i + AHEAD).filter(|_| AHEAD > 0) {
                if NEAR { prefetch_near(row(later)) } else { prefetch(row(later)) }
            }
            let (vectors, rest) = S::as_simd_u32s(bytemuck::cast_slice(row(place)));
            for vectors in vectors.chunks(SUMS) {
                for (sum, &vector) in sums.iter_mut().zip(vectors) {
                    *sum = s.add_u32s(*sum, vector);
                }
            }
            rest.iter().for_each(|&word| last = last.wrapping_add(word));
        }
        let all = sums.into_iter().fold(s.splat_u32s(0), |all, sum| s.add_u32s(all, sum));
        bytemuck::bytes_of(&all).iter().fold(u64::from(last), |all, &byte| all.wrapping_add(u64::from(byte)))
    }
}

fn read<const BYTES: usize, const AHEAD: usize, const NEAR: bool>(path: Path, data: &[u8], places: &[usize]) -> u64 {
    dispatch(path, Read::<BYTES, AHEAD, NEAR>(data, places))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
