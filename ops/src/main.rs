//! ops.
fn main() {}
