-- From schema version 1: answers and ledgers go into the journal. Answers of version 1 are not carried over: they matter
-- to a client that repeats, within its RECONNECT_S_MAX, a request that an owner of the earlier version answered.
DROP TABLE answer;
CREATE TABLE journal (
    number  INTEGER PRIMARY KEY,
    at      REAL NOT NULL,
    ledgers BLOB NOT NULL,
    answers BLOB NOT NULL
);
