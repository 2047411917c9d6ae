//! What every integration test begins with: a database and a virtual host of its own.

use std::sync::Arc;

use super::{Ground, OwnService, TestBroker, TestDatabase};

/// A database and a virtual host; on shared servers, or on private ones that the test may break.
///
/// Cheap to clone; everything goes when the last clone does.
#[derive(Debug, Clone)]
pub struct Stage(Arc<Parts>);

// Fields are dropped in this order: first what lives in a server, then the server.
#[derive(Debug)]
struct Parts {
    database: TestDatabase,
    broker: TestBroker,
    own_postgres: Option<OwnService>,
    own_rabbitmq: Option<OwnService>,
}

impl Stage {
    /// On the servers that all tests share; neither may be stopped.
    pub async fn new() -> Self {
        Self::build(false, false).await
    }

    /// With a RabbitMQ of its own, see [`Stage::rabbitmq`].
    pub async fn with_own_rabbitmq() -> Self {
        Self::build(false, true).await
    }

    /// With a PostgreSQL of its own, see [`Stage::postgres`].
    pub async fn with_own_postgres() -> Self {
        Self::build(true, false).await
    }

    /// With both of its own.
    pub async fn with_own_servers() -> Self {
        Self::build(true, true).await
    }

    /// On the shared servers, with an empty database and an empty virtual host: no schema, no
    /// queues.
    pub async fn bare() -> Self {
        let ground = Ground::of_this_run();
        let (database, broker) = tokio::join!(
            TestDatabase::create_empty(&ground.database_url),
            TestBroker::create_empty(&ground.rabbit_api, &ground.amqp_url)
        );
        Self(Arc::new(Parts {
            database,
            broker,
            own_postgres: None,
            own_rabbitmq: None,
        }))
    }

    async fn build(own_postgres: bool, own_rabbitmq: bool) -> Self {
        let ground = Ground::of_this_run();
        let (mut own_pg, mut own_rabbit) = (None, None);
        if own_postgres {
            own_pg = Some(OwnService::postgres().await);
        }
        if own_rabbitmq {
            own_rabbit = Some(OwnService::rabbitmq().await);
        }
        let database_url = own_pg
            .as_ref()
            .map_or(&*ground.database_url, OwnService::url);
        let amqp_url = own_rabbit
            .as_ref()
            .map_or(&*ground.amqp_url, OwnService::url);
        let api = own_rabbit
            .as_ref()
            .map_or(&*ground.rabbit_api, OwnService::api);
        let (database, broker) = tokio::join!(
            TestDatabase::create(database_url),
            TestBroker::create(api, amqp_url)
        );
        Self(Arc::new(Parts {
            database,
            broker,
            own_postgres: own_pg,
            own_rabbitmq: own_rabbit,
        }))
    }

    /// The test's database.
    pub fn database(&self) -> &TestDatabase {
        &self.0.database
    }

    /// Connections to the test's database.
    pub fn pool(&self) -> &sqlx::PgPool {
        self.0.database.pool()
    }

    /// The test's virtual host.
    pub fn broker(&self) -> &TestBroker {
        &self.0.broker
    }

    /// The server of the database.
    ///
    /// # Panics
    /// When the stage has no PostgreSQL of its own.
    pub fn postgres(&self) -> &OwnService {
        let own = self.0.own_postgres.as_ref();
        own.expect("this stage stands on a shared PostgreSQL, which nobody may break")
    }

    /// The node of the virtual host.
    ///
    /// # Panics
    /// When the stage has no RabbitMQ of its own.
    pub fn rabbitmq(&self) -> &OwnService {
        let own = self.0.own_rabbitmq.as_ref();
        own.expect("this stage stands on a shared RabbitMQ, which nobody may break")
    }
}
