package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// lockPatience is how long transactions that are under way may keep a database from becoming read-only. Then the
// connections of its users are ended.
const lockPatience = 5 * time.Second

// freeze makes a database read-only and lets the node that it moves to read it. It returns when nothing is being written any
// more (reference manual 15.1.2, "READ ONLY option": the statement waits for transactions that have touched it).
func (m *Manager) freeze(ctx context.Context, have *server, o planner.Database) error {
	if err := m.addReader(ctx, o.Schema, o.MovedTo); err != nil {
		return err
	}
	if have.readOnly[o.Schema] {
		return nil
	}
	err := m.setReadOnly(ctx, o.Schema, true)
	if !isNumber(err, lockTimeout) {
		return err
	}
	for _, name := range sortedKeys(have.accounts) {
		for _, a := range have.accounts[name] {
			if a.schema != o.Schema {
				continue
			}
			if err := m.disconnect(ctx, name); err != nil {
				return err
			}
			break
		}
	}
	return m.setReadOnly(ctx, o.Schema, true)
}

// setReadOnly closes a database to all writes, of whomever, or opens it.
func (m *Manager) setReadOnly(ctx context.Context, name string, yes bool) error {
	c, err := m.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	option := "0"
	if yes {
		option = "1"
	}
	for _, statement := range []string{
		fmt.Sprintf("SET SESSION lock_wait_timeout = %d", int(lockPatience.Seconds())),
		"ALTER DATABASE " + identifier(name) + " READ ONLY = " + option,
		"SET SESSION lock_wait_timeout = DEFAULT",
	} {
		if _, err := c.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("MySQL: %s is to become read-only (%v): %w", name, yes, err)
		}
	}
	return nil
}

// checkViews refuses a database with views that can't be read: on another node they couldn't be made.
func (m *Manager) checkViews(ctx context.Context, name string) error {
	var views []string
	err := m.each(ctx, "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME", func(scan func(...any) error) error {
		var view string
		err := scan(&view)
		views = append(views, view)
		return err
	}, name)
	if err != nil {
		return err
	}
	for _, view := range views {
		if rows, err := m.db.QueryContext(ctx, "SELECT * FROM "+qualified(name, view)+" LIMIT 0"); err != nil {
			return executors.Errorf(executors.Refused, "its view %s can't be read, so it couldn't be made on another node; mend it or drop it: %w", view, err)
		} else if err := closed(rows); err != nil {
			return err
		}
	}
	return nil
}

// readerOf is the user as whom another node copies a database. A dot is in no name that tenants have.
func readerOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "hostctl." + hex.EncodeToString(sum[:8])
}

func reader(name string) string { return account(readerOf(name), "%") }

// addReader lets one node read a database: it has no password, and is let in by the certificate of that node alone (reference
// manual 15.7.1.3, "CREATE USER SSL/TLS Options").
func (m *Manager) addReader(ctx context.Context, name, node string) error {
	who := reader(name)
	for _, statement := range []string{
		"CREATE USER IF NOT EXISTS " + who + " IDENTIFIED WITH " + sha2,
		"ALTER USER " + who + " REQUIRE SUBJECT '/OU=" + string(schema.RoleDatabase) + "/CN=" + node + "' AND ISSUER '/CN=hostctl CA'",
		"GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON " + grantPattern(name) + ".* TO " + who,
		"GRANT SHOW_ROUTINE ON *.* TO " + who,
	} {
		if err := m.exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manager) dropReader(ctx context.Context, have *server, name string) error {
	if len(have.accounts[readerOf(name)]) == 0 {
		return nil
	}
	return m.exec(ctx, "DROP USER IF EXISTS "+reader(name))
}

// open takes a database out of a move, or out of being kept: it can be written to.
func (m *Manager) open(ctx context.Context, have *server, name string) error {
	if err := m.dropReader(ctx, have, name); err != nil || !have.readOnly[name] {
		return err
	}
	return m.setReadOnly(ctx, name, false)
}

// copyFrom makes a database a copy of the one that it is to take the place of, read-only. One that is whole stays as it is:
// whether the two are the same is seen when it is switched to. What else was there goes, after a dump into the trash.
func (m *Manager) copyFrom(ctx context.Context, have *server, o planner.Database) error {
	was, known := have.records[o.Ref().Kind][o.Name].(planner.Database)
	_, exists := have.schemas[o.Schema]
	half := have.copying[o.Name]
	if known && exists && !half && was.Source != nil && !was.Kept {
		if err := m.remember(ctx, have, o); err != nil || have.readOnly[o.Schema] {
			return err
		}
		return m.setReadOnly(ctx, o.Schema, true)
	}
	from, err := m.source(o.Schema, *o.Source)
	if err != nil {
		return err
	}
	defer from.close()
	if err := from.frozen(ctx, o.Schema); err != nil {
		return err
	}
	if err := m.noteCopying(ctx, have, o); err != nil {
		return err
	}
	if exists {
		if err := m.clear(ctx, have, o.Schema, half); err != nil {
			return err
		}
	}
	if err := m.exec(ctx, "CREATE DATABASE "+identifier(o.Schema)+" CHARACTER SET "+o.Charset+" COLLATE "+o.Collation); err != nil {
		return err
	}
	to, err := m.local()
	if err != nil {
		return err
	}
	defer to.close()
	if err := copyAll(ctx, from, to, o.Schema); err != nil {
		return err
	}
	if err := m.setReadOnly(ctx, o.Schema, true); err != nil {
		return err
	}
	if err := m.remember(ctx, have, o); err != nil {
		return err
	}
	return m.noteCopied(ctx, have, o.Name)
}

// clear drops what is in the place of a copy.
func (m *Manager) clear(ctx context.Context, have *server, name string, half bool) error {
	if !half {
		if err := m.dump(ctx, name); err != nil {
			return err
		}
	}
	if err := m.open(ctx, have, name); err != nil {
		return err
	}
	return m.exec(ctx, "DROP DATABASE "+identifier(name))
}

// switchTo checks that a copy is what its source holds, which is frozen still. Where it isn't, it is to be made anew.
func (m *Manager) switchTo(ctx context.Context, have *server, was planner.Database) error {
	from, err := m.source(was.Schema, *was.Source)
	if err != nil {
		return err
	}
	defer from.close()
	to, err := m.local()
	if err != nil {
		return err
	}
	defer to.close()
	if err := from.frozen(ctx, was.Schema); err != nil {
		return err
	}
	difference, err := compare(ctx, from, to, was.Schema)
	if err != nil {
		return err
	}
	if difference == "" {
		return nil
	}
	if err := m.noteCopying(ctx, have, was); err != nil {
		return err
	}
	return executors.Errorf(executors.Drifted, "the copy isn't what node %s holds (%s), and nobody is switched to it; the next run copies anew", was.Source.Node, difference)
}
