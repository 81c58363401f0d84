//! The classes and functions of specdec.
