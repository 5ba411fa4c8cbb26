package record_test

import (
	"bytes"
	"testing"

	"hostctl/reconciler/inventory/record"
)

// FuzzBackup: a backup is read row by row, with as many values as columns, or refused.
func FuzzBackup(f *testing.F) {
	for _, s := range []string{
		`{"hostctl":"inventory","format":1}` + "\n" + `{"rows":0}`,
		`{"hostctl":"inventory","format":1}` + "\n" + `{"table":"down_nodes","row":{"node":"web-1-0","reason":"x"}}` + "\n" + `{"rows":1}`,
		`{"hostctl":"inventory","format":99}`, `{}`, "", `{"hostctl":"inventory","format":1}`, `{"hostctl":"inventory","format":1}{"rows":-1}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rows := 0
		err := record.ReadBackup(bytes.NewReader(b), func(_ record.Table, columns []string, values []any) error {
			if rows++; len(columns) != len(values) {
				t.Fatalf("%d columns, %d values", len(columns), len(values))
			}
			return nil
		})
		if err == nil && !bytes.Contains(b, []byte("inventory")) {
			t.Fatalf("%q is a backup", b)
		}
	})
}
