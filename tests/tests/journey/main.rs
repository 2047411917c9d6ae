//! The main job, story by story: from the front door, or from the simulated gateway, to the
//! committed rows. Every story ends with an audit; see `harness::Shop`.

#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

mod front_door;

mod methods;

mod cards;

mod money_back;

mod amounts;

mod linking;

mod forged;

mod away;

mod events;
