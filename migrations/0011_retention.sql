-- What retention needs to find and remove what is old, what the lists of operators need to stay
-- quick, and a view that no longer costs more as the table grows.
--
-- Safe beside the previous release: indexes that it need not know, a view with the same columns, and
-- a function that it does not call. The indexes are small (BRIN, or of few rows); making them holds
-- writes up for as long as a scan of the table takes.

-- Rows that are not done with keep their partition. There are few, and the index holds only them.
CREATE INDEX payment_webhook_events_unprocessed ON payment_webhook_events (received_at)
    WHERE NOT processed;
CREATE INDEX other_notifications_unprocessed ON other_notifications (received_at)
    WHERE NOT processed;

-- A day among years: rows lie in the order of time, so a few pages of index are enough, and a row
-- that is written costs next to nothing.
CREATE INDEX orders_by_day ON orders USING brin (created_at)
    WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX payments_by_day ON payments USING brin (created_at)
    WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX payment_sync_logs_by_day ON payment_sync_logs USING brin (created_at)
    WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX payment_webhook_events_by_day ON payment_webhook_events USING brin (received_at)
    WITH (pages_per_range = 32, autosummarize = on);

CREATE INDEX job_runs_by_time ON job_runs (scheduled_for, id);

-- Removing a dead letter or a replay asks who still refers to it.
CREATE INDEX dead_letter_replay_items_letter ON dead_letter_replay_items (dead_letter_id);
CREATE INDEX dead_letter_actions_replay_id ON dead_letter_actions (replay_id)
    WHERE replay_id IS NOT NULL;
CREATE INDEX dead_letters_replay_id ON dead_letters (replay_id) WHERE replay_id IS NOT NULL;

-- Orders that have a payment and name none. Most orders without a session never had a payment and
-- are closed; looking at all of them would take longer each year. So: those that are open, those
-- that are fulfilled or in review, and those that were closed within the last week. `lunas backfill`
-- looks at all.
CREATE INDEX orders_paid_without_session ON orders (id)
    WHERE session_id IS NULL AND status IN ('PAID', 'PARTIALLY_REFUNDED', 'REVIEW');
CREATE OR REPLACE VIEW orders_missing_session AS
SELECT o.id, o.order_code, o.status, o.gross_amount, o.created_at, newest.session_id
FROM (
    SELECT id, order_code, status, gross_amount, created_at FROM orders
    WHERE session_id IS NULL AND status = 'PENDING'
    UNION ALL
    SELECT id, order_code, status, gross_amount, created_at FROM orders
    WHERE session_id IS NULL AND status IN ('PAID', 'PARTIALLY_REFUNDED', 'REVIEW')
    UNION ALL
    SELECT id, order_code, status, gross_amount, created_at FROM orders
    WHERE session_id IS NULL
      AND status IN ('EXPIRED', 'FAILED', 'CANCELLED', 'REFUNDED', 'CHARGEBACK')
      AND updated_at > now() - interval '7 days'
) AS o
CROSS JOIN LATERAL (
    SELECT p.session_id FROM payments p WHERE p.order_id = o.id
    ORDER BY p.id DESC LIMIT 1) AS newest;

-- Drops a monthly partition that is over for longer than `keep`; answers `dropped`, or why not:
-- `unknown` (no monthly partition of these tables), `young`, `unprocessed` (it holds a notification
-- that is not done with), `busy` (somebody reads or writes; the next run tries again).
--
-- SECURITY DEFINER because the services' role may not drop tables, so it checks for itself. It needs
-- the parent for a moment, and whoever comes meanwhile waits behind it: so it gives up quickly, and
-- nothing is scanned while it has the lock.
CREATE FUNCTION lunas_drop_old_partition(child text, keep interval) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
SET lock_timeout = '200ms'
SET enable_seqscan = off
AS $$
DECLARE
    parent text;
    ends timestamptz;
    unprocessed boolean := false;
BEGIN
    IF keep IS NULL OR keep < interval '7 days' THEN
        RAISE EXCEPTION 'partitions are kept for 7 days at least'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT p.relname, (regexp_match(pg_get_expr(c.relpartbound, c.oid),
                                    'TO \(''([^'']+)''\)'))[1]::timestamptz
    INTO parent, ends
    FROM pg_class c
    JOIN pg_inherits i ON i.inhrelid = c.oid
    JOIN pg_class p ON p.oid = i.inhparent
    WHERE c.oid = to_regclass(format('public.%I', child))
      AND p.relnamespace = 'public'::regnamespace
      AND p.relname IN ('payment_webhook_events', 'payment_sync_logs', 'other_notifications');
    IF ends IS NULL THEN
        RETURN 'unknown';
    END IF;
    IF ends > now() - keep THEN
        RETURN 'young';
    END IF;
    -- Asked twice: a partition that stays must not hold anybody up, and one that goes must not have
    -- changed meanwhile.
    FOR attempt IN 1..2 LOOP
        IF attempt = 2 THEN
            EXECUTE format('LOCK TABLE ONLY public.%I IN ACCESS EXCLUSIVE MODE', parent);
            EXECUTE format('LOCK TABLE ONLY public.%I IN ACCESS EXCLUSIVE MODE', child);
        END IF;
        IF parent <> 'payment_sync_logs' THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM public.%I WHERE NOT processed)', child)
                INTO unprocessed;
        END IF;
        IF unprocessed THEN
            RETURN 'unprocessed';
        END IF;
    END LOOP;
    EXECUTE format('DROP TABLE public.%I', child);
    RETURN 'dropped';
EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN
        RETURN 'busy';
END
$$;
REVOKE EXECUTE ON FUNCTION lunas_drop_old_partition(text, interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lunas_drop_old_partition(text, interval) TO lunas_app;
