//! What every part of thrifty shares, and nothing that only one part needs.
//!
//! | module | what |
//! | --- | --- |
//! | [`hash`] | mixing 64-bit words, hashing bytes |
//! | [`philox`] | random numbers as a function of (seed, stream, position) |
//! | [`noise`] | which random numbers decide what |
//! | [`pool`] | threads that survive a fork |
//! | [`progress`] | progress of long work, and how to stop it |
//! | [`simd`] | which instruction set the kernels use |
//! | [`math`] | dense arithmetic on rows of f32 |
//! | [`memory`] | bytes of a file: mapped, or copied onto huge pages |
//! | [`pages`] | large arrays of numbers on huge pages |
//! | [`prefetch`] | asking memory for what is needed next |
//! | [`lent`] | memory that steps leave to the next |
//! | [`recycled`] | memory for large results, used again |
//! | [`sampling`] | from scores to a law, and from a law to an id |
//! | [`draft`] | what proposes ids for another model to verify |
//! | [`files`] | atomic replacement of a file, and the lock of its writer |
//! | [`container`] | the checksummed file format of indexes and journals |
//! | [`tensors`] | files of learned weights |

pub mod container;
pub mod draft;
pub mod error;
pub mod files;
pub mod hash;
pub mod lent;
pub mod math;
pub mod memory;
pub mod noise;
pub mod pages;
pub mod philox;
pub mod pool;
pub mod prefetch;
pub mod progress;
pub mod recycled;
pub mod sampling;
pub mod simd;
pub mod tensors;

pub use error::{Error, Result};
