-- Takes index entries out of the hot path that nobody looks for: orders without a pickup code are
-- never searched by it, and a log row that names its order is found by the order.
--
-- Safe beside the previous release: pickup codes stay unique, and a search by session, which may
-- become slower for it, stays right.
CREATE UNIQUE INDEX orders_pickup_code_unique ON orders (pickup_code)
    WHERE pickup_code IS NOT NULL;
ALTER TABLE orders DROP CONSTRAINT orders_pickup_code_key;

CREATE INDEX payment_sync_logs_unlinked ON payment_sync_logs (session_id, created_at)
    WHERE order_code IS NULL;
DROP INDEX payment_sync_logs_session_id;
