//! Paid means fulfilled, dead means released, exactly once (design 4.3): what orders get and give
//! back when their payments tell it, through the running fleet.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stand;

mod fulfilled;
mod released;

mod returned;

mod half_done;
