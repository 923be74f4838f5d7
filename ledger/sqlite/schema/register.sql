-- The group manager's register, version 3. Times are microseconds since 1970,
-- UTC.

CREATE TABLE meta (
    name  TEXT    NOT NULL PRIMARY KEY,
    value BLOB    NOT NULL,
    rev   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id      BLOB    NOT NULL PRIMARY KEY,
    ek      BLOB    NOT NULL,
    nonce   BLOB    NOT NULL UNIQUE,
    state   TEXT    NOT NULL,
    expires INTEGER NOT NULL,
    payload BLOB    NOT NULL
) STRICT;

CREATE INDEX sessions_by_expiry ON sessions (expires);
CREATE INDEX sessions_by_ek ON sessions (ek);

-- Rows are never deleted, except pending ones that a repeated join replaces.
CREATE TABLE members (
    id           BLOB    NOT NULL PRIMARY KEY,
    ek           BLOB    NOT NULL,
    f            BLOB    NOT NULL UNIQUE,
    uh           BLOB    NOT NULL UNIQUE,
    epoch        INTEGER NOT NULL,
    state        TEXT    NOT NULL,
    transcript   BLOB    NOT NULL,
    form         BLOB    NOT NULL,
    issued       BLOB    NOT NULL,
    name         TEXT    NOT NULL,
    joined_at    INTEGER NOT NULL,
    succeeds     BLOB    NOT NULL, -- empty: nobody
    succeeded_by BLOB    NOT NULL
) STRICT;

CREATE INDEX members_by_state ON members (state);

-- Who holds an EK now.
CREATE TABLE holders (
    ek     BLOB NOT NULL PRIMARY KEY,
    member BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE readmissions (
    member  BLOB    NOT NULL PRIMARY KEY,
    code    BLOB    NOT NULL UNIQUE,
    expires INTEGER NOT NULL,
    used    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Only grows.
CREATE TABLE warrants (
    seq    INTEGER NOT NULL PRIMARY KEY,
    prev   BLOB    NOT NULL,
    hash   BLOB    NOT NULL,
    digest BLOB    NOT NULL UNIQUE,
    scope  TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    papers BLOB    NOT NULL
) STRICT;

CREATE TABLE counters (
    name  TEXT    NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
