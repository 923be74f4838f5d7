-- The bank's ledger, version 2. Ids are BLOBs of 32 bytes; times are
-- microseconds since 1970, UTC; amounts are minor units. The pair (lane, seq)
-- is a record's place in the journal: what is keyed by it is only ever
-- appended. Each open epoch has besides a table spent_<epoch>(id, op), made
-- by OpenEpoch.

CREATE TABLE meta (
    name  TEXT    NOT NULL PRIMARY KEY,
    value BLOB    NOT NULL,
    rev   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    id         TEXT    NOT NULL PRIMARY KEY,
    kind       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    pubkey     BLOB    NOT NULL,
    currency   TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    suspended  INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    rev        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Rows are never deleted: the journal stands for each.
CREATE TABLE access_tokens (
    hash       BLOB    NOT NULL PRIMARY KEY,
    account    TEXT    NOT NULL REFERENCES accounts (id),
    label      TEXT    NOT NULL,
    scopes     TEXT    NOT NULL, -- joined by blanks
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, -- 0: never
    revoked_at INTEGER NOT NULL, -- 0: not yet
    rev        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX access_tokens_by_account ON access_tokens (account, created_at, hash);

CREATE TABLE epochs (
    name TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
    lane    TEXT    NOT NULL,
    seq     INTEGER NOT NULL,
    event   TEXT    NOT NULL,
    subject BLOB    NOT NULL,
    rev     INTEGER NOT NULL,
    digest  BLOB    NOT NULL,
    prev    BLOB    NOT NULL,
    hash    BLOB    NOT NULL,
    PRIMARY KEY (lane, seq)
) STRICT, WITHOUT ROWID;

-- Ordinary tables with rowids where rows can be large: requests and answers
-- would make interior pages of a WITHOUT ROWID table nearly useless.
CREATE TABLE ops (
    lane     TEXT    NOT NULL,
    seq      INTEGER NOT NULL,
    id       BLOB    NOT NULL UNIQUE,
    kind     TEXT    NOT NULL,
    account  TEXT    NOT NULL,
    issuer   TEXT    NOT NULL,
    acquirer TEXT    NOT NULL,
    state    TEXT    NOT NULL,
    request  BLOB    NOT NULL,
    answer   BLOB    NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (lane, seq)
) STRICT;

CREATE INDEX ops_by_account ON ops (account, at, lane, seq);

-- What SetAnswer settled; the row of the highest rev holds. The op itself is
-- rev 1.
CREATE TABLE answers (
    lane    TEXT    NOT NULL,
    seq     INTEGER NOT NULL,
    op_lane TEXT    NOT NULL,
    op_seq  INTEGER NOT NULL,
    rev     INTEGER NOT NULL,
    state   TEXT    NOT NULL,
    answer  BLOB    NOT NULL,
    PRIMARY KEY (lane, seq),
    UNIQUE (op_lane, op_seq, rev),
    FOREIGN KEY (op_lane, op_seq) REFERENCES ops (lane, seq)
) STRICT;

CREATE TABLE postings (
    lane     TEXT    NOT NULL,
    seq      INTEGER NOT NULL,
    n        INTEGER NOT NULL,
    account  TEXT    NOT NULL,
    amount   INTEGER NOT NULL,
    currency TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (lane, seq, n),
    FOREIGN KEY (lane, seq) REFERENCES ops (lane, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX postings_by_account ON postings (account, at, lane, seq, n);

CREATE TABLE op_spends (
    lane  TEXT    NOT NULL,
    seq   INTEGER NOT NULL,
    n     INTEGER NOT NULL,
    epoch TEXT    NOT NULL,
    id    BLOB    NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (lane, seq, n),
    FOREIGN KEY (lane, seq) REFERENCES ops (lane, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE balances (
    account  TEXT    NOT NULL,
    currency TEXT    NOT NULL,
    amount   INTEGER NOT NULL,
    PRIMARY KEY (account, currency)
) STRICT, WITHOUT ROWID;

-- What ops counted toward quotas, and the sums.
CREATE TABLE op_quotas (
    lane   TEXT    NOT NULL,
    seq    INTEGER NOT NULL,
    n      INTEGER NOT NULL,
    name   TEXT    NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (lane, seq, n),
    FOREIGN KEY (lane, seq) REFERENCES ops (lane, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE quotas (
    name    TEXT    NOT NULL PRIMARY KEY,
    counted INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Holds are in no journal, and are forgotten some time after they ended.
CREATE TABLE holds (
    id       BLOB    NOT NULL PRIMARY KEY,
    account  TEXT    NOT NULL,
    amount   INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    released INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX holds_by_end ON holds (until, id);
CREATE INDEX holds_by_account ON holds (account, until, id);

CREATE TABLE held_coins (
    hold  BLOB    NOT NULL REFERENCES holds (id),
    n     INTEGER NOT NULL,
    epoch TEXT    NOT NULL,
    id    BLOB    NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (hold, n)
) STRICT, WITHOUT ROWID;

CREATE INDEX held_coins_by_coin ON held_coins (id, epoch);

-- The wrong tries that were counted under a hold.
CREATE TABLE hold_tries (
    hold BLOB NOT NULL REFERENCES holds (id),
    try  BLOB NOT NULL,
    PRIMARY KEY (hold, try)
) STRICT, WITHOUT ROWID;
