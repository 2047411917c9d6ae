//! What is done to orders apart from their payments: placing them, handing their goods over,
//! letting their tickets in. What their status becomes is decided by [`apply`](crate::apply) only.

pub mod place;

pub mod gates;

pub mod counter;

pub use counter::{Admission, Pickup, admit, hand_over};
pub use gates::Gates;
pub use place::{PlaceError, Placed, Shortage, Terms, place, place_named};

/// How often something starts anew at once after a deadlock, or when what it had read is not so
/// any more.
const RETRIES: u32 = 8;
