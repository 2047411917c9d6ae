//! The invariants as queries.

/// A rule that holds whenever nothing is in flight.
#[derive(Debug, Clone, Copy)]
pub struct Invariant {
    /// The rule, as a sentence.
    pub says: &'static str,
    /// Tables it speaks of; it is skipped where one does not exist yet.
    pub tables: &'static [&'static str],
    /// One text for each row that breaks it.
    pub query: &'static str,
}

/// Every invariant.
pub const INVARIANTS: &[Invariant] = &[
    ORDER_STATUS_IS_THE_PROJECTION,
    REVIEW_FOR_A_REASON,
    PAID_WITH_THE_RIGHT_AMOUNT,
    PAYMENT_STATUS_IS_A_TRANSACTIONS,
    TICKETS_FIT_THE_ORDER,
    SLOTS_ADD_UP,
    STOCK_ADDS_UP,
    HOLDS_FIT_THE_STATUS,
    PICKUP_CODE_FOR_GOODS,
    ONE_ROW_PER_NOTIFICATION,
    ONE_VERDICT_PER_NOTIFICATION,
    ONE_ROW_PER_NOTICE,
    ORDER_AND_SESSION_AGREE,
    PAYMENT_BELONGS_TO_ITS_ORDER,
];

/// 4.5.1, with the list of 4.1: the first class that any transaction is in decides.
const ORDER_STATUS_IS_THE_PROJECTION: Invariant = Invariant {
    says: "the order's status is the projection of its transactions",
    tables: &["orders", "payments", "payment_transactions"],
    query: "
        WITH classified AS (
            SELECT p.order_id, CASE
                WHEN t.status IN ('settlement', 'capture')
                     AND coalesce(t.fraud_status, 'accept') = 'accept' THEN 1
                WHEN t.status IN ('partial_refund', 'partial_chargeback') THEN 2
                WHEN t.status = 'chargeback' THEN 3
                WHEN t.status = 'refund' THEN 4
                WHEN t.status = 'deny' AND (
                     coalesce(t.payment_type, p.payment_type) = 'echannel'
                     OR coalesce(t.payment_channel, p.payment_channel) IN ('permata', 'indomaret'))
                     THEN 5
                WHEN t.status IN ('pending', 'authorize')
                     OR (t.status = 'capture' AND t.fraud_status = 'challenge') THEN 6
                WHEN t.status = 'cancel' THEN 7
                WHEN t.status = 'expire'
                     AND coalesce(t.payment_type, p.payment_type, '') <> 'credit_card' THEN 8
                WHEN t.status = 'failure' THEN 9
                ELSE 10
            END AS class
            FROM payment_transactions t JOIN payments p ON p.id = t.payment_id
            WHERE p.order_id IS NOT NULL
        ), decided AS (
            SELECT o.order_code, o.status, o.resolution, coalesce(min(c.class), 10) AS class
            FROM orders o LEFT JOIN classified c ON c.order_id = o.id
            GROUP BY o.id
        )
        SELECT format('%s is %s, decided by class %s', order_code, status, class)
        FROM decided
        WHERE resolution IS NULL AND status <> ALL (CASE class
            WHEN 1 THEN ARRAY['PAID', 'REVIEW']
            WHEN 2 THEN ARRAY['PARTIALLY_REFUNDED', 'REVIEW']
            WHEN 3 THEN ARRAY['CHARGEBACK']
            WHEN 4 THEN ARRAY['REFUNDED']
            WHEN 5 THEN ARRAY['FAILED']
            -- Closed by its time, or before and not to be reserved again.
            WHEN 6 THEN ARRAY['PENDING', 'EXPIRED', 'CANCELLED', 'FAILED']
            WHEN 7 THEN ARRAY['CANCELLED']
            WHEN 8 THEN ARRAY['EXPIRED']
            WHEN 9 THEN ARRAY['FAILED']
            ELSE ARRAY['PENDING', 'EXPIRED', 'CANCELLED']
        END)",
};

const REVIEW_FOR_A_REASON: Invariant = Invariant {
    says: "an order is in review exactly for a wrong amount or a payment after its release",
    tables: &["orders"],
    query: "
        SELECT format('%s is %s with reasons %s', order_code, status, review_reasons)
        FROM orders
        WHERE (status = 'REVIEW')
              <> (review_reasons && ARRAY['amount_mismatch', 'paid_after_release'])
          AND status IN ('REVIEW', 'PAID')",
};

const PAID_WITH_THE_RIGHT_AMOUNT: Invariant = Invariant {
    says: "a paid order has a paid transaction of the right amount",
    tables: &["orders", "payments", "payment_transactions"],
    query: "
        SELECT o.order_code FROM orders o
        WHERE o.status = 'PAID' AND o.resolution IS NULL AND NOT EXISTS (
            SELECT FROM payments p JOIN payment_transactions t ON t.payment_id = p.id
            WHERE p.order_id = o.id
              AND t.status IN ('settlement', 'capture', 'partial_refund', 'partial_chargeback')
              AND o.gross_amount IN (t.gross_amount, t.original_amount))",
};

