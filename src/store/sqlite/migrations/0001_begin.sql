-- The first schema. One form for every table of rows:
--   nr      where the row stands: the number of the desk, shifted up by 40 bits, plus a counter. Rows of one desk lie
--           beside one another in the order in which they were first kept, which is the order of loading.
--   desk    the number of the desk (see the table desk), id: the id in it
--   state, parent, wake   for queries; wake in ms since 1970, UTC
--   sum     a sum over everything else, so that an altered row is found when it is read
--   body    the row: JSON text, or bytes (cases)
CREATE TABLE store (
    key   TEXT PRIMARY KEY,
    value ANY
) STRICT, WITHOUT ROWID;

CREATE TABLE desk (
    no   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE "case" (
    nr INTEGER PRIMARY KEY, desk INTEGER NOT NULL, id TEXT NOT NULL, state TEXT, parent TEXT, wake INTEGER,
    sum INTEGER NOT NULL, body ANY NOT NULL, UNIQUE (desk, id)
) STRICT;
CREATE TABLE incident (
    nr INTEGER PRIMARY KEY, desk INTEGER NOT NULL, id TEXT NOT NULL, state TEXT, parent TEXT, wake INTEGER,
    sum INTEGER NOT NULL, body ANY NOT NULL, UNIQUE (desk, id)
) STRICT;
CREATE TABLE notice (
    nr INTEGER PRIMARY KEY, desk INTEGER NOT NULL, id TEXT NOT NULL, state TEXT, parent TEXT, wake INTEGER,
    sum INTEGER NOT NULL, body ANY NOT NULL, UNIQUE (desk, id)
) STRICT;
CREATE TABLE message (
    nr INTEGER PRIMARY KEY, desk INTEGER NOT NULL, id TEXT NOT NULL, state TEXT, parent TEXT, wake INTEGER,
    sum INTEGER NOT NULL, body ANY NOT NULL, UNIQUE (desk, id)
) STRICT;
CREATE TABLE attempt (
    nr INTEGER PRIMARY KEY, desk INTEGER NOT NULL, id TEXT NOT NULL, state TEXT, parent TEXT, wake INTEGER,
    sum INTEGER NOT NULL, body ANY NOT NULL, UNIQUE (desk, id)
) STRICT;
CREATE TABLE silence (
    nr INTEGER PRIMARY KEY, desk INTEGER NOT NULL, id TEXT NOT NULL, state TEXT, parent TEXT, wake INTEGER,
    sum INTEGER NOT NULL, body ANY NOT NULL, UNIQUE (desk, id)
) STRICT;
CREATE TABLE inbox (
    nr INTEGER PRIMARY KEY, desk INTEGER NOT NULL, id TEXT NOT NULL, state TEXT, parent TEXT, wake INTEGER,
    sum INTEGER NOT NULL, body ANY NOT NULL, UNIQUE (desk, id)
) STRICT;
CREATE TABLE decision (
    nr INTEGER PRIMARY KEY, desk INTEGER NOT NULL, id TEXT NOT NULL, state TEXT, parent TEXT, wake INTEGER,
    sum INTEGER NOT NULL, body ANY NOT NULL, UNIQUE (desk, id)
) STRICT;
CREATE TABLE parked (
    nr INTEGER PRIMARY KEY, desk INTEGER NOT NULL, id TEXT NOT NULL, state TEXT, parent TEXT, wake INTEGER,
    sum INTEGER NOT NULL, body ANY NOT NULL, UNIQUE (desk, id)
) STRICT;
CREATE TABLE alerting (
    nr INTEGER PRIMARY KEY, desk INTEGER NOT NULL, id TEXT NOT NULL, state TEXT, parent TEXT, wake INTEGER,
    sum INTEGER NOT NULL, body ANY NOT NULL, UNIQUE (desk, id)
) STRICT;
CREATE TABLE cursor (
    nr INTEGER PRIMARY KEY, desk INTEGER NOT NULL, id TEXT NOT NULL, state TEXT, parent TEXT, wake INTEGER,
    sum INTEGER NOT NULL, body ANY NOT NULL, UNIQUE (desk, id)
) STRICT;
CREATE TABLE reject (
    nr INTEGER PRIMARY KEY, desk INTEGER NOT NULL, id TEXT NOT NULL, state TEXT, parent TEXT, wake INTEGER,
    sum INTEGER NOT NULL, body ANY NOT NULL, UNIQUE (desk, id)
) STRICT;
CREATE TABLE meta (
    nr INTEGER PRIMARY KEY, desk INTEGER NOT NULL, id TEXT NOT NULL, state TEXT, parent TEXT, wake INTEGER,
    sum INTEGER NOT NULL, body ANY NOT NULL, UNIQUE (desk, id)
) STRICT;

-- None by state: it would be written with every change of a row, and lists by state are rare and short enough to walk.
CREATE INDEX notice_parent    ON notice   (desk, parent, id) WHERE parent IS NOT NULL;
CREATE INDEX message_parent   ON message  (desk, parent, id) WHERE parent IS NOT NULL;
CREATE INDEX attempt_parent   ON attempt  (desk, parent, id) WHERE parent IS NOT NULL;
CREATE INDEX decision_parent  ON decision (desk, parent, id) WHERE parent IS NOT NULL;

-- The audit. `body` is the canonical JSON of the record, `digest` is SHA-256 over the digest before it and the body.
-- The other columns repeat the body, for queries.
CREATE TABLE audit (
    desk     INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    incident TEXT,
    notice   TEXT,
    message  TEXT,
    cause    TEXT,
    body     TEXT NOT NULL,
    digest   BLOB NOT NULL,
    PRIMARY KEY (desk, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_incident ON audit (desk, incident, seq) WHERE incident IS NOT NULL;
CREATE INDEX audit_message  ON audit (desk, message, seq)  WHERE message IS NOT NULL;

-- What was dropped from the beginning of a chain after its time: the stub that holds its last digest.
CREATE TABLE audit_seal (
    desk      INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL,
    first_at  INTEGER NOT NULL,
    last_at   INTEGER NOT NULL,
    digest    BLOB NOT NULL,
    PRIMARY KEY (desk, last_seq)
) STRICT, WITHOUT ROWID;

-- Append only: a record is never changed, and dropped only once a seal covers it.
CREATE TRIGGER audit_is_kept BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;
CREATE TRIGGER audit_is_sealed BEFORE DELETE ON audit
WHEN NOT EXISTS (SELECT 1 FROM audit_seal s WHERE s.desk = OLD.desk AND s.last_seq >= OLD.seq)
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only: seal it first');
END;
