-- Times are microseconds since 1970 in UTC, 0 for none. Text that isn't there is ''. Objects are planner.Encode's JSON.

-- Keys compare as bytes (COLLATE "C"), whatever the database's language is: they sort alike in every store.

-- +goose Up

-- The present in the unit of the tables, by the server's clock: a lease doesn't depend on whose clock is right.
CREATE FUNCTION micros() RETURNS BIGINT LANGUAGE sql VOLATILE
    RETURN (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT;

-- One row: which inventory this is, how often it has changed, and the commit that it was last made equal to.
CREATE TABLE meta (
    one      BIGINT PRIMARY KEY CHECK (one = 1),
    instance TEXT   NOT NULL,
    version  BIGINT NOT NULL,
    applied  TEXT   NOT NULL
);

-- What is really there, or may be: a row is written before its object is made. hash is that of content; where gone is 1
-- the object was seen not to be there, and content is what it was. pending is what a change that has not finished well
-- was to make of it.
CREATE TABLE objects (
    ref          TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    kind         TEXT   COLLATE "C" NOT NULL,
    target       TEXT   COLLATE "C" NOT NULL,
    name         TEXT   COLLATE "C" NOT NULL,
    tenant       TEXT   NOT NULL,
    owner_kind   TEXT   NOT NULL,
    owner_name   TEXT   NOT NULL,
    file         TEXT   NOT NULL,
    line         BIGINT NOT NULL,
    content      TEXT   NOT NULL,
    hash         TEXT   COLLATE "C" NOT NULL,
    pending      TEXT   NOT NULL,
    pending_hash TEXT   NOT NULL,
    version      BIGINT NOT NULL,
    revision     BIGINT NOT NULL,
    commit_id    TEXT   NOT NULL,
    dirty        TEXT   NOT NULL,
    gone         BIGINT NOT NULL CHECK (gone IN (0, 1)),
    started      BIGINT NOT NULL,
    finished     BIGINT NOT NULL,
    error        TEXT   NOT NULL,
    CHECK ((content = '') = (hash = '')),
    CHECK ((pending = '') = (pending_hash = '')),
    CHECK (finished > 0 OR dirty <> ''),
    CHECK (content <> '' OR dirty <> ''),
    CHECK (gone = 0 OR dirty <> '')
);
CREATE INDEX objects_by_target ON objects (target, kind);

-- Plans by content hash. body is the plan as JSON.
CREATE TABLE plans (
    hash    TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    commit_id TEXT NOT NULL,
    created BIGINT NOT NULL,
    body    TEXT   NOT NULL
);

-- Executions of plans. id is the fencing number. At most one runs: it holds the lock until deadline.
CREATE TABLE runs (
    id        BIGINT NOT NULL PRIMARY KEY,
    commit_id TEXT   NOT NULL,
    plan      TEXT   NOT NULL,
    holder    TEXT   NOT NULL,
    state     TEXT   NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'interrupted')),
    message   TEXT   NOT NULL,
    changes   BIGINT NOT NULL,
    done      BIGINT NOT NULL,
    failed    BIGINT NOT NULL,
    started   BIGINT NOT NULL,
    deadline  BIGINT NOT NULL,
    finished  BIGINT NOT NULL,
    CHECK ((state = 'running') = (finished = 0))
);
CREATE UNIQUE INDEX runs_one_running ON runs (state) WHERE state = 'running';

-- The journal: the changes of each run, in the order of its plan.
CREATE TABLE changes (
    run      BIGINT NOT NULL,
    id       BIGINT NOT NULL,
    ref      TEXT   COLLATE "C" NOT NULL,
    action   TEXT   NOT NULL,
    state    TEXT   NOT NULL CHECK (state IN ('planned', 'started', 'done', 'failed')),
    error    TEXT   NOT NULL,
    started  BIGINT NOT NULL,
    finished BIGINT NOT NULL,
    PRIMARY KEY (run, id),
    CHECK ((state IN ('done', 'failed')) = (finished > 0)),
    CHECK ((state = 'planned') = (started = 0))
);

-- Decisions that must not be made twice: uids, addresses, ports, the host of a node. run made it.
CREATE TABLE allocations (
    scope TEXT   COLLATE "C" NOT NULL,
    key   TEXT   COLLATE "C" NOT NULL,
    value TEXT   COLLATE "C" NOT NULL,
    run   BIGINT NOT NULL,
    PRIMARY KEY (scope, key),
    UNIQUE (scope, value)
);

-- Where the changes of the last applied plan went. body is a planner.Target as JSON.
CREATE TABLE targets (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
);

-- Image ids by tag, as last resolved.
CREATE TABLE images (
    tag TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    id  TEXT NOT NULL
);

-- Nodes that can't be reached, and why.
CREATE TABLE down_nodes (
    node   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    reason TEXT NOT NULL
);

-- +goose Down

DROP TABLE down_nodes;
DROP TABLE images;
DROP TABLE targets;
DROP TABLE allocations;
DROP TABLE changes;
DROP TABLE runs;
DROP TABLE plans;
DROP TABLE objects;
DROP TABLE meta;
DROP FUNCTION micros;
