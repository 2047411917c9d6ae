//! The way to RabbitMQ and back: the topology, the only publish and the only consume loop.
//!
//! Everything that knows AMQP lives here. What a message means is decided by
//! [`domain`](crate::domain), what becomes of it by the worker; this module only promises that a
//! publish which answers `Ok` is on a durable queue, and that a delivery stays on its queue until
//! somebody acknowledges it.

mod drift;
pub mod topology;

mod envelope;
mod fields;
mod properties;

mod connection;
mod link;

mod flight;
mod publisher;

mod consumer;
mod delivery;

pub use connection::{BrokerState, BrokerUrlError, BrokerUrls, ConnectError, connect, hang_up};
pub use consumer::{Consumer, ConsumerConnection};
pub use delivery::{Death, Delivery, Tag};
pub use envelope::{Envelope, Headers};
pub use publisher::{Destination, PublishError, Publisher, PublisherOptions};
pub use topology::{DelayLevel, Drift, QueueDepth, TopologyError};

pub use lapin::Connection;
