package haproxy

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"

	"hostctl/executors"
	"hostctl/planner"
)

// The section of a file that is ours. HAProxy takes a line that begins with # for a comment, in maps and in lists of certificates
// (configuration manual 7.3.1 and 5.1).
const (
	sectionBegin = "# hostctl "
	sectionText  = ": from here to the end all is generated, and read back. Changes made here by hand are lost."
	sectionEnd   = "# hostctl end"
)

// part is a file that others write too: their lines, and those of our section.
type part struct {
	others, ours []string
	first        int // number of the first line of ours
}

// parsePart takes a file apart. A section of another inventory is an error: two of them would share what they have.
func parsePart(text, instance string) (part, error) {
	var p part
	within, seen := false, false
	for n, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		fail := func(format string, args ...any) (part, error) {
			return part{}, fmt.Errorf("line %d: %w", n+1, fmt.Errorf(format, args...))
		}
		owner, begins := strings.CutSuffix(line, sectionText)
		owner, ours := strings.CutPrefix(owner, sectionBegin)
		switch {
		case begins && ours && seen:
			return fail("hostctl's section begins twice; keep one")
		case begins && ours && owner != instance:
			return fail("it belongs to the inventory %s, not to %s; give this one a file of its own", quote(owner), instance)
		case begins && ours:
			within, seen, p.first = true, true, n+2
		case within && line == sectionEnd:
			within = false
		case within:
			p.ours = append(p.ours, line)
		case line == sectionEnd:
			return fail("hostctl's section ends, and hasn't begun; take its lines out")
		case n > 0 || line != "" || text != "":
			p.others = append(p.others, line)
		}
	}
	if within {
		return part{}, fmt.Errorf("hostctl's section has no end; put the line %q after its last line", sectionEnd)
	}
	return p, nil
}

// each reads the lines of our section.
func (p part) each(read func(line string) error) error {
	for i, line := range p.ours {
		if err := read(line); err != nil {
			return fmt.Errorf("line %d: %w", p.first+i, err)
		}
	}
	return nil
}

// bytes returns the file: others' lines, but for those that drop says, then ours, if there are any.
func (p part) bytes(instance, ours string, drop func(line string) bool) []byte {
	var b strings.Builder
	for _, line := range p.others {
		if !drop(line) {
			b.WriteString(line + "\n")
		}
	}
	if ours != "" {
		b.WriteString(sectionBegin + instance + sectionText + "\n" + ours + sectionEnd + "\n")
	}
	return []byte(b.String())
}

// shared are the files that others write too.
type shared struct {
	hosts, rules, list part
	theirs             map[string][]string // where others' lines of the map lead, by name
	theirRules         map[string][]string // what others' lines of the rules say, by name
	theirCerts         map[string]bool     // names that others' lines of the list are for
	taken              map[string]bool     // names whose lines in the maps become ours
	ours               model
}

// with returns the files with something else in our sections.
func (s shared) with(ours model) shared {
	s.ours = ours
	return s
}

// has reports whether an object is ours.
func (s shared) has(ref planner.Ref) (ok bool) {
	switch ref.Kind {
	case planner.KindBackend:
		_, ok = s.ours.backends[ref.Name]
	case planner.KindServer:
		_, ok = s.ours.servers[ref.Name]
	case planner.KindRoute:
		_, ok = s.ours.routes[ref.Name]
	case planner.KindCert:
		_, ok = s.ours.certs[ref.Name]
	default:
		ok = true // it is refused for what it is
	}
	return ok
}

// lineOf reads a line of a map: the name that it leads elsewhere, and where; "" if it is a comment.
func lineOf(line string) (name, value string) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", ""
	}
	name = strings.Fields(line)[0]
	return name, strings.TrimSpace(line[len(name):])
}

func linesOf(others []string) map[string][]string {
	all := map[string][]string{}
	for _, line := range others {
		if name, value := lineOf(line); name != "" {
			all[name] = append(all[name], value)
		}
	}
	return all
}

// parseShared reads the map's file: others' lines however they are, and our section as strictly as it was written.
func parseShared(text, instance string) (shared, error) {
	p, err := parsePart(text, instance)
	if err != nil {
		return shared{}, err
	}
	s := shared{hosts: p, theirs: linesOf(p.others), taken: map[string]bool{}}
	s.ours = model{backends: map[string]string{}, servers: map[string]server{}, routes: table{}, certs: certs{}}
	return s, p.each(s.ours.readOwn)
}

