-- Notifications other than the classic one: GoPay account linking, subscriptions, payouts, and those
-- of the BI-SNAP family that are no payment or do not say enough to be applied.
--
-- Safe beside the previous release: a new table that it does not know, and a function of the same
-- name and arguments that makes partitions of one more table.
-- One row per distinct notice, unique by an advisory lock on what the notice is about: an index
-- could hold it within one month only.

CREATE TABLE other_notifications (
    event_key        bytea NOT NULL,
    received_at      timestamptz NOT NULL,
    kind             text NOT NULL,
    -- The payout, account, subscription or payment; of a credential only its SHA-256.
    external_id      text NOT NULL,
    -- What that was said to be, in lower case.
    status           text,
    -- What the status API was or is asked about.
    transaction_id   text,
    -- Without credentials and signatures.
    raw_body         jsonb NOT NULL,
    is_verified      boolean NOT NULL,
    processed        boolean NOT NULL,
    verdict          text NOT NULL,
    processing_error text,
    deliveries       integer NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_key, received_at),
    CONSTRAINT other_notifications_key_is_sha256 CHECK (octet_length(event_key) = 32),
    CONSTRAINT other_notifications_deliveries CHECK (deliveries >= 1),
    CONSTRAINT other_notifications_verdict_known CHECK (
        verdict IN ('applied', 'stale', 'unconfirmed', 'refused', 'dead')),
    CONSTRAINT other_notifications_processed CHECK (
        processed = (verdict NOT IN ('unconfirmed', 'dead')))
) PARTITION BY RANGE (received_at);
CREATE INDEX other_notifications_external_id ON other_notifications (kind, external_id);
CREATE INDEX other_notifications_unconfirmed ON other_notifications (received_at)
    WHERE verdict = 'unconfirmed' AND transaction_id IS NOT NULL;

CREATE OR REPLACE FUNCTION lunas_ensure_partitions(months_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    parent text;
    from_month date;
    child text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('lunas_ensure_partitions'));
    FOREACH parent IN ARRAY
        ARRAY['payment_webhook_events', 'payment_sync_logs', 'other_notifications'] LOOP
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

CREATE TABLE other_notifications_default PARTITION OF other_notifications DEFAULT;
SELECT lunas_ensure_partitions(2);
