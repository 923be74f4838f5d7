-- The bank's ledger, version 1. Ids are BYTEA of 32 bytes; times are
-- microseconds since 1970, UTC; amounts are minor units. The pair (lane, seq)
-- is a record's place in the journal: what is keyed by it is only ever
-- appended. Each open epoch has besides a table spent_<epoch>(id, op), made
-- by OpenEpoch. Text is compared by its bytes, whatever the database's own
-- collation.

CREATE TABLE meta (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BYTEA  NOT NULL,
    rev   BIGINT NOT NULL
);

CREATE TABLE accounts (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    kind       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    pubkey     BYTEA   NOT NULL,
    currency   TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    suspended  BOOLEAN NOT NULL,
    reason     TEXT    NOT NULL,
    rev        BIGINT  NOT NULL
);

-- Rows are never deleted: the journal stands for each.
CREATE TABLE access_tokens (
    hash       BYTEA  NOT NULL PRIMARY KEY,
    account    TEXT COLLATE "C" NOT NULL,
    label      TEXT   NOT NULL,
    scopes     TEXT   NOT NULL, -- joined by blanks
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL, -- 0: never
    revoked_at BIGINT NOT NULL, -- 0: not yet
    rev        BIGINT NOT NULL
);

CREATE INDEX access_tokens_by_account ON access_tokens (account, created_at, hash);

CREATE TABLE epochs (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY
);

-- The newest end of each journal. A writer locks the row of each lane that he
-- appends to, so that a lane stays one chain whoever shares it.
CREATE TABLE lanes (
    lane TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    seq  BIGINT NOT NULL,
    hash BYTEA  NOT NULL
);

CREATE TABLE journal (
    lane    TEXT COLLATE "C" NOT NULL,
    seq     BIGINT NOT NULL,
    event   TEXT   NOT NULL,
    subject BYTEA  NOT NULL,
    rev     BIGINT NOT NULL,
    digest  BYTEA  NOT NULL,
    prev    BYTEA  NOT NULL,
    hash    BYTEA  NOT NULL,
    PRIMARY KEY (lane, seq)
);

CREATE TABLE ops (
    lane     TEXT COLLATE "C" NOT NULL,
    seq      BIGINT NOT NULL,
    id       BYTEA  NOT NULL UNIQUE,
    kind     TEXT   NOT NULL,
    account  TEXT COLLATE "C" NOT NULL,
    issuer   TEXT   NOT NULL,
    acquirer TEXT   NOT NULL,
    state    TEXT   NOT NULL,
    request  BYTEA  NOT NULL,
    answer   BYTEA  NOT NULL,
    at       BIGINT NOT NULL,
    PRIMARY KEY (lane, seq)
);

CREATE INDEX ops_by_account ON ops (account, at, lane, seq);

-- What SetAnswer settled; the row of the highest rev holds. The op itself is
-- rev 1.
CREATE TABLE answers (
    lane    TEXT COLLATE "C" NOT NULL,
    seq     BIGINT NOT NULL,
    op_lane TEXT COLLATE "C" NOT NULL,
    op_seq  BIGINT NOT NULL,
    rev     BIGINT NOT NULL,
    state   TEXT   NOT NULL,
    answer  BYTEA  NOT NULL,
    PRIMARY KEY (lane, seq),
    UNIQUE (op_lane, op_seq, rev)
);

CREATE TABLE postings (
    lane     TEXT COLLATE "C" NOT NULL,
    seq      BIGINT NOT NULL,
    n        BIGINT NOT NULL,
    account  TEXT COLLATE "C" NOT NULL,
    amount   BIGINT NOT NULL,
    currency TEXT COLLATE "C" NOT NULL,
    at       BIGINT NOT NULL,
    PRIMARY KEY (lane, seq, n)
);

CREATE INDEX postings_by_account ON postings (account, at, lane, seq, n);

CREATE TABLE op_spends (
    lane  TEXT COLLATE "C" NOT NULL,
    seq   BIGINT NOT NULL,
    n     BIGINT NOT NULL,
    epoch TEXT COLLATE "C" NOT NULL,
    id    BYTEA  NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (lane, seq, n)
);

-- What ops counted toward quotas, and the sums.
CREATE TABLE op_quotas (
    lane   TEXT COLLATE "C" NOT NULL,
    seq    BIGINT NOT NULL,
    n      BIGINT NOT NULL,
    name   TEXT COLLATE "C" NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (lane, seq, n)
);

CREATE TABLE quotas (
    name    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    counted BIGINT NOT NULL
);

-- A balance is the amount here and that of all its deltas. Deltas are folded
-- in, and then deleted, by who holds the lock of this row. A row that was made
-- to be locked, and never posted to, is no balance.
CREATE TABLE balances (
    account  TEXT COLLATE "C" NOT NULL,
    currency TEXT COLLATE "C" NOT NULL,
    amount   BIGINT  NOT NULL,
    posted   BOOLEAN NOT NULL,
    PRIMARY KEY (account, currency)
);

-- What one batch posted to an account, at the place of the batch's last
-- record.
CREATE TABLE deltas (
    account  TEXT COLLATE "C" NOT NULL,
    currency TEXT COLLATE "C" NOT NULL,
    lane     TEXT COLLATE "C" NOT NULL,
    seq      BIGINT NOT NULL,
    amount   BIGINT NOT NULL,
    PRIMARY KEY (account, currency, lane, seq)
);

-- Holds are in no journal, and are forgotten some time after they ended.
CREATE TABLE holds (
    id       BYTEA   NOT NULL PRIMARY KEY,
    account  TEXT COLLATE "C" NOT NULL,
    amount   BIGINT  NOT NULL,
    at       BIGINT  NOT NULL,
    until    BIGINT  NOT NULL,
    released BOOLEAN NOT NULL,
    strikes  BIGINT  NOT NULL
);

CREATE INDEX holds_by_end ON holds (until, id);
CREATE INDEX holds_by_account ON holds (account, until, id);

CREATE TABLE held_coins (
    hold  BYTEA  NOT NULL,
    n     BIGINT NOT NULL,
    epoch TEXT COLLATE "C" NOT NULL,
    id    BYTEA  NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (hold, n)
);

CREATE INDEX held_coins_by_coin ON held_coins (id, epoch);

-- The wrong tries that were counted under a hold.
CREATE TABLE hold_tries (
    hold BYTEA NOT NULL,
    try  BYTEA NOT NULL,
    PRIMARY KEY (hold, try)
);

-- One row for each account that holds: who places a hold locks it, so that
-- limits on the account's holds are exact.
CREATE TABLE holders (
    account TEXT COLLATE "C" NOT NULL PRIMARY KEY
);

-- Rows that a transaction touches that would otherwise write nothing: see the
-- package comment on answers.
CREATE TABLE beats (
    slot BIGINT NOT NULL PRIMARY KEY,
    n    BIGINT NOT NULL
);

INSERT INTO beats (slot, n) SELECT slot, 0 FROM generate_series(0, 63) AS s (slot);
