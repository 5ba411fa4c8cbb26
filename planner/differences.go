package planner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hostctl/schema"
)

// Differences returns what an update or a replacement changes, a line for each field: `memory: 1 → 2`, and for lists and
// maps what comes and what goes. Control characters aren't in it.
func Differences(c Change) []string {
	if c.Old == nil || c.New == nil {
		return nil
	}
	var lines []string
	differ("", fields(c.Old), fields(c.New), &lines)
	return lines
}

// fields returns an object's content as JSON values. Numbers stay as they are written.
func fields(o Object) map[string]any {
	d := json.NewDecoder(bytes.NewReader(content(o)))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		panic("planner: an object that isn't a JSON object: " + err.Error())
	}
	return m
}

// differ compares two JSON objects key by key.
func differ(path string, old, now map[string]any, lines *[]string) {
	keys := slices.Collect(maps.Keys(old))
	for k := range now {
		if _, both := old[k]; !both {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		differValue(strings.TrimPrefix(path+"."+printable(k), "."), old[k], now[k], lines)
	}
}

func differValue(path string, a, b any, lines *[]string) {
	ma, aIsMap := a.(map[string]any)
	mb, bIsMap := b.(map[string]any)
	la, aIsList := a.([]any)
	lb, bIsList := b.([]any)
	switch {
	case path == "copyOf":
		if x, y := show(ma["shard"]), show(mb["shard"]); x != y {
			*lines = append(*lines, fmt.Sprintf("%s: %s → %s", path, x, y))
		}
	case path == "chain":
		if a != b {
			*lines = append(*lines, path+": another")
		}
	case path == "passwordHash" || strings.HasSuffix(path, ".passwordHash"):
		if a != b {
			*lines = append(*lines, path+": another") // nobody compares it by eye, and it is as good as a short password
		}
	case (aIsMap || a == nil) && (bIsMap || b == nil) && (aIsMap || bIsMap):
		differ(path, ma, mb, lines)
	case (aIsList || a == nil) && (bIsList || b == nil) && (aIsList || bIsList):
		differList(path, la, lb, lines)
	case show(a) != show(b):
		*lines = append(*lines, fmt.Sprintf("%s: %s → %s", path, show(a), show(b)))
	}
}

// maxItems is how many items of a list are shown.
const maxItems = 8

func differList(path string, a, b []any, lines *[]string) {
	old, now := showAll(a), showAll(b)
	if path == "keys" {
		old, now = keyNames(a), keyNames(b)
	}
	var parts []string
	for _, v := range now {
		if !slices.Contains(old, v) {
			parts = append(parts, "+"+v)
		}
	}
	for _, v := range old {
		if !slices.Contains(now, v) {
			parts = append(parts, "-"+v)
		}
	}
	if len(parts) > maxItems {
		parts = append(parts[:maxItems], fmt.Sprintf("and %d more", len(parts)-maxItems))
	}
	switch {
	case len(parts) > 0:
		*lines = append(*lines, fmt.Sprintf("%s: %s", path, strings.Join(parts, " ")))
	case !slices.Equal(old, now):
		*lines = append(*lines, path+": in another order")
	}
}

// keyNames shows public keys by their fingerprints; what isn't one, as it is.
func keyNames(values []any) []string {
	out := showAll(values)
	for i, v := range values {
		if line, ok := v.(string); ok && schema.SSHKeyName(line) != "" {
			out[i] = show(schema.SSHKeyName(line))
		}
	}
	return out
}

func showAll(values []any) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = show(v)
	}
	return out
}

// show writes one value in one line. Strings that could be mistaken for something else are quoted.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case string:
		if v == "" || strings.ContainsAny(v, " \"'→+~±,\n\t") {
			return printable(fmt.Sprintf("%q", v))
		}
		return printable(v)
	case json.Number:
		return v.String()
	case bool:
		return fmt.Sprint(v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return printable(string(b))
}
