package mysql

import (
	"context"
	"fmt"

	"hostctl/planner"
)

// The table of records: what was last applied under each name.
const (
	makeRecordSchema = "CREATE DATABASE IF NOT EXISTS hostctl CHARACTER SET utf8mb4"
	makeRecordTable  = `CREATE TABLE IF NOT EXISTS hostctl.object (
		kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
		name VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
		object TEXT NOT NULL,
		PRIMARY KEY (kind, name))`
	putRecord   = "REPLACE INTO hostctl.object (kind, name, object) VALUES (?, ?, ?)"
	dropRecord  = "DELETE FROM hostctl.object WHERE kind = ? AND name = ?"
	readRecords = "SELECT kind, object FROM hostctl.object"
)

// copying is the kind of record of a copy that isn't whole, or isn't known to be, beside that of its database.
const copying = "copying"

func (m *Manager) readRecords(ctx context.Context, s *server) error {
	err := m.each(ctx, readRecords, func(scan func(...any) error) error {
		var kind string
		var text []byte
		if err := scan(&kind, &text); err != nil {
			return err
		}
		o, err := planner.Decode(text)
		if err != nil {
			return err
		}
		ref := o.Ref()
		if err := check(planner.Change{New: o}); err != nil || s.records[ref.Kind] == nil {
			return fmt.Errorf("the record of %s is of something else: %w", ref, err)
		}
		if kind == copying {
			s.copying[ref.Name] = true
			return nil
		}
		s.records[ref.Kind][ref.Name] = o
		return nil
	})
	if isNumber(err, noSuchTable) || isNumber(err, noSuchSchema) {
		return nil
	}
	s.ready = err == nil
	return err
}

// remember writes what is being applied.
func (m *Manager) remember(ctx context.Context, s *server, o planner.Object) error {
	ref := o.Ref()
	bare, err := m.putRecord(ctx, s, string(ref.Kind), o)
	if err == nil {
		s.records[ref.Kind][ref.Name] = bare
	}
	return err
}

func (m *Manager) putRecord(ctx context.Context, s *server, kind string, o planner.Object) (planner.Object, error) {
	if !s.ready {
		for _, statement := range []string{makeRecordSchema, makeRecordTable} {
			if err := m.exec(ctx, statement); err != nil {
				return nil, err
			}
		}
		s.ready = true
	}
	bare, err := withoutOwner(o)
	if err != nil {
		return nil, err
	}
	return bare, m.exec(ctx, putRecord, kind, o.Ref().Name, string(planner.Encode(bare)))
}

// noteCopying notes that a database is being copied, before anything of it is there: what a run that is killed has left is no
// database.
func (m *Manager) noteCopying(ctx context.Context, s *server, o planner.Database) error {
	_, err := m.putRecord(ctx, s, copying, o)
	s.copying[o.Name] = err == nil
	return err
}

func (m *Manager) noteCopied(ctx context.Context, s *server, name string) error {
	if !s.copying[name] {
		return nil
	}
	delete(s.copying, name)
	return m.exec(ctx, dropRecord, copying, name)
}

func (m *Manager) forget(ctx context.Context, s *server, ref planner.Ref) error {
	if !s.ready {
		return nil
	}
	delete(s.records[ref.Kind], ref.Name)
	return m.exec(ctx, dropRecord, string(ref.Kind), ref.Name)
}

// withoutOwner returns an object as observers show it.
func withoutOwner(o planner.Object) (planner.Object, error) {
	switch o := o.(type) {
	case planner.Database:
		o.From, o.On = planner.Owner{}, nil
		return o, nil
	case planner.DatabaseUser:
		o.From, o.On = planner.Owner{}, nil
		return o, nil
	}
	return nil, fmt.Errorf("no record is kept of %s", o.Ref())
}
