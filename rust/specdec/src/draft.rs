//! Drafters that need no model: they find what may follow in texts that were there before.
//!
//! All are certain of what they propose, so each law has one id. They know what they have before they are asked.

pub mod cascade;
pub mod counts;
mod keys;
pub mod lookup;
mod ready;
pub mod recycled;
#[cfg(test)]
mod tests;

pub use self::cascade::Cascade;
pub use self::counts::Counts;
pub use self::lookup::Lookup;
pub use self::ready::{Ready, Source};
pub use self::recycled::Recycled;
