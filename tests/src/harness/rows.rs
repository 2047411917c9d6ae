//! Rows put straight into the tables, for what happened before a test begins.

use sqlx::PgPool;
use time::{Duration, OffsetDateTime};

/// An order as checkout leaves it.
#[derive(Debug, Clone)]
pub struct OrderRow {
    code: String,
    amount: i64,
    status: String,
    session: Option<String>,
    expires_in: Duration,
    lines: Vec<Goods>,
}

#[derive(Debug, Clone)]
enum Goods {
    Tickets(String, i64),
    Products(String, i64),
}

impl OrderRow {
    /// A pending order that stays open for a day, with a session of the same name.
    pub fn pending(code: &str, amount: i64) -> Self {
        Self {
            code: code.to_owned(),
            amount,
            status: "PENDING".to_owned(),
            session: Some(code.to_owned()),
            expires_in: Duration::DAY,
            lines: Vec::new(),
        }
    }

    /// Without `session_id`, as a shop's own order is before its first payment.
    #[must_use]
    pub fn without_session(mut self) -> Self {
        self.session = None;
        self
    }

    /// Another status.
    #[must_use]
    pub fn status(mut self, status: &str) -> Self {
        status.clone_into(&mut self.status);
        self
    }

    /// Expires that much later than now; negative for an order that is past it.
    #[must_use]
    pub const fn expires_in(mut self, left: Duration) -> Self {
        self.expires_in = left;
        self
    }

    /// A line of tickets, reserved.
    #[must_use]
    pub fn tickets(mut self, slot: &str, quantity: i64) -> Self {
        self.lines.push(Goods::Tickets(slot.to_owned(), quantity));
        self
    }

    /// A line of products, reserved.
    #[must_use]
    pub fn products(mut self, sku: &str, quantity: i64) -> Self {
        self.lines.push(Goods::Products(sku.to_owned(), quantity));
        self
    }

    /// Inserts the order, and the payment of its session when it has one; the order's id.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn insert(&self, pool: &PgPool) -> i64 {
        let order: i64 = sqlx::query_scalar(
            "INSERT INTO orders (order_code, user_id, status, gross_amount, session_id, expires_at)
             VALUES ($1, 'user-1', $2, $3, $4, $5) RETURNING id",
        )
        .bind(&self.code)
        .bind(&self.status)
        .bind(self.amount)
        .bind(&self.session)
        .bind(OffsetDateTime::now_utc() + self.expires_in)
        .fetch_one(pool)
        .await
        .expect("the order can be inserted");
        if let Some(session) = &self.session {
            sqlx::query(
                "INSERT INTO payments (session_id, order_id, origin, user_id, gross_amount)
                 VALUES ($1, $2, 'checkout', 'user-1', $3)",
            )
            .bind(session)
            .bind(order)
            .bind(self.amount)
            .execute(pool)
            .await
            .expect("the payment can be inserted");
        }
        for line in &self.lines {
            reserve(pool, order, line).await;
        }
        order
    }
}

async fn reserve(pool: &PgPool, order: i64, goods: &Goods) {
    let (line, counter, key, quantity) = match goods {
        Goods::Tickets(slot, quantity) => (
            "INSERT INTO order_items (order_id, kind, slot_id, quantity, unit_price)
             VALUES ($1, 'ticket', $2, $3, 1)",
            "UPDATE capacity_slots SET reserved = reserved + $2 WHERE id = $1",
            slot,
            quantity,
        ),
        Goods::Products(sku, quantity) => (
            "INSERT INTO order_items (order_id, kind, sku, quantity, unit_price)
             VALUES ($1, 'product', $2, $3, 1)",
            "UPDATE product_variants SET reserved = reserved + $2 WHERE sku = $1",
            sku,
            quantity,
        ),
    };
    let line = sqlx::query(line).bind(order).bind(key).bind(quantity);
    line.execute(pool).await.expect("the line can be inserted");
    let counter = sqlx::query(counter).bind(key).bind(quantity);
    counter
        .execute(pool)
        .await
        .expect("there is enough to reserve");
}

/// A slot of tomorrow with so many places.
///
/// # Panics
/// When the database refuses.
pub async fn insert_slot(pool: &PgPool, id: &str, capacity: i64) {
    let slot = sqlx::query(
        "INSERT INTO capacity_slots (id, name, starts_at, price, capacity)
         VALUES ($1, $1, now() + interval '1 day', 1, $2)",
    );
    let slot = slot.bind(id).bind(capacity).execute(pool);
    slot.await.expect("the slot can be inserted");
}

/// A variant with so many pieces.
///
/// # Panics
/// When the database refuses.
pub async fn insert_variant(pool: &PgPool, sku: &str, stock: i64) {
    let variant = sqlx::query(
        "INSERT INTO product_variants (sku, name, price, stock) VALUES ($1, $1, 1, $2)",
    );
    let variant = variant.bind(sku).bind(stock).execute(pool);
    variant.await.expect("the variant can be inserted");
}

/// The status of an order.
///
/// # Panics
/// When there is no such order.
pub async fn order_status(pool: &PgPool, code: &str) -> String {
    let status = sqlx::query_scalar("SELECT status FROM orders WHERE order_code = $1").bind(code);
    status.fetch_one(pool).await.expect("the order exists")
}

/// The status of a payment session, `None` as long as it is unknown.
///
/// # Panics
/// When the database does not answer.
pub async fn payment_status(pool: &PgPool, session: &str) -> Option<String> {
    let status =
        sqlx::query_scalar("SELECT status FROM payments WHERE session_id = $1").bind(session);
    status
        .fetch_optional(pool)
        .await
        .expect("the payments can be read")
}

/// The verdicts of a session's notifications with how often each was delivered, in the order in
/// which they were recorded.
///
/// # Panics
/// When the database does not answer.
pub async fn verdicts(pool: &PgPool, session: &str) -> Vec<(String, i32)> {
    let rows = sqlx::query_as(
        "SELECT verdict, deliveries FROM payment_webhook_events WHERE order_id = $1
         ORDER BY created_at, received_at",
    );
    rows.bind(session)
        .fetch_all(pool)
        .await
        .expect("the notifications can be read")
}
