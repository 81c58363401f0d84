//! Engram: rows of n-grams (deepseek-ai/Engram, `engram_demo_v1.py`, whose released tables fit).
//!
//! | module | what |
//! | --- | --- |
//! | [`spec`] | what a table is a function of |
//! | [`hash`] | which row an n-gram has in each head |
//! | [`table`] | rows in memory or in a file |
//! | `lookup` | what positions look up |

pub mod hash;
mod lookup;
pub mod spec;
pub mod table;

pub use spec::EngramSpec;
pub use table::EngramTable;
