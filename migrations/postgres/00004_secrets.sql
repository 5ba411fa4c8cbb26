-- Values that were generated, each encrypted to the platform's age key: never in clear.

-- +goose Up

-- sealed is the armored age file of the value; '' where it was lost with an inventory, and only nodes have it.
CREATE TABLE secrets (
    tenant     TEXT   COLLATE "C" NOT NULL,
    name       TEXT   COLLATE "C" NOT NULL,
    generation BIGINT NOT NULL CHECK (generation > 0),
    sealed     TEXT   NOT NULL,
    made       BIGINT NOT NULL,
    shown      BIGINT NOT NULL,
    PRIMARY KEY (tenant, name, generation)
);

-- +goose Down

DROP TABLE secrets;
