//! What a browser-facing connection sees and may do: a login role that is a member of
//! `lunas_client`, really connected.

#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

use std::collections::BTreeMap;

use lunas_tests::harness::{Stage, unique_word};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, PgPool};

/// What is for sale is for everybody to see, by these columns.
const FOR_SALE: [(&str, &str); 2] = [
    ("capacity_slots", "id,name,price,starts_at"),
    ("product_variants", "name,price,sku"),
];

/// What belongs to somebody.
const OWNED: [&str; 4] = ["order_items", "orders", "payments", "tickets"];

#[tokio::test]
async fn a_customer_sees_what_is_his_and_nothing_of_others() {
    let stage = Stage::new().await;
    two_customers(stage.pool()).await;
    let mut client = Client::connect(&stage).await;

    // Nobody has said who it is: nothing is his.
    assert_eq!(client.seen().await, [0, 0, 0, 0]);
    for (setting, value) in [
        ("lunas.user_id", "ana"),
        ("request.jwt.claims", r#"{"sub":"ana","role":"customer"}"#),
    ] {
        client.set(setting, value).await;
        assert_eq!(client.seen().await, [1, 1, 1, 2], "{setting}");
        let codes: Vec<String> = client.column("SELECT order_code FROM orders").await;
        assert_eq!(codes, ["LNS-ana"], "{setting}");
        let tickets: Vec<String> = client.column("SELECT code FROM tickets ORDER BY 1").await;
        assert_eq!(tickets, ["ana-1", "ana-2"], "{setting}");
        client.set(setting, "").await;
    }
    // The setting of the connection goes before the claims, and what is for sale is for all.
    client.set("request.jwt.claims", r#"{"sub":"ana"}"#).await;
    client.set("lunas.user_id", "budi").await;
    let codes: Vec<String> = client.column("SELECT order_code FROM orders").await;
    assert_eq!(codes, ["LNS-budi"]);
    let slots: Vec<String> = client.column("SELECT name FROM capacity_slots").await;
    assert_eq!(slots, ["Concert"]);
    client.leave(stage.pool()).await;
}

#[tokio::test]
async fn claims_that_make_no_sense_are_nobodys() {
    let stage = Stage::new().await;
    two_customers(stage.pool()).await;
    let mut client = Client::connect(&stage).await;
    for claims in [
        "{}",
        "[]",
        "null",
        "\"ana\"",
        "7",
        r#"["sub","ana"]"#,
        r#"{"sub":null}"#,
        r#"{"SUB":"ana"}"#,
        r#"{"sub":["ana"]}"#,
        r#"{"sub":"ana' OR '1'='1"}"#,
        r#"{"sub":"%"}"#,
    ] {
        client.set("request.jwt.claims", claims).await;
        assert_eq!(client.seen().await, [0, 0, 0, 0], "{claims}");
    }
    // What is not even JSON ends the statement, without a row.
    for claims in ["ana", "{", "{\"sub\":\"ana\"", "\u{1}"] {
        client.set("request.jwt.claims", claims).await;
        for table in OWNED {
            let refused = client.run(&format!("SELECT count(*) FROM {table}")).await;
            assert!(refused.is_err(), "{table} {claims}");
        }
    }
    client.leave(stage.pool()).await;
}

#[tokio::test]
async fn a_customer_writes_nothing_not_even_what_is_his() {
    let stage = Stage::new().await;
    two_customers(stage.pool()).await;
    let mut client = Client::connect(&stage).await;
    client.set("lunas.user_id", "ana").await;
    for statement in [
        "UPDATE orders SET session_id = 'LNS-budi'",
        "UPDATE orders SET status = 'PAID'",
        "UPDATE orders SET user_id = 'budi'",
        "UPDATE payments SET status = 'settlement'",
        "UPDATE payments SET gross_amount = 1",
        "UPDATE order_items SET quantity = 9",
        "UPDATE tickets SET used_at = NULL",
        "UPDATE capacity_slots SET capacity = 9",
        "UPDATE product_variants SET price = 1",
        "INSERT INTO orders (order_code, user_id, gross_amount, expires_at)
         VALUES ('LNS-9', 'ana', 1, now())",
        "INSERT INTO payments (session_id, origin, gross_amount) VALUES ('x', 'checkout', 1)",
        "INSERT INTO tickets (order_item_id, seq, code) SELECT id, 9, 'free' FROM order_items",
        "INSERT INTO order_items (order_id, kind, slot_id, quantity, unit_price)
         SELECT id, 'ticket', 'slot-1', 1, 0 FROM orders",
        "INSERT INTO domain_events (event_type, data) VALUES ('order.paid', '{}')",
        "DELETE FROM orders",
        "DELETE FROM payments",
        "DELETE FROM tickets",
        "DELETE FROM order_items",
        "TRUNCATE tickets",
        "SELECT id FROM orders FOR UPDATE",
        "SELECT snap_token FROM payments",
        "SELECT midtrans_response_json FROM payments",
        "SELECT reserved FROM capacity_slots",
        "SELECT stock FROM product_variants",
        "CREATE TABLE mine (id int)",
        "SET ROLE lunas_app",
        "SET row_security = off; SELECT * FROM orders",
    ] {
        let refused = client.run(statement).await;
        let code = refused
            .err()
            .and_then(|error| error.code().map(|code| code.into_owned()));
        // 42501 is the refusal of a right; nothing else may be what stops it.
        assert_eq!(code.as_deref(), Some("42501"), "{statement}");
        client.run("RESET row_security").await.unwrap();
    }
    client.leave(stage.pool()).await;
}

#[tokio::test]
async fn every_table_is_guarded_by_rows_or_closed() {
    let stage = Stage::new().await;
    let readable: Vec<(String, bool, bool, String)> = sqlx::query_as(
        "SELECT c.relname::text, c.relrowsecurity,
                EXISTS (SELECT FROM pg_policy p
                        WHERE p.polrelid = c.oid AND p.polcmd = 'r'
                          AND 'lunas_client'::regrole = ANY(p.polroles)
                          AND pg_get_expr(p.polqual, p.polrelid) LIKE '%lunas_current_user_id()%'),
                string_agg(a.attname, ',' ORDER BY a.attname)
         FROM pg_class c
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relnamespace = 'public'::regnamespace
           AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
           AND has_column_privilege('lunas_client', c.oid, a.attnum, 'SELECT')
         GROUP BY c.oid, c.relname, c.relrowsecurity ORDER BY 1",
    )
    .fetch_all(stage.pool())
    .await
    .unwrap();
    let mut open = BTreeMap::new();
    let mut guarded = Vec::new();
    for (table, rows_guarded, by_user, columns) in readable {
        match rows_guarded {
            true => {
                assert!(by_user, "the policy of {table} does not ask who it is");
                guarded.push(table);
            }
            false => {
                open.insert(table, columns);
            }
        }
    }
    assert_eq!(guarded, OWNED);
    let for_sale = FOR_SALE.map(|(table, columns)| (table.to_owned(), columns.to_owned()));
    assert_eq!(open, BTreeMap::from(for_sale));

    let writable: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname || ' ' || what FROM pg_class c,
                unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'])
                    AS what
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
           AND (has_table_privilege('lunas_client', c.oid, what)
                OR CASE WHEN what IN ('INSERT', 'UPDATE', 'REFERENCES')
                        THEN has_any_column_privilege('lunas_client', c.oid, what) END)
         UNION ALL
         SELECT c.relname || ' sequence' FROM pg_class c
         WHERE c.relnamespace = 'public'::regnamespace
           AND CASE WHEN c.relkind = 'S'
                    THEN has_sequence_privilege('lunas_client', c.oid, 'USAGE, SELECT, UPDATE') END",
    )
    .fetch_all(stage.pool())
    .await
    .unwrap();
    assert_eq!(writable, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_nobodys_business_is_closed_to_a_real_connection() {
    let stage = Stage::new().await;
    two_customers(stage.pool()).await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')",
    )
    .fetch_all(stage.pool())
    .await
    .unwrap();
    for named in [
        "domain_events",
        "payment_sync_logs",
        "payment_webhook_events",
        "idempotency_keys",
    ] {
        assert!(tables.iter().any(|table| table == named), "{named} is gone");
    }
    let mut client = Client::connect(&stage).await;
    client.set("lunas.user_id", "ana").await;
    for table in tables {
        let open = OWNED.contains(&&*table) || FOR_SALE.iter().any(|(name, _)| *name == table);
        if !open {
            let refused = client.run(&format!("SELECT FROM {table}")).await;
            assert!(refused.is_err(), "{table} can be read");
        }
    }
    client.leave(stage.pool()).await;
}

/// A connection of a login role that may do what `lunas_client` may.
struct Client {
    role: String,
    connection: PgConnection,
}

impl Client {
    async fn connect(stage: &Stage) -> Self {
        let role = format!("lunas_test_client_{}", unique_word());
        let word = unique_word();
        let made = format!("CREATE ROLE {role} LOGIN PASSWORD '{word}' IN ROLE lunas_client");
        execute(stage.pool(), &made).await;
        let options: PgConnectOptions = stage.database().url().parse().unwrap();
        let options = options.username(&role).password(&word);
        let connection = options.connect().await.unwrap();
        Self { role, connection }
    }

    async fn set(&mut self, setting: &str, value: &str) {
        let set = sqlx::query("SELECT set_config($1, $2, false)");
        let set = set.bind(setting).bind(value);
        set.execute(&mut self.connection).await.unwrap();
    }

    async fn run(&mut self, statements: &str) -> Result<(), Refusal> {
        let run = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
        match run.execute(&mut self.connection).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Refusal(error)),
        }
    }

    async fn column(&mut self, query: &'static str) -> Vec<String> {
        let column = sqlx::query_scalar(query);
        column.fetch_all(&mut self.connection).await.unwrap()
    }

    /// How many orders, payments, items and tickets there are.
    async fn seen(&mut self) -> [i64; 4] {
        let counts = "SELECT (SELECT count(*) FROM orders), (SELECT count(id) FROM payments),
                             (SELECT count(*) FROM order_items), (SELECT count(*) FROM tickets)";
        let counts = sqlx::query_as(counts).fetch_one(&mut self.connection);
        let (orders, payments, items, tickets) = counts.await.unwrap();
        [orders, payments, items, tickets]
    }

    async fn leave(self, pool: &PgPool) {
        self.connection.close().await.unwrap();
        execute(pool, &format!("DROP ROLE {}", self.role)).await;
    }
}

