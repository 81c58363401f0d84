//! Changes of an index that is there: each writes a new file in the place of the old one.
