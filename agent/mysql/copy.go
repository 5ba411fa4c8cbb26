package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// copyAll copies all of a database to one that is there and empty: tables with their rows, then what belongs to them. Each
// definition is sent as one statement, as the server has written it, so nothing within can be taken for another. Events come
// last: from then on they may run.
func copyAll(ctx context.Context, from, to *end, name string) error {
	tables, err := from.texts(ctx, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_NAME", name)
	if err != nil {
		return err
	}
	if err := to.exec(ctx, "USE "+quoted(name), "SET NAMES utf8mb4"); err != nil {
		return err
	}
	for _, t := range tables {
		made, err := from.texts(ctx, "SHOW CREATE TABLE "+qualified(name, t[0]))
		if err != nil {
			return err
		}
		if err := to.exec(ctx, made[0][1]); err != nil {
			return fmt.Errorf("table %s: %w", t[0], err)
		}
	}
	if err := to.exec(ctx, "SET NAMES binary"); err != nil {
		return err
	}
	for _, t := range tables {
		if err := copyRows(ctx, from, to, name, t[0]); err != nil {
			return fmt.Errorf("rows of table %s: %w", t[0], err)
		}
	}
	if err := copyViews(ctx, from, to, name); err != nil {
		return err
	}
	for _, p := range programs {
		if err := p.copy(ctx, from, to, name); err != nil {
			return err
		}
	}
	return nil
}

// program is a kind of stored program.
type program struct {
	kind   string // as SHOW CREATE takes it
	list   string // query of their names
	text   int    // column of SHOW CREATE with the statement; column 1 has the SQL modes
	client int    // column with the character set of the client; the collation of the connection follows
	zone   int    // column with the time zone; 0 for none
}

// programs are in the order in which they are made.
var programs = []program{
	{kind: "FUNCTION", list: "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_TYPE = 'FUNCTION' AND ROUTINE_SCHEMA = ? ORDER BY ROUTINE_NAME", text: 2, client: 3},
	{kind: "PROCEDURE", list: "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_TYPE = 'PROCEDURE' AND ROUTINE_SCHEMA = ? ORDER BY ROUTINE_NAME", text: 2, client: 3},
	{kind: "TRIGGER", list: "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ? ORDER BY EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER", text: 2, client: 3},
	{kind: "EVENT", list: "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ? ORDER BY EVENT_NAME", text: 3, client: 4, zone: 2},
}

// copy makes each with the modes and character sets that it was made with, which are part of it (reference manual 15.7.7.10,
// "SHOW CREATE PROCEDURE").
func (p program) copy(ctx context.Context, from, to *end, name string) error {
	all, err := from.texts(ctx, p.list, name)
	if err != nil {
		return err
	}
	for _, one := range all {
		shown, err := from.texts(ctx, "SHOW CREATE "+p.kind+" "+qualified(name, one[0]))
		if err != nil {
			return err
		}
		row := shown[0]
		around := []string{
			"SET sql_mode = " + text(row[1]), "SET character_set_client = " + text(row[p.client]), "SET collation_connection = " + text(row[p.client+1]),
		}
		if p.zone > 0 {
			around = append(around, "SET time_zone = "+text(row[p.zone]))
		}
		err = to.exec(ctx, append(around, row[p.text])...)
		if err != nil {
			return fmt.Errorf("%s %s: %w", strings.ToLower(p.kind), one[0], err)
		}
		if err := to.exec(ctx, session...); err != nil {
			return err
		}
	}
	return nil
}

// text quotes what the server has told of itself: names of character sets, modes and zones.
func text(s string) string { return "'" + strings.NewReplacer("'", "''", `\`, `\\`).Replace(s) + "'" }

// copyViews makes views round after round, for a view may need others.
func copyViews(ctx context.Context, from, to *end, name string) error {
	left, err := from.texts(ctx, "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME", name)
	if err != nil {
		return err
	}
	for len(left) > 0 {
		before, last := len(left), error(nil)
		left = slices.DeleteFunc(left, func(view []string) bool {
			err := copyView(ctx, from, to, name, view[0])
			if err != nil {
				last = fmt.Errorf("view %s: %w", view[0], err)
			}
			return err == nil
		})
		if len(left) == before {
			return last
		}
	}
	return nil
}

func copyView(ctx context.Context, from, to *end, name, view string) error {
	shown, err := from.texts(ctx, "SHOW CREATE VIEW "+qualified(name, view))
	if err != nil {
		return err
	}
	row := shown[0]
	err = to.exec(ctx, "SET character_set_client = "+text(row[2]), "SET collation_connection = "+text(row[3]), row[1])
	if again := to.exec(ctx, session...); err == nil {
		err = again
	}
	return err
}

// What goes in one INSERT: as many rows, or as many bytes and the row that went over.
const (
	batchRows   = 500
	batchBytes  = 1 << 20
	mostValues  = 60_000 // of a statement that is prepared; the protocol counts them in 16 bits
	sizeOfValue = 8
)

// copyRows copies the rows of a table as the protocol of prepared statements carries them: in binary, so that nothing is
// rounded, quoted or converted.
func copyRows(ctx context.Context, from, to *end, name, table string) error {
	columns, err := from.texts(ctx, `SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS
		WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND GENERATION_EXPRESSION = '' ORDER BY ORDINAL_POSITION`, name, table)
	if err != nil || len(columns) == 0 {
		return err
	}
	source, err := from.connected(ctx)
	if err != nil {
		return err
	}
	query, err := source.PrepareContext(ctx, "SELECT "+selected(columns)+" FROM "+qualified(name, table))
	if err != nil {
		return fmt.Errorf("%s: %w", from.who, err)
	}
	defer func() { _ = query.Close() }()
	rows, err := query.QueryContext(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", from.who, err)
	}
	in := newInserter(to, name, table, columns)
	for rows.Next() {
		if err := in.add(ctx, rows); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	if err := closed(rows); err != nil {
		return fmt.Errorf("%s: %w", from.who, err)
	}
	return in.end(ctx)
}

// selected is what is read of each column. Of a value of ENUM and SET it is the number: a label is text in a character set.
func selected(columns [][]string) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = quoted(c[0])
		if c[1] == "enum" || c[1] == "set" {
			out[i] += " + 0"
		}
	}
	return strings.Join(out, ", ")
}

// inserter gathers rows and inserts many at a time.
type inserter struct {
	to        *end
	head, row string // "INSERT INTO … VALUES ", "(?, ?)"
	columns   int
	most      int
	values    []any
	rows      int
	bytes     int
	full      *sql.Stmt // of most rows, when it was first needed
}

func newInserter(to *end, name, table string, columns [][]string) *inserter {
	names, marks := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		names[i], marks[i] = quoted(c[0]), "?"
		if c[1] == "json" { // it isn't made of bytes without a character set
			marks[i] = "CONVERT(? USING utf8mb4)"
		}
	}
	return &inserter{
		to: to, head: "INSERT INTO " + qualified(name, table) + " (" + strings.Join(names, ", ") + ") VALUES ",
		row: "(" + strings.Join(marks, ", ") + ")", columns: len(columns), most: max(1, min(batchRows, mostValues/len(columns))),
	}
}

// add takes the row that rows stands at.
func (in *inserter) add(ctx context.Context, rows *sql.Rows) error {
	at := len(in.values)
	in.values = append(in.values, make([]any, in.columns)...)
	into := make([]any, in.columns)
	for i := range into {
		into[i] = &in.values[at+i]
	}
	if err := rows.Scan(into...); err != nil {
		return err
	}
	in.rows++
	for _, v := range in.values[at:] {
		in.bytes += sizeOfValue
		if b, ok := v.([]byte); ok {
			in.bytes += len(b)
		}
	}
	if in.rows == in.most || in.bytes >= batchBytes {
		return in.flush(ctx)
	}
	return nil
}

func (in *inserter) statement(n int) string {
	return in.head + strings.Repeat(in.row+", ", n-1) + in.row
}

func (in *inserter) flush(ctx context.Context) error {
	c, err := in.to.connected(ctx)
	if err != nil {
		return err
	}
	if in.rows < in.most {
		_, err = c.ExecContext(ctx, in.statement(in.rows), in.values...)
	} else {
		if in.full == nil {
			if in.full, err = c.PrepareContext(ctx, in.statement(in.most)); err != nil {
				return fmt.Errorf("%s: %w", in.to.who, err)
			}
		}
		_, err = in.full.ExecContext(ctx, in.values...)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", in.to.who, err)
	}
	clear(in.values)
	in.values, in.rows, in.bytes = in.values[:0], 0, 0
	return nil
}

func (in *inserter) end(ctx context.Context) error {
	if in.rows > 0 {
		if err := in.flush(ctx); err != nil {
			return err
		}
	}
	if in.full != nil {
		return in.full.Close()
	}
	return nil
}
