//! SLIDE: huge output layers that cost what their active neurons cost (Chen et al., MLSys 2020; arXiv 2201.12667).
//!
//! | module | what |
//! | --- | --- |
//! | [`sparse`] | rows of (index, value) pairs |
//! | [`xml`] | the text format of the Extreme Classification Repository |
//! | [`dwta`] | densified winner-take-all hashes |
//! | [`matrix`] | rows of weights in f32 or bf16 |
//! | [`tables`] | hash tables over neurons |
//! | [`queue`] | rows that wait to be hashed again |
//! | [`sampling`] | how active neurons are chosen |
//! | [`active`] | the active neurons of a batch |
//! | [`batch`] | rows that are trained together |
//! | [`softmax`] | losses over the active neurons |
//! | [`adam`] | Adam for the rows that a step touched |
//! | [`head`] | the wide output layer, or a slice of it |
//! | [`network`] | weights, and what the dense network says |
//! | [`train`] | training steps of a network |

pub mod active;
pub mod adam;
mod backward;
pub mod batch;
pub mod dwta;
mod error;
pub mod head;
mod input;
pub mod matrix;
pub mod network;
pub mod queue;
pub mod sampling;
pub mod softmax;
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
}
