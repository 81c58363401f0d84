//! RAMBO: which of many documents hold an item? A Repeated And Merged Bloom Filter answers in time that grows much
//! slower than the number of documents (arXiv 1910.04358).
//!
//! Documents are dealt to B buckets, R times over. A bucket is one Bloom filter of the items of its documents; the
//! filters of a repetition are stored bit-sliced, so that an item reads R * eta rows whatever the number of documents.
//! A document answers when its bucket does in every repetition. There are no false negatives.
//!
//! | module | what |
//! | --- | --- |
//! | [`items`] | documents to hashed items: k-mers, word n-grams |
//! | [`input`] | files to documents |
//! | [`plan`] | documents and a rate to B, R, eta, rows |
//! | [`partition`] | documents to buckets |
//! | [`build`] | an index from files, resumable; [`builder`] from memory |
//! | [`index`] | the frozen index, [`format`] its file |
//! | [`query`] | items and sequences to documents |
//! | [`change`] | add, remove, stack, fold |
//! | [`exact`] | hits checked against the documents |

pub mod build;
pub mod builder;
pub mod change;
mod columns;
mod dealing;
mod draft;
pub mod error;
pub mod exact;
mod filters;
pub mod format;
pub mod index;
pub mod input;
pub mod items;
pub mod partition;
pub mod plan;
pub mod query;
mod rows;
pub mod sample;
pub mod segment;
mod simd;

pub use error::{Error, Result};
pub use index::Index;
