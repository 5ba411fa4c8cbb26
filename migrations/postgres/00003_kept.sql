-- What plans are held against: the policy of the last applied commit, and since when data outlives its resource.

-- +goose Up

-- One row, once a run has begun. body is a planner.Memory as JSON.
CREATE TABLE remembered (
    one  BIGINT PRIMARY KEY CHECK (one = 1),
    body TEXT NOT NULL
);

-- Objects that nobody declares any more and that are kept for their data.
CREATE TABLE kept (
    ref   TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    since BIGINT NOT NULL
);

-- +goose Down

DROP TABLE kept;
DROP TABLE remembered;
