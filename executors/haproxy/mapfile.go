package haproxy

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	// instanceKey is an entry of the map that names the inventory it belongs to. The name can't be a site's (RFC 6761 6.4).
	instanceKey    = "instance" + reservedSuffix
	reservedSuffix = ".hostctl.invalid"
)

// table is the map of host names: name -> backend, and instanceKey -> instance.
type table map[string]string

// parseTable reads a map file as strictly as we write it: HAProxy itself takes a second entry of a key, a carriage return
// or a byte order mark for part of the content.
func parseTable(b []byte) (table, error) {
	t := make(table, bytes.Count(b, []byte{'\n'}))
	rest := string(b)
	for n := 1; rest != ""; n++ {
		line, tail, ended := strings.Cut(rest, "\n")
		key, value, ok := strings.Cut(line, " ")
		switch {
		case !ended:
			return nil, fmt.Errorf("line %d: it has no end", n)
		case !ok || !isWord(key) || !isWord(value):
			return nil, fmt.Errorf("line %d: %s: want a name, a space and a backend", n, quote(line))
		case t[key] != "":
			return nil, fmt.Errorf("line %d: %s stands there twice", n, quote(key))
		}
		t[key] = value
		rest = tail
	}
	return t, nil
}

// bytes returns the table as a map file, sorted by name.
func (t table) bytes() []byte {
	var b bytes.Buffer
	for _, k := range slices.Sorted(maps.Keys(t)) {
		b.WriteString(k)
		b.WriteByte(' ')
		b.WriteString(t[k])
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// tableOf makes a table of a running map's entries; ok is false where a key stands there twice.
func tableOf(entries []entry) (t table, ok bool) {
	t = make(table, len(entries))
	for _, e := range entries {
		t[e.key] = e.value
	}
	return t, len(t) == len(entries)
}
