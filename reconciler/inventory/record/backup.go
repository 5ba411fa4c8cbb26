package record

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// A backup is lines of JSON, so that it moves between stores and can be read: the first says what it is, then comes a
// line for each row, and the last one counts them, so that what was cut off is refused.

// backupFormat is the version of backups that this program writes, and the newest that it reads.
const backupFormat = 1

// Table is a table of the inventory, and its columns as far as a backup has them.
type Table struct {
	Name    string
	Columns []string
	ByRun   string // column with the number of a run: of these tables only the rows of the last runs are kept
}

// RunsKept is how many runs a backup holds, with their plans and journals.
const RunsKept = 100

// Tables are the tables of a backup, in the order in which they are written.
var Tables = []Table{
	{Name: "meta", Columns: []string{"one", "instance", "version", "applied"}},
	{Name: "objects", Columns: []string{
		"ref", "kind", "target", "name", "tenant", "owner_kind", "owner_name", "file", "line", "content", "hash", "pending", "pending_hash",
		"version", "revision", "commit_id", "dirty", "gone", "started", "finished", "error",
	}},
	{Name: "allocations", Columns: []string{"scope", "key", "value", "run"}},
	{Name: "targets", Columns: []string{"name", "body"}},
	{Name: "images", Columns: []string{"tag", "id"}},
	{Name: "down_nodes", Columns: []string{"node", "reason"}},
	{Name: "remembered", Columns: []string{"one", "body"}},
	{Name: "kept", Columns: []string{"ref", "since"}},
	{Name: "secrets", Columns: []string{"tenant", "name", "generation", "sealed", "made", "shown"}},
	{Name: "runs", ByRun: "id", Columns: []string{
		"id", "commit_id", "plan", "holder", "state", "message", "changes", "done", "failed", "started", "deadline", "finished",
	}},
	{Name: "changes", ByRun: "run", Columns: []string{"run", "id", "ref", "action", "state", "error", "started", "finished", "tenant"}},
	{Name: "plans", Columns: []string{"hash", "commit_id", "created", "body"}},
}

// backupLine is any line of a backup.
type backupLine struct {
	Hostctl string         `json:"hostctl,omitempty"` // of the first line: "inventory"
	Format  int            `json:"format,omitempty"`
	Table   string         `json:"table,omitempty"`
	Row     map[string]any `json:"row,omitempty"`
	Rows    *int           `json:"rows,omitempty"` // of the last line: how many there were
}

// BackupWriter writes a backup.
type BackupWriter struct {
	out  *json.Encoder
	rows int
}

// Row writes a row of a table: the values of its columns, each an int64 or a string.
func (w *BackupWriter) Row(t Table, values []any) error {
	row := make(map[string]any, len(values))
	for i, c := range t.Columns {
		row[c] = values[i]
	}
	w.rows++
	return w.out.Encode(backupLine{Table: t.Name, Row: row})
}

// WriteBackup makes a file that must not exist, which only its owner may read, and has rows write the rows. The file is
// on disk when it returns; where it fails there is none.
func WriteBackup(file string, rows func(*BackupWriter) error) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("back up inventory: %s is there already; name another file", file)
	}
	if err != nil {
		return fmt.Errorf("back up inventory: %w", err)
	}
	err = writeBackup(f, rows)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("back up inventory: %w", err), os.Remove(file))
	}
	return nil
}

func writeBackup(f *os.File, rows func(*BackupWriter) error) error {
	buffered := bufio.NewWriterSize(f, 1<<20)
	w := &BackupWriter{out: json.NewEncoder(buffered)}
	w.out.SetEscapeHTML(false)
	if err := w.out.Encode(backupLine{Hostctl: "inventory", Format: backupFormat}); err != nil {
		return err
	}
	if err := rows(w); err != nil {
		return err
	}
	if err := w.out.Encode(backupLine{Rows: &w.rows}); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return f.Sync()
}

// ReadBackup passes each row of a backup: the columns that it has and their values, each an int64 or a string. It fails
// where the backup is of a newer version, damaged or cut off: what was passed must not be kept then.
func ReadBackup(r io.Reader, row func(t Table, columns []string, values []any) error) error {
	d := json.NewDecoder(bufio.NewReaderSize(r, 1<<20))
	d.UseNumber()
	var first backupLine
	if err := d.Decode(&first); err != nil || first.Hostctl != "inventory" {
		return errors.New("this is no backup of an inventory; 'hostctl inventory backup' writes one")
	}
	if first.Format > backupFormat {
		return fmt.Errorf("the backup has format %d and this program reads up to %d; use the hostctl that wrote it", first.Format, backupFormat)
	}
	for n := 0; ; n++ {
		var line backupLine
		if err := d.Decode(&line); err != nil {
			return fmt.Errorf("after row %d: %w: the backup is damaged or was cut off", n, err)
		}
		if line.Rows != nil {
			if *line.Rows != n {
				return fmt.Errorf("the backup says that it has %d rows, and there are %d: it was changed", *line.Rows, n)
			}
			return nil
		}
		if err := line.pass(row); err != nil {
			return fmt.Errorf("row %d: %w", n+1, err)
		}
	}
}

func (l backupLine) pass(row func(Table, []string, []any) error) error {
	i := slices.IndexFunc(Tables, func(t Table) bool { return t.Name == l.Table })
	if i < 0 {
		return fmt.Errorf("there is no table %q", l.Table)
	}
	var columns []string
	var values []any
	for _, c := range Tables[i].Columns {
		v, ok := l.Row[c]
		if !ok {
			continue // the backup is from before there was such a column
		}
		if n, ok := v.(json.Number); ok {
			whole, err := n.Int64()
			if err != nil {
				return fmt.Errorf("%s.%s: %w", l.Table, c, err)
			}
			v = whole
		}
		columns, values = append(columns, c), append(values, v)
	}
	if len(columns) != len(l.Row) {
		return fmt.Errorf("table %s has columns that this program doesn't know: a newer hostctl wrote the backup; use that one", l.Table)
	}
	return row(Tables[i], columns, values)
}
