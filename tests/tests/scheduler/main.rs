//! The scheduler as real processes: one leads, another follows, and every domain event reaches
//! `lunas.events`, whatever breaks in between.
#![allow(
    clippy::disallowed_methods,
    reason = "a test looks at servers from outside, past the product's one way"
)]
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

mod leadership;
mod outbox;
mod relay;