#[derive(Debug)]
struct Refusal(sqlx::Error);

impl Refusal {
    fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
        self.0.as_database_error().and_then(|error| error.code())
    }
}

async fn execute(pool: &PgPool, statements: &str) {
    let run = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
    run.execute(pool).await.unwrap();
}

/// Ana and Budi each have an order with a payment and two tickets.
async fn two_customers(pool: &PgPool) {
    execute(
        pool,
        "INSERT INTO capacity_slots (id, name, starts_at, price, capacity, sold)
         VALUES ('slot-1', 'Concert', now() + interval '1 day', 100, 10, 4);
         INSERT INTO product_variants (sku, name, price, stock) VALUES ('sku-1', 'Shirt', 50, 5);
         INSERT INTO orders (order_code, user_id, gross_amount, session_id, expires_at)
         SELECT 'LNS-' || who, who, 200, 'LNS-' || who, now() + interval '1 day'
         FROM unnest(ARRAY['ana', 'budi']) AS who;
         INSERT INTO payments (session_id, order_id, origin, user_id, gross_amount, snap_token)
         SELECT order_code, id, 'checkout', user_id, 200, 'secret' FROM orders;
         INSERT INTO payments (session_id, origin, gross_amount) VALUES ('orphan', 'webhook', 1);
         INSERT INTO order_items (order_id, kind, slot_id, quantity, unit_price)
         SELECT id, 'ticket', 'slot-1', 2, 100 FROM orders;
         INSERT INTO tickets (order_item_id, seq, code)
         SELECT i.id, seq, o.user_id || '-' || seq
         FROM order_items i JOIN orders o ON o.id = i.order_id, generate_series(1, 2) AS seq;
         INSERT INTO idempotency_keys (user_id, key, request_hash, order_id)
         SELECT user_id, 'key', sha256('x'), id FROM orders;
         INSERT INTO domain_events (event_type, order_code, data)
         SELECT 'order.paid', order_code, '{}' FROM orders",
    )
    .await;
}
