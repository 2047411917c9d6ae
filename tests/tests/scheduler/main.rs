//! The scheduler as real processes: one leads, another follows, and every domain event reaches
//! `lunas.events`, whatever breaks in between.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

mod leadership;
mod outbox;
mod relay;
