-- The group manager's register, version 1. Times are microseconds since 1970,
-- UTC.

CREATE TABLE meta (
    name  TEXT    NOT NULL PRIMARY KEY,
    value BLOB    NOT NULL,
    rev   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id      BLOB    NOT NULL PRIMARY KEY,
    ek      BLOB    NOT NULL UNIQUE,
    nonce   BLOB    NOT NULL UNIQUE,
    state   TEXT    NOT NULL,
    expires INTEGER NOT NULL,
    payload BLOB    NOT NULL
) STRICT;

CREATE INDEX sessions_by_expiry ON sessions (expires);

-- Rows are never deleted.
CREATE TABLE members (
    id         BLOB    NOT NULL PRIMARY KEY,
    ek         BLOB    NOT NULL UNIQUE,
    f          BLOB    NOT NULL UNIQUE,
    uh         BLOB    NOT NULL UNIQUE,
    epoch      INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    transcript BLOB    NOT NULL,
    form       BLOB    NOT NULL,
    issued     BLOB    NOT NULL,
    name       TEXT    NOT NULL,
    joined_at  INTEGER NOT NULL
) STRICT;
