-- Messages that came back to their queue and are being handled, so that the one that kills workers
-- is told from those that were only held beside it: the broker counts a return for all of them.
--
-- Safe beside the previous release: a new table, which it does not know.

CREATE TABLE messages_in_hand (
    queue   text NOT NULL,
    -- SHA-256 of the body.
    digest  bytea NOT NULL,
    since   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (queue, digest)
);
