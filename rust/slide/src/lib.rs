//! SLIDE: huge output layers that cost what their active neurons cost (Chen et al., MLSys 2020; arXiv 2201.12667).
//!
//! | module | what |
//! | --- | --- |
//! | [`sparse`] | rows of (index, value) pairs |
//! | [`xml`] | the text format of the Extreme Classification Repository |
//! | [`hash`] | families of hashes of vectors |
//! | [`matrix`] | rows of weights in f32 or bf16 |
//! | [`tables`] | hash tables over neurons |
//! | [`queue`] | rows that wait to be hashed again |
//! | [`sampling`] | how active neurons are chosen |
//! | [`active`] | the active neurons of a batch |
//! | [`batch`] | rows that are trained together |
//! | [`softmax`] | losses over the active neurons |
//! | [`adam`] | Adam for the rows that a step touched |
//! | `drift` | what dense Adam does to the others |
//! | [`head`] | the wide output layer, or a slice of it |
//! | [`predict`] | the best neurons of rows |
//! | [`input`] | the input layer, or a slice of it |
//! | [`network`] | weights of a network |
//! | [`save`] | models and checkpoints as files |
//! | [`train`] | training steps of a network |
//! | [`shard`] | the same where ranks have a part of the network each |
//! | [`wire`] | hidden values and gradients as they travel between ranks |

pub mod active;
pub mod adam;
mod backward;
pub mod batch;
mod drift;
mod error;
pub mod hash;
pub mod head;
pub mod input;
pub mod matrix;
pub mod network;
pub mod predict;
pub mod queue;
pub mod sampling;
pub mod save;
pub mod shard;
pub mod softmax;
pub mod sparse;
pub mod tables;
pub mod train;
pub mod wire;
pub mod xml;

pub use error::{Error, Result};

/// Streams of the random generator.
mod stream {
    pub(crate) const WEIGHTS: u64 = 0x736c_0001;
    pub(crate) const PERMUTATIONS: u64 = 0x736c_0002;
    pub(crate) const PRIORITY: u64 = 0x736c_0003;
    pub(crate) const TOP_UP: u64 = 0x736c_0004;
    pub(crate) const SHUFFLE: u64 = 0x736c_0005;
    pub(crate) const ROUNDING: u64 = 0x736c_0006;
    pub(crate) const DRIFT: u64 = 0x736c_0007;
    pub(crate) const DIRECTIONS: u64 = 0x736c_0010;
    pub(crate) const HASH_KEYS: u64 = 0x736c_0011;
}
