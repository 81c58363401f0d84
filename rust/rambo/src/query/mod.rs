//! From items and sequences to documents.

mod absent;
mod counter;
mod items;
mod score;
mod search;
mod sequence;
mod view;

pub use items::{Answers, query_items, query_items_on};
pub(crate) use score::Chance;
pub use search::{Hit, SearchOptions, Searched, search_items};
