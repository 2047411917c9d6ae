-- Dead letters: messages given up, what operators did with them, and replays with their progress.
--
-- Safe beside the previous release: adds four tables that it does not know; changes none of its.
-- Rights come from the default privileges that 0001 set.

-- A replay is a set of dead letters that is published again. Its items are fixed when it is
-- created, so that whoever goes on after a crash handles exactly what an operator confirmed.
CREATE TABLE dead_letter_replays (
    id          uuid PRIMARY KEY,
    actor       text NOT NULL,
    why         text NOT NULL,
    -- Messages per second.
    rate        integer NOT NULL,
    status      text NOT NULL DEFAULT 'running',
    -- Why it was stopped.
    problem     text,
    total       integer NOT NULL,
    done        integer NOT NULL DEFAULT 0,
    failed      integer NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT dead_letter_replays_status_known CHECK (
        status IN ('running', 'paused', 'done', 'cancelled', 'stopped')),
    CONSTRAINT dead_letter_replays_rate CHECK (rate BETWEEN 1 AND 10000),
    CONSTRAINT dead_letter_replays_why CHECK (why <> '' AND actor <> ''),
    CONSTRAINT dead_letter_replays_counts CHECK (
        total > 0 AND done >= 0 AND failed >= 0 AND done + failed <= total),
    CONSTRAINT dead_letter_replays_done_is_complete CHECK (
        status <> 'done' OR done + failed = total),
    CONSTRAINT dead_letter_replays_stopped_has_problem CHECK (
        (status = 'stopped') = (problem IS NOT NULL))
);
CREATE INDEX dead_letter_replays_unfinished ON dead_letter_replays (created_at)
    WHERE status IN ('running', 'paused', 'stopped');

CREATE TABLE dead_letters (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The same death, delivered or published again, is one row; a replayed message that dies
    -- again is another.
    letter_key      text NOT NULL CONSTRAINT dead_letters_letter_key_key UNIQUE,
    queue           text,
    routing_key     text NOT NULL,
    payload         bytea NOT NULL,
    headers         jsonb NOT NULL,
    reason          text NOT NULL,
    error_chain     text,
    fingerprint     text NOT NULL,
    attempts        integer NOT NULL,
    -- What the payload says, as far as it can be read.
    order_code      text,
    session_id      text,
    amount          bigint,
    first_failed_at timestamptz NOT NULL,
    last_failed_at  timestamptz NOT NULL,
    status          text NOT NULL DEFAULT 'dead',
    -- The replay that has it or had it last.
    replay_id       uuid CONSTRAINT dead_letters_replay_id_fkey REFERENCES dead_letter_replays (id),
    replayed_at     timestamptz,
    discarded_at    timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT dead_letters_letter_key_is_sha256 CHECK (length(letter_key) = 64),
    CONSTRAINT dead_letters_status_known CHECK (
        status IN ('dead', 'replaying', 'replayed', 'discarded')),
    CONSTRAINT dead_letters_replay_has_id CHECK (
        status NOT IN ('replaying', 'replayed') OR replay_id IS NOT NULL),
    CONSTRAINT dead_letters_replayed_has_time CHECK (
        (status = 'replayed') = (replayed_at IS NOT NULL)),
    CONSTRAINT dead_letters_discarded_has_time CHECK (
        (status = 'discarded') = (discarded_at IS NOT NULL)),
    CONSTRAINT dead_letters_attempts CHECK (attempts >= 1),
    CONSTRAINT dead_letters_amount CHECK (amount >= 0),
    CONSTRAINT dead_letters_failure_times CHECK (first_failed_at <= last_failed_at)
);
CREATE INDEX dead_letters_status ON dead_letters (status, id);
CREATE INDEX dead_letters_last_failed_at ON dead_letters (last_failed_at);
CREATE INDEX dead_letters_fingerprint ON dead_letters (fingerprint, id);
CREATE INDEX dead_letters_order_code ON dead_letters (order_code) WHERE order_code IS NOT NULL;
CREATE INDEX dead_letters_session_id ON dead_letters (session_id) WHERE session_id IS NOT NULL;

CREATE TABLE dead_letter_replay_items (
    replay_id      uuid NOT NULL
        CONSTRAINT dead_letter_replay_items_replay_id_fkey REFERENCES dead_letter_replays (id),
    dead_letter_id bigint NOT NULL
        CONSTRAINT dead_letter_replay_items_dead_letter_id_fkey REFERENCES dead_letters (id),
    state          text NOT NULL DEFAULT 'pending',
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (replay_id, dead_letter_id),
    CONSTRAINT dead_letter_replay_items_state_known CHECK (
        state IN ('pending', 'done', 'failed', 'cancelled'))
);
CREATE INDEX dead_letter_replay_items_pending
    ON dead_letter_replay_items (replay_id, dead_letter_id) WHERE state = 'pending';

-- What an operator did with a dead letter, and what came of it. Rows are only ever added.
CREATE TABLE dead_letter_actions (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dead_letter_id bigint NOT NULL
        CONSTRAINT dead_letter_actions_dead_letter_id_fkey REFERENCES dead_letters (id),
    action         text NOT NULL,
    actor          text NOT NULL,
    why            text NOT NULL,
    result         text NOT NULL,
    replay_id      uuid
        CONSTRAINT dead_letter_actions_replay_id_fkey REFERENCES dead_letter_replays (id),
    created_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT dead_letter_actions_action_known CHECK (action IN ('replay', 'discard')),
    CONSTRAINT dead_letter_actions_replay_has_id CHECK ((action = 'replay') = (replay_id IS NOT NULL)),
    CONSTRAINT dead_letter_actions_why CHECK (why <> '' AND actor <> '')
);
CREATE INDEX dead_letter_actions_dead_letter_id ON dead_letter_actions (dead_letter_id, id);
