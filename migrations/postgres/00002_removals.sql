-- What a reader that keeps what it has read must know: which objects have changed since, and which are no longer there.

-- +goose Up

CREATE INDEX objects_by_version ON objects (version);

-- Objects that were removed, and when. An object that came back has a later version in objects.
CREATE TABLE removals (
    version BIGINT NOT NULL,
    ref     TEXT   COLLATE "C" NOT NULL,
    PRIMARY KEY (version, ref)
);

-- +goose Down

DROP TABLE removals;
DROP INDEX objects_by_version;
