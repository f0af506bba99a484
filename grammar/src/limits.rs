//! The bounds a text must keep. They make every later walk safe: parsing, and
//! recursion over the tree, need a bounded stack whatever the text is.

/// The largest file, in bytes.
pub const MAX_BYTES: usize = 4 << 20;

/// The deepest nesting of brackets of any kind.
pub const MAX_NESTING: usize = 128;

/// The most links (operators, postfixes, arrows, `else if`) on one way from a
/// statement down to a leaf, over all the brackets it is in. It bounds the
/// depth of the tree.
pub const MAX_LINKS: usize = 256;

/// The most findings of one file; what comes later is not reported.
pub const MAX_ERRORS: usize = 200;
