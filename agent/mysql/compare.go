package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// definitions are queries of what a database is made of, but for its rows. What they answer must be the same at both ends.
var definitions = []struct{ what, query string }{
	{"tables", "SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_COLLATION FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME"},
	{"columns", "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLLATION_NAME, EXTRA FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME, ORDINAL_POSITION"},
	{"indexes", "SELECT TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME, NON_UNIQUE FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"},
	{"constraints", "SELECT TABLE_NAME, CONSTRAINT_NAME, CONSTRAINT_TYPE FROM information_schema.TABLE_CONSTRAINTS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME, CONSTRAINT_NAME"},
	{"views", "SELECT TABLE_NAME, DEFINER, SECURITY_TYPE FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME"},
	{"routines", "SELECT ROUTINE_TYPE, ROUTINE_NAME, DEFINER, SECURITY_TYPE, ROUTINE_DEFINITION FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ? ORDER BY ROUTINE_TYPE, ROUTINE_NAME"},
	{"triggers", "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER, DEFINER, ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ? ORDER BY TRIGGER_NAME"},
	{"events", "SELECT EVENT_NAME, DEFINER, EVENT_DEFINITION FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ? ORDER BY EVENT_NAME"},
}

// compare returns in few words how what two servers hold of a database differs, "" where it doesn't: what it is made of, and of
// each table the number of rows and the checksum of all of them (reference manual 15.7.3.3). It tells no content.
func compare(ctx context.Context, from, to *end, name string) (difference string, err error) {
	for _, d := range definitions {
		a, err := from.texts(ctx, d.query, name)
		if err != nil {
			return "", err
		}
		b, err := to.texts(ctx, d.query, name)
		if err != nil {
			return "", err
		}
		if !slices.EqualFunc(a, b, slices.Equal[[]string]) {
			return fmt.Sprintf("other %s: %d rows tell of them there, %d here", d.what, len(a), len(b)), nil
		}
	}
	tables, err := from.texts(ctx, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_NAME", name)
	if err != nil {
		return "", err
	}
	for _, t := range tables {
		a, err := from.sums(ctx, name, t[0])
		if err != nil {
			return "", err
		}
		b, err := to.sums(ctx, name, t[0])
		if err != nil {
			return "", err
		}
		if a != b {
			return fmt.Sprintf("table %s: %s there, %s here", t[0], a, b), nil
		}
	}
	return "", nil
}

// sums returns the number of rows of a table and their checksum.
func (e *end) sums(ctx context.Context, name, table string) (string, error) {
	counted, err := e.texts(ctx, "SELECT COUNT(*) FROM "+qualified(name, table))
	if err != nil {
		return "", err
	}
	sum, err := e.texts(ctx, "CHECKSUM TABLE "+qualified(name, table)+" EXTENDED")
	if err != nil {
		return "", err
	}
	return strings.Join([]string{counted[0][0], "rows with checksum", sum[0][1]}, " "), nil
}
