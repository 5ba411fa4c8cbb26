package mysql

import (
	"context"

	"hostctl/executors"
	"hostctl/planner"
)

// makeDatabase brings a database about. A schema that nobody here has made is somebody else's. The record is written first,
// so that what was made is known to be ours even if nothing came after.
func (m *Manager) makeDatabase(ctx context.Context, have *server, o planner.Database) error {
	_, exists := have.schemas[o.Schema]
	was, known := have.records[o.Ref().Kind][o.Name].(planner.Database)
	half := have.copying[o.Name]
	switch {
	case exists && !half && (known && was.Schema != o.Schema || !known && (!o.Adopt || o.Source != nil)):
		return executors.Errorf(executors.Conflict, "a database %s is there, and nobody here has made it; take it over with metadata.adopt: true, or choose another name", o.Schema)
	case o.Kept:
		return m.keep(ctx, have, o)
	case o.Source != nil:
		return m.copyFrom(ctx, have, o)
	case half:
		return executors.Errorf(executors.Drifted, "what is there is a copy that isn't whole, and nobody is switched to it; the next run copies anew")
	case known && was.Source != nil:
		if err := m.switchTo(ctx, have, was); err != nil {
			return err
		}
	case o.MovedTo != "" && exists:
		if err := m.checkViews(ctx, o.Schema); err != nil {
			return err
		}
	}
	if err := m.remember(ctx, have, o); err != nil {
		return err
	}
	if o.MovedTo == "" {
		return m.serve(ctx, have, o)
	}
	return m.freeze(ctx, have, o)
}

// serve makes a database that can be used.
func (m *Manager) serve(ctx context.Context, have *server, o planner.Database) error {
	there, exists := have.schemas[o.Schema]
	charset := " CHARACTER SET " + o.Charset + " COLLATE " + o.Collation // both from lists
	if !exists {
		return m.exec(ctx, "CREATE DATABASE IF NOT EXISTS "+identifier(o.Schema)+charset)
	}
	if err := m.open(ctx, have, o.Schema); err != nil {
		return err
	}
	if there != (encoding{o.Charset, o.Collation}) {
		return m.exec(ctx, "ALTER DATABASE "+identifier(o.Schema)+charset)
	}
	return nil
}

// keep keeps a database as it is where nobody declares it any more: then it has no users, so nobody gets in.
func (m *Manager) keep(ctx context.Context, have *server, o planner.Database) error {
	if err := m.remember(ctx, have, o); err != nil {
		return err
	}
	if err := m.dropReader(ctx, have, o.Schema); err != nil {
		return err
	}
	there, exists := have.schemas[o.Schema]
	switch {
	case !exists:
		return m.exec(ctx, "CREATE DATABASE IF NOT EXISTS "+identifier(o.Schema)+" CHARACTER SET "+o.Charset+" COLLATE "+o.Collation)
	case there != (encoding{o.Charset, o.Collation}) && !have.readOnly[o.Schema]:
		return m.exec(ctx, "ALTER DATABASE "+identifier(o.Schema)+" CHARACTER SET "+o.Charset+" COLLATE "+o.Collation)
	}
	return nil
}

// drop drops a database for good, once a dump of it is in the trash. Only one that was kept, or was declared to be deleted
// with its data, may go, and a copy that nobody was switched to.
func (m *Manager) drop(ctx context.Context, have *server, o planner.Database) error {
	was, known := have.records[o.Ref().Kind][o.Name].(planner.Database)
	half := have.copying[o.Name]
	copied := o.Source != nil && (half || !known || was.Source != nil)
	if !o.Kept && !o.Purge && !copied {
		return executors.Errorf(executors.Refused, "it holds data, and nobody has said that it may go: it was neither kept before, nor is its deletionPolicy Delete")
	}
	if _, exists := have.schemas[o.Schema]; exists {
		if !known && !half {
			return executors.Errorf(executors.Conflict, "a database %s is there, and nobody here has made it", o.Schema)
		}
		if err := m.clear(ctx, have, o.Schema, half); err != nil {
			return err
		}
	}
	if err := m.noteCopied(ctx, have, o.Name); err != nil {
		return err
	}
	if err := m.dropReader(ctx, have, o.Schema); err != nil {
		return err
	}
	return m.forget(ctx, have, o.Ref())
}
