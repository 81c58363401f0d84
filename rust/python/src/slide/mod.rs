//! The classes and functions of slide.

mod config;
mod data;
mod hash;
mod head;
mod shard;
mod trainer;
mod weights;

pub(crate) use self::data::{slide_read_xml, slide_write_xml};
pub(crate) use self::hash::slide_codes;
pub(crate) use self::head::SlideHead;
pub(crate) use self::shard::SlideShard;
pub(crate) use self::trainer::SlideTrainer;
