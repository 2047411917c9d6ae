-- Periodic jobs, and what finds out that something went wrong.
-- Safe beside the previous release: it only adds. Payments that the previous release makes get their
-- next check from a default.

-- One row is one tick of a job, and the run that it started.
CREATE TABLE job_runs (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name           text NOT NULL,
    -- The tick; of a run that somebody asked for, the moment.
    scheduled_for  timestamptz NOT NULL,
    -- How many ticks this run stands for: those that were missed are run once.
    covers         integer NOT NULL DEFAULT 1,
    trigger        text NOT NULL,
    requested_by   text,
    -- Of the leader that made the row.
    lease_token    bigint,
    status         text NOT NULL DEFAULT 'queued',
    -- The page that is next, and where it begins.
    page           integer NOT NULL DEFAULT 0,
    cursor         text,
    checked        bigint NOT NULL DEFAULT 0,
    repaired       bigint NOT NULL DEFAULT 0,
    given_up       bigint NOT NULL DEFAULT 0,
    rupiah_at_risk bigint NOT NULL DEFAULT 0,
    error          text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    -- When a message for its next page was last published.
    published_at   timestamptz,
    started_at     timestamptz,
    progressed_at  timestamptz,
    finished_at    timestamptz,
    CONSTRAINT job_runs_tick UNIQUE (name, scheduled_for),
    CONSTRAINT job_runs_trigger_known CHECK (trigger IN ('schedule', 'operator')),
    CONSTRAINT job_runs_status_known CHECK (status IN ('queued', 'running', 'done', 'failed')),
    CONSTRAINT job_runs_finished CHECK ((finished_at IS NULL) = (status IN ('queued', 'running'))),
    CONSTRAINT job_runs_covers CHECK (covers >= 1)
);
-- A run never meets another one of its job.
CREATE UNIQUE INDEX job_runs_one_at_a_time ON job_runs (name) WHERE finished_at IS NULL;

-- Jobs that operators have paused.
CREATE TABLE job_pauses (
    name      text PRIMARY KEY,
    paused_by text NOT NULL,
    why       text,
    paused_at timestamptz NOT NULL DEFAULT now()
);

-- Every payment is looked at once at least: whoever makes it, in whichever release. While a payment
-- may still change by itself it has a next check; the reconciler takes it away from a payment that
-- is final and whose order agrees. So what is open, due, stuck or contradicts its order is found
-- among those that have one, and looking for it does not cost more as the table grows.
ALTER TABLE payments ALTER COLUMN next_check_at SET DEFAULT now() + interval '5 minutes';
UPDATE payments SET next_check_at = now()
WHERE next_check_at IS NULL
  AND status IN ('created', 'pending', 'authorize', 'capture', 'deny');
-- How often it was asked about since it last changed: checks get rarer with it.
ALTER TABLE payments ADD COLUMN checks integer NOT NULL DEFAULT 0;

CREATE INDEX payments_without_order ON payments (id) WHERE order_id IS NULL;
CREATE INDEX orders_closed ON orders (updated_at)
    WHERE status IN ('EXPIRED', 'FAILED', 'CANCELLED', 'REFUNDED', 'CHARGEBACK');

-- Payments that wait for a customer although their time is over: due_at is when it was.
CREATE VIEW payments_open AS
SELECT p.id, p.session_id, o.order_code, p.status, p.payment_type, p.gross_amount,
       p.created_at, p.expires_at, p.next_check_at, p.checks,
       coalesce(p.expires_at, p.created_at + interval '24 hours') AS due_at
FROM payments p
LEFT JOIN orders o ON o.id = p.order_id
WHERE p.next_check_at IS NOT NULL AND p.status IN ('created', 'pending', 'authorize');

-- Payments that are paid while their order does not say so: unpaid orders, and those that were
-- closed within the last week.
CREATE VIEW payments_mismatched AS
SELECT p.id, p.session_id, o.order_code, p.status AS payment_status, o.status AS order_status,
       p.payment_type, p.gross_amount, p.paid_at,
       greatest(p.updated_at, o.updated_at) AS since
FROM (
    SELECT id, order_code, status, updated_at FROM orders WHERE status = 'PENDING'
    UNION ALL
    SELECT id, order_code, status, updated_at FROM orders
    WHERE status IN ('EXPIRED', 'FAILED', 'CANCELLED', 'REFUNDED', 'CHARGEBACK')
      AND updated_at > now() - interval '7 days'
      AND resolution IS DISTINCT FROM 'close'
) AS o
-- From the orders to their payments, never the other way: for the sake of a limit the planner would
-- walk all payments in the order of their ids.
CROSS JOIN LATERAL (SELECT * FROM payments p WHERE p.order_id = o.id OFFSET 0) AS p
JOIN LATERAL (
    SELECT FROM payment_transactions t
    WHERE t.payment_id = p.id
      AND (t.status = 'settlement'
           OR t.status = 'capture' AND coalesce(t.fraud_status, 'accept') = 'accept')
    LIMIT 1) AS paid ON true;

-- Orders that have a payment and name none.
CREATE VIEW orders_missing_session AS
SELECT o.id, o.order_code, o.status, o.gross_amount, o.created_at, newest.session_id
FROM orders o
CROSS JOIN LATERAL (
    SELECT p.session_id FROM payments p WHERE p.order_id = o.id
    ORDER BY p.id DESC LIMIT 1) AS newest
WHERE o.session_id IS NULL;
