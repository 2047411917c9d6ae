-- Writes what the projections and the effects say of orders.
UPDATE orders o
SET status = u.status,
    session_id = coalesce(o.session_id, u.session_id),
    paid_at = coalesce(o.paid_at, u.paid_at),
    review_reasons = string_to_array(u.reasons, ','),
    tickets_issued_at = u.tickets_issued_at,
    capacity_released_at = u.capacity_released_at,
    stock_confirmed_at = u.stock_confirmed_at,
    stock_released_at = u.stock_released_at,
    pickup_code = u.pickup_code,
    pickup_revoked_at = u.pickup_revoked_at,
    updated_at = now()
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::timestamptz[], $5::text[],
            $6::timestamptz[], $7::timestamptz[], $8::timestamptz[], $9::timestamptz[],
            $10::text[], $11::timestamptz[])
    AS u (id, status, session_id, paid_at, reasons, tickets_issued_at, capacity_released_at,
          stock_confirmed_at, stock_released_at, pickup_code, pickup_revoked_at)
WHERE o.id = u.id
