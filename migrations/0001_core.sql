-- Core tables of the main job: orders, payments, their transactions, the notifications as they
-- came, the log of what was done, the outbox; and the three roles.
--
-- Safe beside the previous release: this is the first; everything is new.
-- Money is a whole number of rupiah. Times are timestamptz. Texts of the gateway are never typed
-- narrower than text: its ids are longer and stranger than its documents say.

-- Roles belong to the server, not to the database: two databases of one server may be migrated
-- at the same time, so losing the race to create one is fine.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['lunas_app', 'lunas_readonly', 'lunas_client'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;

CREATE TABLE orders (
    id                    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_code            text NOT NULL CONSTRAINT orders_order_code_key UNIQUE,
    user_id               text NOT NULL,
    status                text NOT NULL DEFAULT 'PENDING',
    gross_amount          bigint NOT NULL,
    session_id            text,
    idempotency_key       text,
    expires_at            timestamptz NOT NULL,
    paid_at               timestamptz,
    tickets_issued_at     timestamptz,
    capacity_released_at  timestamptz,
    stock_confirmed_at    timestamptz,
    stock_released_at     timestamptz,
    pickup_code           text CONSTRAINT orders_pickup_code_key UNIQUE,
    pickup_revoked_at     timestamptz,
    picked_up_at          timestamptz,
    review_reasons        text[] NOT NULL DEFAULT '{}',
    resolved_at           timestamptz,
    resolution            text,
    -- The paid transactions the resolution was made for: it holds while this set stands.
    resolution_paid       text[],
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT orders_status_known CHECK (status IN (
        'PENDING', 'PAID', 'REVIEW', 'EXPIRED', 'FAILED', 'CANCELLED',
        'REFUNDED', 'PARTIALLY_REFUNDED', 'CHARGEBACK')),
    CONSTRAINT orders_gross_amount_not_negative CHECK (gross_amount >= 0),
    CONSTRAINT orders_paid_has_time CHECK (
        status NOT IN ('PAID', 'PARTIALLY_REFUNDED') OR paid_at IS NOT NULL),
    CONSTRAINT orders_review_has_reason CHECK (
        status <> 'REVIEW' OR cardinality(review_reasons) > 0),
    CONSTRAINT orders_resolution_known CHECK (resolution IN ('fulfil', 'close')),
    CONSTRAINT orders_resolution_has_time CHECK (
        (resolved_at IS NULL) = (resolution IS NULL)
        AND (resolution IS NULL) = (resolution_paid IS NULL))
);
CREATE INDEX orders_session_id ON orders (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX orders_review ON orders (id) WHERE status = 'REVIEW';
CREATE INDEX orders_open_by_expiry ON orders (expires_at) WHERE status = 'PENDING';

CREATE TABLE payments (
    id                     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id             text NOT NULL CONSTRAINT payments_session_id_key UNIQUE,
    order_id               bigint CONSTRAINT payments_order_id_fkey REFERENCES orders (id),
    origin                 text NOT NULL,
    user_id                text,
    gross_amount           bigint NOT NULL,
    status                 text NOT NULL DEFAULT 'created',
    payment_type           text,
    payment_channel        text,
    snap_token             text,
    redirect_url           text,
    midtrans_response_json jsonb,
    paid_at                timestamptz,
    expires_at             timestamptz,
    next_check_at          timestamptz,
    created_at             timestamptz NOT NULL DEFAULT now(),
    updated_at             timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payments_origin_known CHECK (origin IN ('checkout', 'webhook')),
    CONSTRAINT payments_gross_amount_not_negative CHECK (gross_amount >= 0),
    CONSTRAINT payments_status_known CHECK (status IN (
        'created', 'pending', 'authorize', 'capture', 'settlement', 'deny', 'cancel', 'expire',
        'failure', 'refund', 'partial_refund', 'chargeback', 'partial_chargeback'))
);
CREATE INDEX payments_order_id ON payments (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX payments_orphans ON payments (created_at)
    WHERE order_id IS NULL AND origin = 'webhook';
CREATE INDEX payments_due ON payments (next_check_at) WHERE next_check_at IS NOT NULL;

CREATE TABLE payment_transactions (
    id                      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id              bigint NOT NULL
        CONSTRAINT payment_transactions_payment_id_fkey REFERENCES payments (id),
    midtrans_transaction_id text NOT NULL
        CONSTRAINT payment_transactions_midtrans_transaction_id_key UNIQUE,
    status                  text NOT NULL,
    fraud_status            text,
    payment_type            text,
    payment_channel         text,
    gross_amount            bigint NOT NULL,
    refunded_amount         bigint NOT NULL DEFAULT 0,
    -- What the customer owed before the gateway added its fee, where it says so
    -- (metadata.extra_info): explains a paid amount above the session's.
    original_amount         bigint,
    transaction_time        timestamptz,
    settlement_time         timestamptz,
    expiry_time             timestamptz,
    -- The status API last said so.
    confirmed_at            timestamptz,
    -- When what this row says was true at the latest: an answer to an older question does not
    -- undo it.
    as_of                   timestamptz,
    created_at              timestamptz NOT NULL DEFAULT now(),
    updated_at              timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payment_transactions_status_known CHECK (status IN (
        'pending', 'authorize', 'capture', 'settlement', 'deny', 'cancel', 'expire',
        'failure', 'refund', 'partial_refund', 'chargeback', 'partial_chargeback')),
    CONSTRAINT payment_transactions_amounts CHECK (
        gross_amount >= 0 AND refunded_amount >= 0)
);
CREATE INDEX payment_transactions_payment_id ON payment_transactions (payment_id);

-- One row per distinct notification. The key is unique by the lock on the session's payment row,
-- not by an index: an index could only hold it within one month.
CREATE TABLE payment_webhook_events (
    event_key               bytea NOT NULL,
    received_at             timestamptz NOT NULL,
    order_id                text NOT NULL,
    midtrans_transaction_id text NOT NULL,
    raw_body                jsonb NOT NULL,
    signature_key           text,
    is_verified             boolean NOT NULL DEFAULT true,
    processed               boolean NOT NULL,
    verdict                 text NOT NULL,
    processing_error        text,
    deliveries              integer NOT NULL DEFAULT 1,
    created_at              timestamptz NOT NULL DEFAULT now(),
    updated_at              timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_key, received_at),
    CONSTRAINT payment_webhook_events_key_is_sha256 CHECK (octet_length(event_key) = 32),
    CONSTRAINT payment_webhook_events_deliveries CHECK (deliveries >= 1),
    CONSTRAINT payment_webhook_events_verdict_known CHECK (
        verdict IN ('applied', 'stale', 'unconfirmed', 'refused', 'test', 'dead')),
    CONSTRAINT payment_webhook_events_processed CHECK (
        processed = (verdict NOT IN ('unconfirmed', 'dead')))
) PARTITION BY RANGE (received_at);
CREATE INDEX payment_webhook_events_order_id ON payment_webhook_events (order_id);
CREATE INDEX payment_webhook_events_unconfirmed
    ON payment_webhook_events (midtrans_transaction_id) WHERE verdict = 'unconfirmed';

CREATE TABLE payment_sync_logs (
    id          bigint GENERATED ALWAYS AS IDENTITY,
    created_at  timestamptz NOT NULL DEFAULT now(),
    order_code  text,
    session_id  text,
    sync_type   text NOT NULL,
    event_type  text NOT NULL,
    from_status text,
    to_status   text,
    actor       text,
    detail      jsonb,
    PRIMARY KEY (id, created_at),
    CONSTRAINT payment_sync_logs_sync_type_known CHECK (sync_type IN (
        'webhook', 'poll', 'admin', 'reconcile', 'replay', 'backfill', 'system'))
) PARTITION BY RANGE (created_at);
CREATE INDEX payment_sync_logs_order_code ON payment_sync_logs (order_code, created_at)
    WHERE order_code IS NOT NULL;
CREATE INDEX payment_sync_logs_session_id ON payment_sync_logs (session_id, created_at)
    WHERE session_id IS NOT NULL;

-- Outbox and source of live events. Ids are drawn before the commit, so a reader that wants
-- commit order takes only rows whose transaction is older than every running one (written_by).
CREATE TABLE domain_events (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    written_by   xid8 NOT NULL DEFAULT pg_current_xact_id(),
    event_type   text NOT NULL,
    order_code   text,
    data         jsonb NOT NULL,
    traceparent  text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz
);
CREATE INDEX domain_events_unpublished ON domain_events (id) WHERE published_at IS NULL;
CREATE INDEX domain_events_order_code ON domain_events (order_code, id);

-- Makes the monthly partitions from last month to `months_ahead` from now that are missing.
-- Called by `lunas migrate` and by the scheduler; the default partitions take what no month
-- takes, so that a clock that is wrong or a scheduler that is away never refuses a row.
-- SECURITY DEFINER because the services' role may not create tables.
CREATE FUNCTION lunas_ensure_partitions(months_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    parent text;
    from_month date;
    child text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('lunas_ensure_partitions'));
    FOREACH parent IN ARRAY ARRAY['payment_webhook_events', 'payment_sync_logs'] LOOP
        FOR step IN -1..months_ahead LOOP
            from_month := (date_trunc('month', now() AT TIME ZONE 'UTC')
                           + make_interval(months => step))::date;
            child := format('%s_y%sm%s', parent, to_char(from_month, 'YYYY'),
                            to_char(from_month, 'MM'));
            CONTINUE WHEN to_regclass(child) IS NOT NULL;
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                child, parent,
                from_month::text || ' 00:00:00+00',
                (from_month + interval '1 month')::date::text || ' 00:00:00+00');
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;

CREATE TABLE payment_webhook_events_default PARTITION OF payment_webhook_events DEFAULT;
CREATE TABLE payment_sync_logs_default PARTITION OF payment_sync_logs DEFAULT;
SELECT lunas_ensure_partitions(2);

-- One row per lease; the token grows with every change of hands (fencing).
CREATE TABLE scheduler_lease (
    name       text PRIMARY KEY,
    holder     text NOT NULL,
    token      bigint NOT NULL DEFAULT 1,
    expires_at timestamptz NOT NULL
);

-- lunas_app: the services. lunas_readonly: reports. lunas_client: what a browser-facing data API
-- may use: own orders, readable only.
GRANT USAGE ON SCHEMA public TO lunas_app, lunas_readonly, lunas_client;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO lunas_app;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO lunas_readonly;
ALTER DEFAULT PRIVILEGES IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO lunas_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO lunas_readonly;

-- Who a browser-facing connection speaks for; NULL (nobody) when it does not say.
CREATE FUNCTION lunas_current_user_id() RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        nullif(current_setting('lunas.user_id', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
$$;

ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY orders_app ON orders TO lunas_app USING (true) WITH CHECK (true);
CREATE POLICY orders_readonly ON orders FOR SELECT TO lunas_readonly USING (true);
CREATE POLICY orders_client ON orders FOR SELECT TO lunas_client
    USING (user_id = lunas_current_user_id());
GRANT SELECT ON orders TO lunas_client;

ALTER TABLE payments ENABLE ROW LEVEL SECURITY;
CREATE POLICY payments_app ON payments TO lunas_app USING (true) WITH CHECK (true);
CREATE POLICY payments_readonly ON payments FOR SELECT TO lunas_readonly USING (true);
CREATE POLICY payments_client ON payments FOR SELECT TO lunas_client
    USING (EXISTS (SELECT FROM orders o
                   WHERE o.id = payments.order_id AND o.user_id = lunas_current_user_id()));
GRANT SELECT (id, session_id, order_id, gross_amount, status, payment_type, payment_channel,
              redirect_url, paid_at, expires_at, created_at) ON payments TO lunas_client;
