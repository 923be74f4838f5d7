-- From version 1 of the ledger to version 2: an account may have several tokens;
-- quotas and holds. What the journal has to say of it, upgradeAccounts adds.

CREATE TABLE accounts_2 (
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

INSERT INTO accounts_2 SELECT id, kind, name, pubkey, currency, created_at, suspended, '', rev + 1 FROM accounts;
ALTER TABLE accounts RENAME TO accounts_1;
ALTER TABLE accounts_2 RENAME TO accounts;

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

INSERT INTO access_tokens SELECT token_hash, id, '', '', created_at, 0, 0, 1 FROM accounts_1 WHERE token_hash IS NOT NULL;
DROP TABLE accounts_1;

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
