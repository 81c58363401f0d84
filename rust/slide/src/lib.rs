//! SLIDE: huge output layers that cost what their active neurons cost (Chen et al., MLSys 2020; arXiv 2201.12667).
//!
//! | module | what |
//! | --- | --- |
//! | [`sparse`] | rows of (index, value) pairs |
//! | [`xml`] | the text format of the Extreme Classification Repository |
//! | [`hash`] | families of locality-sensitive hashes |
//! | [`tables`] | hash tables over neurons |
//! | [`active`] | the active neurons of a batch |
//! | [`adam`] | Adam for the rows that a step touched |
//! | [`network`] | weights, and what the dense network says |
//! | [`train`] | training steps |

pub mod active;
pub mod adam;
mod error;
pub mod hash;
pub mod network;
pub mod sparse;
pub mod tables;
pub mod train;
pub mod xml;

pub use error::{Error, Result};

/// Streams of the random generator.
mod stream {
    pub(crate) const WEIGHTS: u64 = 0x736c_0001;
    pub(crate) const PERMUTATIONS: u64 = 0x736c_0002;
    pub(crate) const PRIORITY: u64 = 0x736c_0003;
    pub(crate) const TOP_UP: u64 = 0x736c_0004;
    pub(crate) const SHUFFLE: u64 = 0x736c_0005;
    pub(crate) const DIRECTIONS: u64 = 0x736c_0010;
    pub(crate) const HASH_KEYS: u64 = 0x736c_0011;
}
