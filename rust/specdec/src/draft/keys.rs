//! Keys of the last ids of a text. Equal keys are taken for equal ids; of 2^32 contexts, two that differ agree with
//! probability 2^-1, and then a draft is wrong, which verification sees.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use thrifty_base::hash::mix64;

/// Something by the key of a context.
pub(super) type ByKey<T> = HashMap<u64, T, BuildHasherDefault<AsIs>>;

/// Keys are hashes already.
#[derive(Clone, Debug, Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, &byte| mix64(hash ^ u64::from(byte)));
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// Keys of the last 1, 2, ... ids of a text, whose last ids these are: the last one first.
pub(super) fn keys(last: impl Iterator<Item = u32>) -> impl Iterator<Item = u64> {
    last.scan(0, |key, id| {
        *key = mix64(*key ^ u64::from(id));
        Some(*key)
    })
}

/// The key of a whole context.
pub(super) fn key(context: &[u32]) -> u64 {
    keys(context.iter().rev().copied()).last().unwrap_or(0)
}
