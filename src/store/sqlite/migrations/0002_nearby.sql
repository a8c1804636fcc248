-- What is written together lies together. Ids are spread over the whole alphabet: an index by id writes another page for
-- each row of a commit. So
--   kin     the number of the row that `parent` names, or the first number of the desk where there is none: rows that
--           belong to one another are found by numbers, which follow the order of time (rows::kin_of)
--   about   what records an incident or message has is looked up in a table that is filled by the thousand, in the order
--           of ids; desk.about_to says up to which record
-- and the columns of the audit that repeat the record are read out of it.
DROP INDEX notice_parent;
DROP INDEX message_parent;
DROP INDEX decision_parent;
DROP INDEX attempt_parent;

ALTER TABLE notice   ADD COLUMN kin INTEGER;
ALTER TABLE message  ADD COLUMN kin INTEGER;
ALTER TABLE decision ADD COLUMN kin INTEGER;
UPDATE notice SET kin = coalesce(
    (SELECT p.nr FROM incident p WHERE p.desk = notice.desk AND p.id = notice.parent), notice.desk << 40)
    WHERE parent IS NOT NULL;
UPDATE message SET kin = coalesce(
    (SELECT p.nr FROM notice p WHERE p.desk = message.desk AND p.id = message.parent), message.desk << 40)
    WHERE parent IS NOT NULL;
UPDATE decision SET kin = coalesce(
    (SELECT p.nr FROM notice p WHERE p.desk = decision.desk AND p.id = decision.parent), decision.desk << 40)
    WHERE parent IS NOT NULL;
CREATE INDEX notice_kin   ON notice   (kin, id) WHERE kin IS NOT NULL;
CREATE INDEX message_kin  ON message  (kin, id) WHERE kin IS NOT NULL;
CREATE INDEX decision_kin ON decision (kin, id) WHERE kin IS NOT NULL;

-- Attempts are many and belong to a message each: they have no other index.
CREATE TABLE attempt_2 (
    nr INTEGER PRIMARY KEY, desk INTEGER NOT NULL, id TEXT NOT NULL, state TEXT, parent TEXT, wake INTEGER,
    sum INTEGER NOT NULL, body ANY NOT NULL, kin INTEGER NOT NULL, UNIQUE (kin, id)
) STRICT;
INSERT INTO attempt_2 (nr, desk, id, state, parent, wake, sum, body, kin)
    SELECT a.nr, a.desk, a.id, a.state, a.parent, a.wake, a.sum, a.body, coalesce(
        (SELECT p.nr FROM message p WHERE p.desk = a.desk AND p.id = a.parent), a.desk << 40)
    FROM attempt a ORDER BY a.nr;
DROP TABLE attempt;
ALTER TABLE attempt_2 RENAME TO attempt;

-- The beginning of an id is enough to look by: whoever looks compares the whole.
CREATE TABLE audit_about (
    desk  INTEGER NOT NULL,
    about TEXT NOT NULL,
    seq   INTEGER NOT NULL,
    PRIMARY KEY (desk, about, seq)
) STRICT, WITHOUT ROWID;
ALTER TABLE desk ADD COLUMN about_to INTEGER NOT NULL DEFAULT 0;
INSERT OR IGNORE INTO audit_about (desk, about, seq)
    SELECT desk, substr(incident, 1, 12), seq FROM audit WHERE incident IS NOT NULL
    UNION SELECT desk, substr(message, 1, 12), seq FROM audit WHERE message IS NOT NULL
    ORDER BY 1, 2, 3;
UPDATE desk SET about_to = coalesce((SELECT max(a.seq) FROM audit a WHERE a.desk = desk.no), 0);

CREATE TABLE audit_2 (
    desk     INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    body     TEXT NOT NULL,
    digest   BLOB NOT NULL,
    kind     TEXT AS (body ->> '$.kind'),
    incident TEXT AS (body ->> '$.incident'),
    notice   TEXT AS (body ->> '$.notice'),
    message  TEXT AS (body ->> '$.message'),
    cause    TEXT AS (body ->> '$.cause'),
    PRIMARY KEY (desk, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO audit_2 (desk, seq, at, body, digest) SELECT desk, seq, at, body, digest FROM audit ORDER BY desk, seq;
DROP TABLE audit;
ALTER TABLE audit_2 RENAME TO audit;
CREATE TRIGGER audit_is_kept BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;
CREATE TRIGGER audit_is_sealed BEFORE DELETE ON audit
WHEN NOT EXISTS (SELECT 1 FROM audit_seal s WHERE s.desk = OLD.desk AND s.last_seq >= OLD.seq)
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only: seal it first');
END;
