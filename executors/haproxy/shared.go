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

// The section of a map's file that is ours. HAProxy takes a line that begins with # for a comment (configuration manual
// 7.3.1, map files).
const (
	sectionBegin = "# hostctl "
	sectionText  = ": from here to the end all is generated, and read back. Changes made here by hand are lost."
	sectionEnd   = "# hostctl end"
)

// shared is a map's file that others write too.
type shared struct {
	others []string            // their lines, as they are
	theirs map[string][]string // where these lead, by name
	taken  map[string]bool     // names whose lines become ours
	ours   model               // backends, servers and routes
}

// with returns the file with something else in our section.
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

// parseShared reads a map's file: others' lines however they are, and our section as strictly as it was written. A section
// of another inventory is an error: two of them would share what they have in a backend.
func parseShared(text, instance string) (shared, error) {
	s := shared{theirs: map[string][]string{}, taken: map[string]bool{}, ours: model{backends: map[string]string{}, servers: map[string]server{}, routes: table{}}}
	within, seen := false, false
	for n, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		fail := func(format string, args ...any) (shared, error) {
			return shared{}, fmt.Errorf("line %d: %w", n+1, fmt.Errorf(format, args...))
		}
		owner, begins := strings.CutSuffix(line, sectionText)
		owner, ours := strings.CutPrefix(owner, sectionBegin)
		switch {
		case begins && ours && seen:
			return fail("hostctl's section begins twice; keep one")
		case begins && ours && owner != instance:
			return fail("it belongs to the inventory %s, not to %s; give this one a map file of its own", quote(owner), instance)
		case begins && ours:
			within, seen = true, true
		case within && line == sectionEnd:
			within = false
		case within:
			if err := s.ours.readOwn(line); err != nil {
				return fail("%w", err)
			}
		case line == sectionEnd:
			return fail("hostctl's section ends, and hasn't begun; take its lines out")
		case n > 0 || line != "" || text != "":
			s.others = append(s.others, line)
			if name, value := lineOf(line); name != "" {
				s.theirs[name] = append(s.theirs[name], value)
			}
		}
	}
	if within {
		return shared{}, fmt.Errorf("hostctl's section has no end; put the line %q after its last line", sectionEnd)
	}
	return s, nil
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
	return executors.Errorf(executors.Conflict, "%s isn't a line that hostctl wrote", quote(line))
}

// bytes returns the file: others' lines, then ours, if there are any.
func (s shared) bytes(instance string) []byte {
	var b strings.Builder
	for _, line := range s.others {
		if name, _ := lineOf(line); !s.taken[name] {
			b.WriteString(line + "\n")
		}
	}
	if len(s.ours.backends)+len(s.ours.servers)+len(s.ours.routes) == 0 {
		return []byte(b.String())
	}
	b.WriteString(sectionBegin + instance + sectionText + "\n")
	for _, name := range slices.Sorted(maps.Keys(s.ours.backends)) {
		b.WriteString("# backend " + name + "\n")
	}
	for _, name := range slices.Sorted(maps.Keys(s.ours.servers)) {
		fmt.Fprintf(&b, "# server %s %s %s\n", name, s.ours.servers[name].address, s.ours.servers[name].state)
	}
	b.Write(s.ours.routes.bytes())
	b.WriteString(sectionEnd + "\n")
	return []byte(b.String())
}

// likeBefore gives a file the owner of the one that it replaces, where that is another.
func likeBefore(next string, info fs.FileInfo) error {
	was, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(was.Uid) == os.Geteuid() && int(was.Gid) == os.Getegid() {
		return nil
	}
	return os.Lchown(next, int(was.Uid), int(was.Gid))
}
