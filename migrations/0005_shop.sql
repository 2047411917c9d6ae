-- What is sold, what an order consists of, what it was given; keys that make creating an order
-- safe to repeat; what checkout remembers of a session.
--
-- Safe beside the previous release: new tables, and new columns that it neither reads nor fills.

CREATE TABLE capacity_slots (
    id         text PRIMARY KEY,
    name       text NOT NULL,
    starts_at  timestamptz NOT NULL,
    price      bigint NOT NULL,
    capacity   bigint NOT NULL,
    reserved   bigint NOT NULL DEFAULT 0,
    sold       bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT capacity_slots_price_not_negative CHECK (price >= 0),
    CONSTRAINT capacity_slots_not_oversold CHECK (
        reserved >= 0 AND sold >= 0 AND reserved + sold <= capacity)
);

-- `sold` counts what was taken from `stock` for orders that own it: with it the counters can be
-- checked against the orders.
CREATE TABLE product_variants (
    sku        text PRIMARY KEY,
    name       text NOT NULL,
    price      bigint NOT NULL,
    stock      bigint NOT NULL,
    reserved   bigint NOT NULL DEFAULT 0,
    sold       bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT product_variants_price_not_negative CHECK (price >= 0),
    CONSTRAINT product_variants_not_oversold CHECK (
        reserved >= 0 AND stock >= reserved AND sold >= 0)
);

-- A hot row changes with every order: new versions stay in its page and touch no index.
ALTER TABLE capacity_slots SET (fillfactor = 50);
ALTER TABLE product_variants SET (fillfactor = 50);

CREATE TABLE order_items (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id   bigint NOT NULL CONSTRAINT order_items_order_id_fkey REFERENCES orders (id),
    kind       text NOT NULL,
    slot_id    text CONSTRAINT order_items_slot_id_fkey REFERENCES capacity_slots (id),
    sku        text CONSTRAINT order_items_sku_fkey REFERENCES product_variants (sku),
    quantity   bigint NOT NULL,
    unit_price bigint NOT NULL,
    CONSTRAINT order_items_kind_known CHECK (
        (kind = 'ticket' AND slot_id IS NOT NULL AND sku IS NULL)
        OR (kind = 'product' AND sku IS NOT NULL AND slot_id IS NULL)),
    CONSTRAINT order_items_quantity_positive CHECK (quantity > 0),
    CONSTRAINT order_items_unit_price_not_negative CHECK (unit_price >= 0)
);
CREATE INDEX order_items_order_id ON order_items (order_id);
CREATE INDEX order_items_slot_id ON order_items (slot_id) WHERE slot_id IS NOT NULL;
CREATE INDEX order_items_sku ON order_items (sku) WHERE sku IS NOT NULL;

CREATE TABLE tickets (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_item_id bigint NOT NULL
        CONSTRAINT tickets_order_item_id_fkey REFERENCES order_items (id),
    seq           bigint NOT NULL,
    code          text NOT NULL CONSTRAINT tickets_code_key UNIQUE,
    issued_at     timestamptz NOT NULL DEFAULT now(),
    voided_at     timestamptz,
    used_at       timestamptz,
    CONSTRAINT tickets_seq_positive CHECK (seq > 0)
);
CREATE UNIQUE INDEX tickets_one_per_admission ON tickets (order_item_id, seq)
    WHERE voided_at IS NULL;

-- A repeated request finds the order of the first one here, for 24 hours.
CREATE TABLE idempotency_keys (
    user_id      text NOT NULL,
    key          text NOT NULL,
    request_hash bytea NOT NULL,
    order_id     bigint NOT NULL
        CONSTRAINT idempotency_keys_order_id_fkey REFERENCES orders (id),
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key),
    CONSTRAINT idempotency_keys_hash_is_sha256 CHECK (octet_length(request_hash) = 32)
);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);

-- What the customer asked for, and what checkout did about it. `method`, `bank` and `store` are
-- the shop's words; `payment_type` and `payment_channel` stay Midtrans'.
ALTER TABLE payments
    ADD COLUMN method text,
    ADD COLUMN bank text,
    ADD COLUMN store text,
    ADD COLUMN charged_at timestamptz,
    ADD COLUMN checked_at timestamptz;

-- A browser-facing connection sees what belongs to its own orders, and what is for sale.
ALTER TABLE order_items ENABLE ROW LEVEL SECURITY;
CREATE POLICY order_items_app ON order_items TO lunas_app USING (true) WITH CHECK (true);
CREATE POLICY order_items_readonly ON order_items FOR SELECT TO lunas_readonly USING (true);
CREATE POLICY order_items_client ON order_items FOR SELECT TO lunas_client
    USING (EXISTS (SELECT FROM orders o
                   WHERE o.id = order_items.order_id AND o.user_id = lunas_current_user_id()));
GRANT SELECT ON order_items TO lunas_client;

ALTER TABLE tickets ENABLE ROW LEVEL SECURITY;
CREATE POLICY tickets_app ON tickets TO lunas_app USING (true) WITH CHECK (true);
CREATE POLICY tickets_readonly ON tickets FOR SELECT TO lunas_readonly USING (true);
CREATE POLICY tickets_client ON tickets FOR SELECT TO lunas_client
    USING (EXISTS (SELECT FROM order_items i JOIN orders o ON o.id = i.order_id
                   WHERE i.id = tickets.order_item_id AND o.user_id = lunas_current_user_id()));
GRANT SELECT ON tickets TO lunas_client;

GRANT SELECT (id, name, starts_at, price) ON capacity_slots TO lunas_client;
GRANT SELECT (sku, name, price) ON product_variants TO lunas_client;
