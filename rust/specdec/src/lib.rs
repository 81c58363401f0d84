//! Speculative decoding (arXiv 2402.01528): a small model drafts, a large one verifies many ids in one pass, and what
//! comes out has the law of the large one alone.
//!
//! | module | what |
//! | --- | --- |
//! | [`verify`] | which drafts are accepted, and what follows them |

mod error;
pub mod verify;

pub use error::{Error, Result};
