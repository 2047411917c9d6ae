-- The requests per second that Midtrans grants to a merchant, shared by every process of the fleet.
--
-- Safe beside the previous release: a new table, which it does not know; until it is gone each of
-- its processes keeps a budget of its own.

-- The one row. Requests are due one after the other at an even pace, by the database's clock.
CREATE TABLE gateway_budget (
    singleton    boolean PRIMARY KEY DEFAULT true,
    -- When the next request is due; in the past after a quiet time.
    due_at       timestamptz NOT NULL,
    -- No request is due before, because Midtrans asked for it.
    closed_until timestamptz NOT NULL,
    -- How much of the full rate was left when closed_until came; from there it recovers.
    share        double precision NOT NULL DEFAULT 1,
    reduced_at   timestamptz,
    CONSTRAINT gateway_budget_one_row CHECK (singleton),
    CONSTRAINT gateway_budget_share CHECK (share > 0 AND share <= 1)
);
INSERT INTO gateway_budget (due_at, closed_until) VALUES (now(), now());
