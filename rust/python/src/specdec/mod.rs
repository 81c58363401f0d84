//! The classes and functions of specdec.

mod verify;

pub(crate) use self::verify::specdec_verify;