const PAYMENT_STATUS_IS_A_TRANSACTIONS: Invariant = Invariant {
    says: "a payment's status is that of one of its transactions",
    tables: &["payments", "payment_transactions"],
    query: "
        SELECT format('%s is %s', p.session_id, p.status) FROM payments p
        WHERE EXISTS (SELECT FROM payment_transactions t WHERE t.payment_id = p.id)
          AND NOT EXISTS (SELECT FROM payment_transactions t
                          WHERE t.payment_id = p.id AND t.status = p.status)
        UNION ALL
        SELECT format('%s is %s without paid_at', session_id, status) FROM payments
        WHERE status IN ('settlement', 'partial_refund') AND paid_at IS NULL",
};

/// 4.5.2
const TICKETS_FIT_THE_ORDER: Invariant = Invariant {
    says: "unvoided tickets equal the quantity of a fulfilled order and are none otherwise",
    tables: &["orders", "order_items", "tickets"],
    query: "
        SELECT format('%s is %s: %s tickets for %s', order_code, status, tickets, quantity)
        FROM (
            SELECT o.order_code, o.status, i.quantity,
                   (SELECT count(*) FROM tickets t
                    WHERE t.order_item_id = i.id AND t.voided_at IS NULL) AS tickets
            FROM orders o JOIN order_items i ON i.order_id = o.id AND i.kind = 'ticket'
        ) AS counted
        WHERE CASE
            WHEN status IN ('PAID', 'PARTIALLY_REFUNDED') THEN tickets <> quantity
            WHEN status = 'REVIEW' THEN tickets NOT IN (0, quantity)
            ELSE tickets <> 0
        END",
};

/// 4.5.3: sold is what fulfilled orders own; reserved is what open orders hold.
const SLOTS_ADD_UP: Invariant = Invariant {
    says: "a slot's sold and reserved places are those of the orders that own or hold them",
    tables: &["orders", "order_items", "capacity_slots"],
    query: "
        SELECT format('%s: sold %s, owned %s; reserved %s, held %s',
                      id, sold, owned, reserved, held)
        FROM (
            SELECT s.id, s.sold, s.reserved,
                   coalesce(sum(i.quantity) FILTER (WHERE o.tickets_issued_at IS NOT NULL), 0)
                       AS owned,
                   coalesce(sum(i.quantity) FILTER (
                       WHERE o.id IS NOT NULL AND o.tickets_issued_at IS NULL), 0) AS held
            FROM capacity_slots s
            LEFT JOIN order_items i ON i.slot_id = s.id AND i.kind = 'ticket'
            LEFT JOIN orders o ON o.id = i.order_id AND o.capacity_released_at IS NULL
            GROUP BY s.id
        ) AS counted
        WHERE sold <> owned OR reserved <> held",
};

const STOCK_ADDS_UP: Invariant = Invariant {
    says: "a variant's sold and reserved pieces are those of the orders that own or hold them",
    tables: &["orders", "order_items", "product_variants"],
    query: "
        SELECT format('%s: sold %s, owned %s; reserved %s, held %s',
                      sku, sold, owned, reserved, held)
        FROM (
            SELECT v.sku, v.sold, v.reserved,
                   coalesce(sum(i.quantity) FILTER (WHERE o.stock_confirmed_at IS NOT NULL), 0)
                       AS owned,
                   coalesce(sum(i.quantity) FILTER (
                       WHERE o.id IS NOT NULL AND o.stock_confirmed_at IS NULL), 0) AS held
            FROM product_variants v
            LEFT JOIN order_items i ON i.sku = v.sku AND i.kind = 'product'
            LEFT JOIN orders o ON o.id = i.order_id AND o.stock_released_at IS NULL
            GROUP BY v.sku
        ) AS counted
        WHERE sold <> owned OR reserved <> held",
};

