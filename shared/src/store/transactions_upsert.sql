-- Writes transactions, new and changed ones alike.
INSERT INTO payment_transactions AS t (
    payment_id, midtrans_transaction_id, status, fraud_status, payment_type,
    payment_channel, gross_amount, refunded_amount, original_amount,
    transaction_time, settlement_time, expiry_time, confirmed_at, as_of)
SELECT * FROM unnest(
    $1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
    $7::bigint[], $8::bigint[], $9::bigint[], $10::timestamptz[],
    $11::timestamptz[], $12::timestamptz[], $13::timestamptz[],
    $14::timestamptz[])
ON CONFLICT (midtrans_transaction_id) DO UPDATE
SET status = excluded.status,
    fraud_status = excluded.fraud_status,
    payment_type = coalesce(excluded.payment_type, t.payment_type),
    payment_channel = coalesce(excluded.payment_channel, t.payment_channel),
    gross_amount = excluded.gross_amount,
    refunded_amount = excluded.refunded_amount,
    original_amount = coalesce(excluded.original_amount, t.original_amount),
    transaction_time = coalesce(t.transaction_time, excluded.transaction_time),
    settlement_time = coalesce(excluded.settlement_time, t.settlement_time),
    expiry_time = coalesce(excluded.expiry_time, t.expiry_time),
    confirmed_at = coalesce(excluded.confirmed_at, t.confirmed_at),
    as_of = excluded.as_of,
    updated_at = now()
