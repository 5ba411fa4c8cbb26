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
	readRecords = "SELECT object FROM hostctl.object"
)

func (m *Manager) readRecords(ctx context.Context, s *server) error {
	err := m.each(ctx, readRecords, func(scan func(...any) error) error {
		var text []byte
		if err := scan(&text); err != nil {
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
	if !s.ready {
		for _, statement := range []string{makeRecordSchema, makeRecordTable} {
			if err := m.exec(ctx, statement); err != nil {
				return err
			}
		}
		s.ready = true
	}
	bare, err := withoutOwner(o)
	if err != nil {
		return err
	}
	ref := o.Ref()
	if err := m.exec(ctx, putRecord, string(ref.Kind), ref.Name, string(planner.Encode(bare))); err != nil {
		return err
	}
	s.records[ref.Kind][ref.Name] = bare
	return nil
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
