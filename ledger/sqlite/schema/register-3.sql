-- From version 2 of the register to version 3: an EK may have several sessions.

CREATE TABLE sessions_3 (
    id      BLOB    NOT NULL PRIMARY KEY,
    ek      BLOB    NOT NULL,
    nonce   BLOB    NOT NULL UNIQUE,
    state   TEXT    NOT NULL,
    expires INTEGER NOT NULL,
    payload BLOB    NOT NULL
) STRICT;

INSERT INTO sessions_3 SELECT id, ek, nonce, state, expires, payload FROM sessions;
DROP TABLE sessions;
ALTER TABLE sessions_3 RENAME TO sessions;

CREATE INDEX sessions_by_expiry ON sessions (expires);
CREATE INDEX sessions_by_ek ON sessions (ek);
