//! Ingest in this process on a free port, against a real RabbitMQ with a virtual host per test.
//!
//! Needs `LUNAS_TEST_AMQP_URL` (`amqp://user:password@host:port/...`) and `LUNAS_TEST_RABBIT_API`
//! (`http://user:password@host:port`); `tests/run.sh` sets them.
#![allow(
    clippy::disallowed_methods,
    reason = "a test looks at servers from outside, past the product's one way"
)]

// The attribute is what tells clippy that this is test code.
#[cfg(test)]
mod support;

#[cfg(test)]
mod accepted;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod no_confirm;
#[cfg(test)]
mod rejected;
#[cfg(test)]
mod slow;