// readRules reads the file of the rules, after the map's.
func (s *shared) readRules(text, instance string) (err error) {
	if s.rules, err = parsePart(text, instance); err != nil {
		return err
	}
	s.theirRules = linesOf(s.rules.others)
	seen := map[string]bool{}
	return s.rules.each(func(line string) error {
		host, value, _ := strings.Cut(line, " ")
		if _, err := parseRoute(value); err != nil || !strings.Contains(value, "|") || seen[host] {
			return notWritten(line)
		}
		seen[host] = true
		s.ours.routes[host] = value
		return checkHost(host)
	})
}

// readList reads the file of the list of certificates, whose files and names o has.
func (s *shared) readList(text, instance string, o Options) (err error) {
	if s.list, err = parsePart(text, instance); err != nil {
		return err
	}
	s.theirCerts = map[string]bool{}
	for _, line := range s.list.others {
		if file, _ := lineOf(line); file != "" {
			noteNames(s.theirCerts, line)
		}
	}
	return s.list.each(func(line string) error {
		_, host, _ := strings.Cut(line, " ")
		if _, twice := s.ours.certs[host]; twice || checkHost(host) != nil || line != o.certFile(host)+" "+host {
			return notWritten(line)
		}
		s.ours.certs[host] = nil
		return nil
	})
}

// noteNames notes the names that an entry of a list is for: after its file and its options in brackets (configuration manual
// 5.1, crt-list).
func noteNames(names map[string]bool, entry string) {
	if from, to := strings.IndexByte(entry, '['), strings.LastIndexByte(entry, ']'); from >= 0 && from < to {
		entry = entry[:from] + " " + entry[to+1:]
	}
	for i, name := range strings.Fields(entry) {
		if i > 0 {
			names[strings.ToLower(name)] = true
		}
	}
}

func notWritten(line string) error {
	return executors.Errorf(executors.Conflict, "%s isn't a line that hostctl wrote", quote(line))
}

// readOwn reads a line of our section.
func (m model) readOwn(line string) error {
	f := strings.Split(line, " ")
	switch {
	case len(f) == 3 && f[0] == "#" && f[1] == "backend":
		m.backends[f[2]] = balanceHost
		return checkBackend("backend", f[2])
	case len(f) == 5 && f[0] == "#" && f[1] == "server":
		backend, node, _ := strings.Cut(f[2], "/")
		m.servers[f[2]] = server{f[3], planner.ServerState(f[4])}
		return checkServer(planner.Server{Meta: planner.Meta{Name: f[2]}, Backend: backend, Node: node, Address: f[3], State: planner.ServerState(f[4])})
	case len(f) == 2 && m.routes[f[0]] == "":
		m.routes[f[0]] = f[1]
		if err := checkHost(f[0]); err != nil {
			return err
		}
		return checkBackend("backend", f[1])
	}
	return notWritten(line)
}

// bytes returns the map's file.
func (s shared) bytes(instance string) []byte {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.ours.backends)) {
		b.WriteString("# backend " + name + "\n")
	}
	for _, name := range slices.Sorted(maps.Keys(s.ours.servers)) {
		fmt.Fprintf(&b, "# server %s %s %s\n", name, s.ours.servers[name].address, s.ours.servers[name].state)
	}
	for _, host := range slices.Sorted(maps.Keys(s.ours.routes)) {
		if backend := backendOf(s.ours.routes[host]); backend != "" {
			b.WriteString(host + " " + backend + "\n")
		}
	}
	return s.hosts.bytes(instance, b.String(), s.isTaken)
}

// rulesBytes returns the file of the rules.
func (s shared) rulesBytes(instance string) []byte {
	var b strings.Builder
	for _, host := range slices.Sorted(maps.Keys(s.ours.routes)) {
		if rule := ruleOf(s.ours.routes[host]); rule != "" {
			b.WriteString(host + " " + rule + "\n")
		}
	}
	return s.rules.bytes(instance, b.String(), s.isTaken)
}

// listBytes returns the file of the list of certificates.
func (s shared) listBytes(instance string, o Options) []byte {
	return s.list.bytes(instance, string(s.ours.certs.list(o)), func(string) bool { return false })
}

// isTaken reports whether a line of a map was others' and becomes ours.
func (s shared) isTaken(line string) bool {
	name, _ := lineOf(line)
	return s.taken[name]
}

// ruleOf is what the rules say of a host name, "" where the map says all of it.
func ruleOf(value string) string {
	if !strings.Contains(value, "|") {
		return ""
	}
	return value
}

// likeBefore gives a file the owner of the one that it replaces, where that is another.
func likeBefore(next string, info fs.FileInfo) error {
	was, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(was.Uid) == os.Geteuid() && int(was.Gid) == os.Getegid() {
		return nil
	}
	return os.Lchown(next, int(was.Uid), int(was.Gid))
}
