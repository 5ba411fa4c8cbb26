-- What is read page by page, and by tenant.

-- +goose Up

-- Whose object a change is about, '' for the platform's, and for what was journaled before this was known.
ALTER TABLE changes ADD COLUMN tenant TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX changes_by_tenant ON changes (tenant, run) WHERE tenant <> '';
CREATE INDEX objects_by_tenant ON objects (tenant, ref) WHERE tenant <> '';

-- +goose Down

DROP INDEX objects_by_tenant;
DROP INDEX changes_by_tenant;
ALTER TABLE changes DROP COLUMN tenant;
