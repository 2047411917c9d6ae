//! The broker module against a real RabbitMQ: what is declared, published, consumed and survived.
//!
//! Needs `LUNAS_TEST_AMQP_URL` (an AMQP URL without a virtual host) and `LUNAS_TEST_RABBIT_API`
//! (the management API, with user and password); every test has a virtual host of its own.
#![allow(
    clippy::disallowed_methods,
    reason = "a test looks at servers from outside, past the product's one way"
)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod consuming;
mod faults;
mod proxy;
mod publishing;
mod support;
mod topology;
