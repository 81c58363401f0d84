//! Speculative decoding (arXiv 2402.01528): a small model drafts, a large one verifies many ids in one pass, and what
//! comes out has the law of the large one alone.
//!
//! | module | what |
//! | --- | --- |
//! | [`latency`] | what drafts and verifications take, and the gamma that is best for it |
//! | [`acceptance`] | how likely drafts are accepted, request by request |

pub mod acceptance;
mod error;
pub mod latency;

pub use error::{Error, Result};
