-- What an attempt sends, apart from what becomes of it: the one is long and never changes, the other is short and does.
-- Attempts of before have it in their own row, and keep it there.
CREATE TABLE body (
    nr INTEGER PRIMARY KEY, desk INTEGER NOT NULL, id TEXT NOT NULL, state TEXT, parent TEXT, wake INTEGER,
    sum INTEGER NOT NULL, body ANY NOT NULL, kin INTEGER NOT NULL, UNIQUE (kin, id)
) STRICT;