const HOLDS_FIT_THE_STATUS: Invariant = Invariant {
    says: "a fulfilled order owns, an open one holds, a closed one has given back",
    tables: &["orders", "order_items"],
    query: "
        SELECT format('%s is %s: capacity %s, stock %s, picked up %s', order_code, status,
                      capacity, stock, picked_up_at IS NOT NULL)
        FROM (
            SELECT o.order_code, o.status, o.picked_up_at,
                   CASE WHEN NOT EXISTS (SELECT FROM order_items i
                                         WHERE i.order_id = o.id AND i.kind = 'ticket') THEN 'none'
                        WHEN o.capacity_released_at IS NOT NULL THEN 'free'
                        WHEN o.tickets_issued_at IS NOT NULL THEN 'owned'
                        ELSE 'held' END AS capacity,
                   CASE WHEN o.picked_up_at IS NOT NULL OR NOT EXISTS (
                            SELECT FROM order_items i
                            WHERE i.order_id = o.id AND i.kind = 'product') THEN 'none'
                        WHEN o.stock_released_at IS NOT NULL THEN 'free'
                        WHEN o.stock_confirmed_at IS NOT NULL THEN 'owned'
                        ELSE 'held' END AS stock
            FROM orders o
        ) AS holding
        WHERE status <> 'REVIEW' AND (capacity NOT IN ('none', CASE WHEN status IN ('PAID', 'PARTIALLY_REFUNDED') THEN 'owned'
                                  WHEN status = 'PENDING' THEN 'held' ELSE 'free' END)
                                      OR stock NOT IN ('none', CASE WHEN status IN ('PAID', 'PARTIALLY_REFUNDED') THEN 'owned'
                                  WHEN status = 'PENDING' THEN 'held' ELSE 'free' END))",
};

const PICKUP_CODE_FOR_GOODS: Invariant = Invariant {
    says: "a fulfilled order with products has a pickup code, a closed one has none",
    tables: &["orders", "order_items"],
    query: "
        SELECT format('%s is %s, pickup code %s', o.order_code, o.status,
                      o.pickup_code IS NOT NULL)
        FROM orders o
        WHERE EXISTS (SELECT FROM order_items i WHERE i.order_id = o.id AND i.kind = 'product')
          AND o.status <> 'REVIEW' AND o.picked_up_at IS NULL
          AND (o.pickup_code IS NOT NULL) <> (o.status IN ('PAID', 'PARTIALLY_REFUNDED'))",
};

/// 4.5.4
const ONE_ROW_PER_NOTIFICATION: Invariant = Invariant {
    says: "a distinct notification is recorded once",
    tables: &["payment_webhook_events"],
    query: "
        SELECT format('%s rows of %s %s', count(*), min(order_id), encode(event_key, 'hex'))
        FROM payment_webhook_events GROUP BY event_key HAVING count(*) > 1",
};

const ONE_VERDICT_PER_NOTIFICATION: Invariant = Invariant {
    says: "a recorded notification that is settled says so",
    tables: &["payment_webhook_events"],
    query: "
        SELECT format('%s of %s, processed %s', verdict, order_id, processed)
        FROM payment_webhook_events
        WHERE processed <> (verdict IN ('applied', 'stale', 'refused', 'test'))
           OR deliveries < 1",
};

/// 4.5.5
const ORDER_AND_SESSION_AGREE: Invariant = Invariant {
    says: "an order's session is a session of that order",
    tables: &["orders", "payments"],
    query: "
        SELECT format('%s names %s', o.order_code, o.session_id) FROM orders o
        WHERE o.session_id IS NOT NULL
          AND NOT EXISTS (SELECT FROM payments p
                          WHERE p.session_id = o.session_id AND p.order_id = o.id)",
};

const PAYMENT_BELONGS_TO_ITS_ORDER: Invariant = Invariant {
    says: "a payment's order is the one that its session id or its notifications name",
    tables: &["orders", "payments", "payment_webhook_events"],
    query: "
        SELECT format('%s belongs to %s', p.session_id, o.order_code)
        FROM payments p JOIN orders o ON o.id = p.order_id
        WHERE p.origin = 'webhook'
          AND p.session_id <> o.order_code
          AND p.session_id !~ ('^' || regexp_replace(o.order_code, '(\\W)', '\\\\\\1', 'g') || '-[0-9]+$')
          AND p.session_id IS DISTINCT FROM o.session_id
          AND NOT EXISTS (
              SELECT FROM payment_webhook_events e
              WHERE e.order_id = p.session_id
                AND (e.raw_body -> 'metadata' ->> 'order_id' IN (o.order_code, o.id::text)
                     OR e.raw_body ->> 'custom_field1' IN (o.order_code, o.id::text)
                     OR e.raw_body #>> '{additionalInfo,customField,1}'
                        IN (o.order_code, o.id::text)))",
};

/// 4.5.4, for the notifications that are no classic ones.
const ONE_ROW_PER_NOTICE: Invariant = Invariant {
    says: "a distinct notice is recorded once, and says whether it is settled",
    tables: &["other_notifications"],
    query: "
        SELECT format('%s rows of %s %s', count(*), min(kind), min(external_id))
        FROM other_notifications GROUP BY event_key HAVING count(*) > 1
        UNION ALL
        SELECT format('%s %s is %s', kind, external_id, verdict) FROM other_notifications
        WHERE processed <> (verdict IN ('applied', 'stale', 'refused')) OR deliveries < 1",
};
