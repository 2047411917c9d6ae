//! RabbitMQ: topology, the only publish, the only consume loop.
