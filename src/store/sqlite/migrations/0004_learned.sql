-- What was learned of parcels: a lane or a kind of gap a row.
CREATE TABLE learned (
    nr INTEGER PRIMARY KEY, desk INTEGER NOT NULL, id TEXT NOT NULL, state TEXT, parent TEXT, wake INTEGER,
    sum INTEGER NOT NULL, body ANY NOT NULL, UNIQUE (desk, id)
) STRICT;
