-- Alerts: what needs somebody's attention, and the messages that say so.
--
-- Safe beside the previous release: two tables that it does not know, and indexes over rows that
-- are few. Rights come from the default privileges that 0001 set.

-- One row is one time that a condition held: opened when it began, resolved when it ended.
CREATE TABLE alerts (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The rule, and what it is about: the same condition is one alert while it holds.
    dedupe_key      text NOT NULL,
    rule            text NOT NULL,
    severity        text NOT NULL,
    -- The row it is about (an order, a payment). Rules look at rows in the order of their ids, so
    -- that one that found more than it tells still knows which of its alerts ended.
    subject_id      bigint,
    order_code      text,
    session_id      text,
    order_status    text,
    payment_status  text,
    -- Rupiah.
    amount          bigint,
    since           timestamptz NOT NULL,
    summary         text NOT NULL,
    -- Section of the runbook.
    runbook         text NOT NULL,
    opened_at       timestamptz NOT NULL DEFAULT now(),
    last_seen_at    timestamptz NOT NULL DEFAULT now(),
    -- When somebody was last told.
    last_message_at timestamptz NOT NULL DEFAULT now(),
    resolved_at     timestamptz,
    acked_at        timestamptz,
    acked_by        text,
    ack_why         text,
    CONSTRAINT alerts_severity_known CHECK (severity IN ('critical', 'high')),
    CONSTRAINT alerts_times CHECK (last_seen_at >= opened_at AND resolved_at >= opened_at),
    CONSTRAINT alerts_acked_by_somebody CHECK (
        (acked_at IS NULL) = (acked_by IS NULL) AND (acked_at IS NULL) = (ack_why IS NULL)),
    CONSTRAINT alerts_acked_words CHECK (acked_by <> '' AND ack_why <> '')
);
CREATE UNIQUE INDEX alerts_one_unresolved ON alerts (dedupe_key) WHERE resolved_at IS NULL;

-- One row is one message on one route. It is written with the change that it tells of, so that a
-- crash loses none; its id in the message lets receivers drop repeats.
CREATE TABLE alert_messages (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id  uuid NOT NULL DEFAULT gen_random_uuid()
        CONSTRAINT alert_messages_message_id_key UNIQUE,
    alert_id    bigint NOT NULL
        CONSTRAINT alert_messages_alert_id_fkey REFERENCES alerts (id),
    kind        text NOT NULL,
    route       text NOT NULL,
    attempts    integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT now(),
    sent_at     timestamptz,
    -- What carried it; of a message not sent yet, what was tried last.
    channel     text,
    last_error  text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT alert_messages_kind_known CHECK (kind IN ('opened', 'repeated', 'resolved')),
    CONSTRAINT alert_messages_route_known CHECK (route IN ('email', 'webhook')),
    CONSTRAINT alert_messages_channel_known CHECK (channel IN ('resend', 'smtp', 'webhook')),
    CONSTRAINT alert_messages_sent_by_something CHECK (sent_at IS NULL OR channel IS NOT NULL),
    CONSTRAINT alert_messages_attempts CHECK (attempts >= 0)
);
CREATE INDEX alert_messages_unsent ON alert_messages (id) WHERE sent_at IS NULL;
CREATE INDEX alert_messages_alert_id ON alert_messages (alert_id, id);

-- What the rules look for, so that looking costs what is found and not what is stored.
CREATE INDEX orders_paid_twice ON orders (id)
    WHERE status IN ('PAID', 'PARTIALLY_REFUNDED') AND review_reasons @> '{duplicate_payment}';
CREATE INDEX orders_paid_unfulfilled ON orders (paid_at)
    WHERE status IN ('PAID', 'PARTIALLY_REFUNDED')
      AND tickets_issued_at IS NULL AND stock_confirmed_at IS NULL;
CREATE INDEX orders_closed_unreleased ON orders (updated_at)
    WHERE status IN ('EXPIRED', 'FAILED', 'CANCELLED', 'REFUNDED', 'CHARGEBACK')
      AND capacity_released_at IS NULL AND stock_released_at IS NULL;
CREATE INDEX payment_sync_logs_refused ON payment_sync_logs (created_at)
    WHERE event_type IN ('notification_refused', 'confirm_gave_up');
CREATE INDEX payment_sync_logs_repairs ON payment_sync_logs (created_at)
    WHERE event_type LIKE 'reconcile\_%';
