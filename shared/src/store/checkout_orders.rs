//! Creating orders: what the wares of a request cost and whether it came before, and the rows of
//! a new order. Reserving is in [`inventory`](super::inventory).

use time::OffsetDateTime;

use super::inventory::Reservation;
use super::{Store, StoreError, Txn};
use crate::domain::cart::{Cart, Ware};

/// What two requests with one key violate.
pub const KEY_UNIQUE: &str = "idempotency_keys_pkey";

/// What is known about a request before anything is locked; all of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Quote {
    /// One for each line of the cart; `None` for a ware that there is not.
    pub lines: Vec<Option<QuotedLine>>,
    /// The order that the same key of the same customer made within 24 hours.
    pub first: Option<FirstOrder>,
}

/// A ware as it is for sale now.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotedLine {
    /// Rupiah for one.
    pub price: i64,
    /// How many can be reserved.
    pub available: i64,
    /// When the event begins; `None` for products.
    pub starts_at: Option<OffsetDateTime>,
    /// Whether the event has begun.
    pub has_begun: bool,
}

/// The order that a key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstOrder {
    /// The shop's name of it.
    pub order_code: String,
    /// The fingerprint of the request that made it.
    pub request_hash: Vec<u8>,
}

/// An order to create together with its idempotency key.
#[derive(Debug, Clone, PartialEq)]
pub struct NewKeyedOrder<'a> {
    /// The shop's name of it.
    pub order_code: &'a str,
    /// Who, what and under which key.
    pub cart: &'a Cart,
    /// Rupiah.
    pub gross_amount: i64,
    /// How long it may stay unpaid, in seconds.
    pub ttl_seconds: f64,
}

/// Whether a key was free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// It was, and the order is there, by id.
    Ours(i64),
    /// Somebody else's request has it; the transaction must not be committed.
    Taken,
}

impl Store {
    /// Reads prices, what is left and the key in one statement, so that what the first request
    /// took is never counted against its own repetition.
    pub async fn checkout_quote(&self, cart: &Cart) -> Result<Quote, StoreError> {
        let slot = |ware: &Ware| match ware {
            Ware::Ticket(id) => Some(id.clone()),
            Ware::Product(_) => None,
        };
        let sku = |ware: &Ware| match ware {
            Ware::Ticket(_) => None,
            Ware::Product(sku) => Some(sku.clone()),
        };
        let slots: Vec<_> = cart.lines().iter().map(|line| slot(&line.ware)).collect();
        let skus: Vec<_> = cart.lines().iter().map(|line| sku(&line.ware)).collect();
        let rows = sqlx::query!(
            r#"
            SELECT coalesce(s.price, v.price) AS price,
                   coalesce(s.capacity - s.reserved - s.sold, v.stock - v.reserved) AS available,
                   s.starts_at AS "starts_at?",
                   coalesce(s.starts_at <= now(), false) AS "has_begun!",
                   k.order_code AS "first_code?", k.request_hash AS "first_hash?"
            FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS l (slot_id, sku, line)
            LEFT JOIN capacity_slots s ON s.id = l.slot_id
            LEFT JOIN product_variants v ON v.sku = l.sku
            LEFT JOIN (SELECT o.order_code, k.request_hash
                       FROM idempotency_keys k JOIN orders o ON o.id = k.order_id
                       WHERE k.user_id = $3 AND k.key = $4
                         AND k.created_at > now() - interval '24 hours') k ON true
            ORDER BY l.line
            "#,
            slots as _,
            skus as _,
            cart.user_id(),
            cart.key(),
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading what an order would cost"))?;
        let mut quote = Quote {
            lines: Vec::with_capacity(rows.len()),
            first: None,
        };
        for row in rows {
            quote.lines.push(row.price.map(|price| QuotedLine {
                price,
                available: row.available.unwrap_or(0),
                starts_at: row.starts_at,
                has_begun: row.has_begun,
            }));
            if let (Some(order_code), Some(request_hash)) = (row.first_code, row.first_hash) {
                quote.first = Some(FirstOrder {
                    order_code,
                    request_hash,
                });
            }
        }
        Ok(quote)
    }

    /// Creates an order under its key. When another transaction is about to commit the same key,
    /// waits for it. A key of more than 24 hours ago counts as free.
    pub async fn checkout_claim_in_txn(
        &self,
        txn: &mut Txn,
        order: &NewKeyedOrder<'_>,
    ) -> Result<Claimed, StoreError> {
        let claimed = sqlx::query_scalar!(
            r#"
            WITH o AS (
                INSERT INTO orders (order_code, user_id, gross_amount, idempotency_key, expires_at)
                VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))
                RETURNING id
            )
            INSERT INTO idempotency_keys AS k (user_id, key, request_hash, order_id)
            SELECT $2, $4, $6, o.id FROM o
            ON CONFLICT (user_id, key) DO UPDATE
            SET request_hash = excluded.request_hash, order_id = excluded.order_id,
                created_at = now()
            WHERE k.created_at <= now() - interval '24 hours'
            RETURNING k.order_id
            "#,
            order.order_code,
            order.cart.user_id(),
            order.gross_amount,
            order.cart.key(),
            order.ttl_seconds,
            &order.cart.fingerprint()[..],
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("creating an order under its key"))?;
        Ok(claimed.map_or(Claimed::Taken, Claimed::Ours))
    }

    /// Places an order for seats of one slot, under a key that was never used, in one statement:
    /// the row that everybody wants is locked for no round trip. False when the slot is not what
    /// was read before; a key that is known violates [`KEY_UNIQUE`].
    pub async fn checkout_place_seats(
        &self,
        order: &NewKeyedOrder<'_>,
        seats: &Reservation<'_>,
    ) -> Result<bool, StoreError> {
        let placed = sqlx::query!(
            r#"
            WITH taken AS (
                UPDATE capacity_slots
                SET reserved = reserved + $8::bigint, updated_at = now()
                WHERE id = $7 AND price = $9 AND starts_at > now()
                  AND reserved + sold + $8::bigint <= capacity
                RETURNING id, price
            ), o AS (
                INSERT INTO orders (order_code, user_id, gross_amount, idempotency_key, expires_at)
                SELECT $1, $2, $3, $4, now() + make_interval(secs => $5) FROM taken
                RETURNING id
            ), key AS (
                INSERT INTO idempotency_keys (user_id, key, request_hash, order_id)
                SELECT $2, $4, $6, o.id FROM o
            )
            INSERT INTO order_items (order_id, kind, slot_id, quantity, unit_price)
            SELECT o.id, 'ticket', taken.id, $8::bigint, taken.price FROM o, taken
            "#,
            order.order_code,
            order.cart.user_id(),
            order.gross_amount,
            order.cart.key(),
            order.ttl_seconds,
            &order.cart.fingerprint()[..],
            seats.key,
            seats.quantity,
            seats.price,
        )
        .execute(self.pool())
        .await
        .map_err(StoreError::of("placing an order for seats"))?;
        Ok(placed.rows_affected() == 1)
    }
}
