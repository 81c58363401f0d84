//! Speculative decoding (arXiv 2402.01528): a small model drafts, a large one verifies many ids in one pass, and what
//! comes out has the law of the large one alone.
//!
//! | module | what |
//! | --- | --- |
//! | [`latency`] | what drafts and verifications take, and the gamma that is best for it |
//! | [`acceptance`] | how likely drafts are accepted, request by request |
//! | [`times`] | what a step takes, part by part |
//! | [`goodput`] | which draft each request takes, and how many ids, so that most comes of the time |

pub mod acceptance;
mod error;
pub mod goodput;
pub mod latency;
pub mod times;

pub use error::{Error, Result};
