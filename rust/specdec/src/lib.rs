//! Speculative decoding (arXiv 2402.01528): a small model drafts, a large one verifies many ids in one pass, and what
//! comes out has the law of the large one alone.
//!
//! | module | what |
//! | --- | --- |

mod error;

pub use error::{Error, Result};
