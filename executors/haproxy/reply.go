package haproxy

import (
	"encoding/csv"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"hostctl/planner"
)

// HAProxy's errors come as text on a socket call that itself succeeded, so every reply is read strictly: what isn't exactly
// of the form that the management guide (9.3) shows is an error.

// parseInfo reads `show info`: "Name: value" lines.
func parseInfo(reply string) (map[string]string, error) {
	info := map[string]string{}
	for line := range strings.SplitSeq(reply, "\n") {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("line %s: want name: value", quote(line))
		}
		info[name] = strings.TrimPrefix(value, " ")
	}
	if info["Name"] != "HAProxy" {
		return nil, fmt.Errorf("no line Name: HAProxy")
	}
	return info, nil
}

// entry is a line of a map.
type entry struct{ key, value string }

// parseMap reads `show map <map>`: "<address> <key> <value>" lines, keys possibly twice.
func parseMap(reply string) ([]entry, error) {
	if reply == "" {
		return nil, nil
	}
	entries := make([]entry, 0, strings.Count(reply, "\n")+1)
	for line := range strings.SplitSeq(reply, "\n") {
		address, rest, _ := strings.Cut(line, " ")
		key, value, ok := strings.Cut(rest, " ")
		if !ok || !strings.HasPrefix(address, "0x") || key == "" || value == "" {
			return nil, fmt.Errorf("line %s: want address, key and value", quote(line))
		}
		entries = append(entries, entry{key, value})
	}
	return entries, nil
}

// parseMapCount reads how many entries of all versions a map has out of `show map`, the list of maps. ok is false where
// the process has no map of that name.
func parseMapCount(reply, name string) (count int, ok bool, err error) {
	lines := strings.Split(reply, "\n")
	if !strings.HasPrefix(lines[0], "# id (file) description") {
		return 0, false, fmt.Errorf("line %s: want the list of maps", quote(lines[0]))
	}
	for _, line := range lines[1:] {
		_, rest, _ := strings.Cut(line, " ")
		if !strings.HasPrefix(rest, "("+name+") ") {
			continue
		}
		_, n, found := strings.Cut(rest, " entry_cnt=")
		if !found {
			return 0, false, fmt.Errorf("line %s: no entry_cnt", quote(line))
		}
		count, err = strconv.Atoi(n)
		return count, err == nil, err
	}
	return 0, false, nil
}

// parseGetMap reads `get map <map> <key>`.
func parseGetMap(reply string) (value string, found bool, err error) {
	fields := strings.Split(reply, ", ")
	if !strings.HasPrefix(fields[0], "type=") {
		return "", false, fmt.Errorf("%s: want type=…", quote(reply))
	}
	if slices.Contains(fields, "found=no") {
		return "", false, nil
	}
	for _, f := range fields {
		if v, ok := strings.CutPrefix(f, `value="`); ok && strings.HasSuffix(v, `"`) && slices.Contains(fields, "found=yes") {
			return strings.TrimSuffix(v, `"`), true, nil
		}
	}
	return "", false, fmt.Errorf("%s: neither found nor not found", quote(reply))
}

// unknownMap is HAProxy's answer where it has no map of that name: it runs the image's configuration still.
const unknownMap = "Unknown map identifier. Please use #<id> or <file>."

// Bits of srv_admin_state (management guide, "show servers state").
const (
	adminMaint = 0x01 | 0x02 | 0x20 | 0x40 // forced, inherited, name resolution, host name change; not 0x04: "disabled" in the configuration
	adminDrain = 0x08 | 0x10               // forced, inherited
)

// parseServers reads `show servers state`: the format's version, names of columns, a line for each server.
func parseServers(reply string) (map[string]server, error) {
	rows, err := serverRows(reply, "be_name", "srv_name", "srv_addr", "srv_port", "srv_admin_state")
	if err != nil {
		return nil, err
	}
	servers := map[string]server{}
	for _, f := range rows {
		s, err := parseServer(f[2], f[3], f[4])
		if err != nil {
			return nil, fmt.Errorf("server %s: %w", quote(f[0]+"/"+f[1]), err)
		}
		servers[f[0]+"/"+f[1]] = s
	}
	return servers, nil
}

// parseUp tells which servers are up, and so that one failed check won't take them out: their checks have passed.
func parseUp(reply string) (map[string]bool, error) {
	rows, err := serverRows(reply, "be_name", "srv_name", "srv_op_state", "srv_check_health")
	if err != nil {
		return nil, err
	}
	up := map[string]bool{}
	for _, f := range rows {
		const running = "2" // SRV_ST_RUNNING
		up[f[0]+"/"+f[1]] = f[2] == running && f[3] == fullHealth
	}
	return up, nil
}

// serverRows returns the named columns of `show servers state`, a row for each server.
func serverRows(reply string, names ...string) ([][]string, error) {
	lines := strings.Split(reply, "\n")
	if len(lines) < 2 || lines[0] != "1" || !strings.HasPrefix(lines[1], "# be_id ") {
		return nil, fmt.Errorf("%s: want servers state in version 1", quote(lines[0]))
	}
	columns := strings.Fields(lines[1])[1:]
	at := make([]int, len(names))
	for i, name := range names {
		if at[i] = slices.Index(columns, name); at[i] < 0 {
			return nil, fmt.Errorf("%s: the column %s is missing", quote(lines[1]), name)
		}
	}
	var rows [][]string
	for _, line := range lines[2:] {
		f := strings.Fields(line)
		if len(f) != len(columns) {
			return nil, fmt.Errorf("line %s: want %d columns", quote(line), len(columns))
		}
		row := make([]string, len(at))
		for i, j := range at {
			row[i] = f[j]
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func parseServer(addr, port, admin string) (server, error) {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return server{}, err
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return server{}, err
	}
	bits, err := strconv.ParseUint(admin, 10, 32)
	if err != nil {
		return server{}, err
	}
	s := server{address: netip.AddrPortFrom(a, uint16(p)).String(), state: planner.ServerReady}
	switch {
	case bits&adminMaint != 0:
		s.state = planner.ServerMaint
	case bits&adminDrain != 0:
		s.state = planner.ServerDrain
	}
	return s, nil
}

// parseBalances reads the algorithm of each backend out of `show stat -1 2 -1`, CSV with names of columns.
func parseBalances(reply string) (map[string]string, error) {
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(reply, "# "))).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("no names of columns")
	}
	name, kind, algo := slices.Index(rows[0], "pxname"), slices.Index(rows[0], "svname"), slices.Index(rows[0], "algo")
	if min(name, kind, algo) < 0 {
		return nil, fmt.Errorf("a column is missing")
	}
	balances := map[string]string{}
	for _, r := range rows[1:] {
		if r[kind] == "BACKEND" {
			balances[r[name]] = r[algo]
		}
	}
	return balances, nil
}
