package mysql

import (
	"context"

	"hostctl/executors"
	"hostctl/planner"
)

// makeDatabase brings a database about, or keeps it as it is where nobody declares it any more: then it has no users, so
// nobody gets in. A schema that nobody here has made is somebody else's. The record is written first, so that what was
// made is known to be ours even if nothing came after.
func (m *Manager) makeDatabase(ctx context.Context, have *server, o planner.Database) error {
	there, exists := have.schemas[o.Schema]
	if was, known := have.records[o.Ref().Kind][o.Name].(planner.Database); exists && (!known || was.Schema != o.Schema) {
		return executors.Errorf(executors.Conflict, "a database %s is there, and nobody here has made it", o.Schema)
	}
	if err := m.remember(ctx, have, o); err != nil {
		return err
	}
	charset := " CHARACTER SET " + o.Charset + " COLLATE " + o.Collation // both from lists
	switch {
	case !exists:
		return m.exec(ctx, "CREATE DATABASE IF NOT EXISTS "+identifier(o.Schema)+charset)
	case there != (encoding{o.Charset, o.Collation}):
		return m.exec(ctx, "ALTER DATABASE "+identifier(o.Schema)+charset)
	}
	return nil
}

// drop drops a database for good, once a dump of it is in the trash. Only one that was kept, or was declared to be deleted
// with its data, may go.
func (m *Manager) drop(ctx context.Context, have *server, o planner.Database) error {
	if !o.Kept && !o.Purge {
		return executors.Errorf(executors.Refused, "it holds data, and nobody has said that it may go: it was neither kept before, nor is its deletionPolicy Delete")
	}
	_, known := have.records[o.Ref().Kind][o.Name]
	if _, exists := have.schemas[o.Schema]; exists {
		if !known {
			return executors.Errorf(executors.Conflict, "a database %s is there, and nobody here has made it", o.Schema)
		}
		if err := m.dump(ctx, o.Schema); err != nil {
			return err
		}
		if err := m.exec(ctx, "DROP DATABASE IF EXISTS "+identifier(o.Schema)); err != nil {
			return err
		}
	}
	return m.forget(ctx, have, o.Ref())
}
