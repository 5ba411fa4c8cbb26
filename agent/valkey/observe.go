package valkey

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// altered stands for a policy, or rules, that somebody else has set.
const altered = "altered"

// Observe implements executors.Observer: what was applied, as it is there now. An instance that doesn't answer isn't there.
func (m *Manager) Observe(ctx context.Context) ([]planner.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	have, err := m.records()
	if err != nil {
		return nil, err
	}
	var out []planner.Object
	for _, name := range sortedKeys(have.instances) {
		seen, err := m.seen(ctx, have, have.instances[name])
		if err != nil {
			return nil, err
		}
		out = append(out, seen...)
	}
	return out, nil
}

// Present implements executors.Reader: what Observe shows; of an instance that doesn't run, what its files say.
func (m *Manager) Present(ctx context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	have, err := m.records()
	if err != nil {
		return nil, err
	}
	asked, of := map[planner.Ref]bool{}, map[string]bool{}
	for _, ref := range refs {
		asked[ref] = true
		if u, ok := have.users[ref.Name]; ok && ref.Kind == planner.KindValkeyUser {
			of[instanceOf(u.ValkeyUser)] = true
		} else if ref.Kind == planner.KindValkey {
			of[ref.Name] = true
		}
	}
	found := map[planner.Ref]planner.Object{}
	for _, name := range sortedKeys(of) {
		o, known := have.instances[name]
		if !known {
			continue
		}
		if ref := o.Ref(); m.isHalf(o) && asked[ref] {
			found[ref] = executors.Altered{Is: ref, How: "a copy that isn't whole"}
			continue
		}
		seen, err := m.seen(ctx, have, o)
		if err != nil {
			return nil, err
		}
		if len(seen) == 0 {
			seen = m.stored(have, o)
		}
		for _, o := range seen {
			if asked[o.Ref()] {
				found[o.Ref()] = shown(o)
			}
		}
	}
	return found, nil
}

// shown is an object, or that it isn't as it was made.
func shown(o planner.Object) planner.Object {
	switch o := o.(type) {
	case planner.Valkey:
		if o.Policy == altered || o.Persistence == altered {
			return executors.Altered{Is: o.Ref(), How: "an instance with other settings or users than were given to it"}
		}
	case planner.ValkeyUser:
		if len(o.Commands) == 1 && o.Commands[0] == altered {
			return executors.Altered{Is: o.Ref(), How: "a user with other rights, or another password, than were given to it"}
		}
	}
	return o
}

// seen returns an instance and its users as they are; nothing where it doesn't answer.
func (m *Manager) seen(ctx context.Context, have *records, o planner.Valkey) ([]planner.Object, error) {
	o.Target = m.o.Target
	if _, err := os.Lstat(m.data(o.Name)); errors.Is(err, fs.ErrNotExist) || err == nil && m.isHalf(o) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	state, err := m.o.Scan.State(ctx, service(o.Name))
	if err != nil {
		return nil, err
	}
	if !state.Up {
		if o.Kept {
			return []planner.Object{o}, nil
		}
		return nil, nil
	}
	o.Kept = false
	c, err := m.open(ctx, o.Name)
	if err != nil {
		return nil, ctx.Err()
	}
	defer func() { _ = c.Close() }()
	live, err := m.live(ctx, c, o)
	if err != nil {
		return nil, ctx.Err()
	}
	admitted, err := admitted(ctx, c)
	if err != nil {
		return nil, ctx.Err()
	}
	password, err := m.password(o.Name)
	if err != nil {
		return nil, err
	}
	return m.compared(o, live, admitted, password, have.of(o.Name)), nil
}

// compared returns what is live in place of what was applied.
func (m *Manager) compared(o planner.Valkey, live map[string]string, admitted map[string]bool, password string, users []user) []planner.Object {
	now := o
	now.MaxMemory, _ = strconv.ParseInt(live["maxmemory"], 10, 64)
	now.Policy, now.Persistence = schema.EvictionPolicy(live["maxmemory-policy"]), persistenceOf(live["save"], live["appendonly"])
	for _, s := range m.settings(now) {
		if !unread[s[0]] && live[s[0]] != s[1] {
			now.Policy = altered
		}
	}
	if !m.stands(o, password, users) {
		now.Policy = altered
	}
	for _, line := range aclLines(password, nil) {
		if !admitted[line] {
			now.Policy = altered
		}
	}
	var out []planner.Object
	for _, u := range users {
		if o, ok := m.admitted(u, admitted); ok {
			out = append(out, o)
		}
	}
	if len(admitted) > len(out)+len(aclLines(password, nil)) {
		now.Policy = altered // somebody is let in whom nobody has declared
	}
	return append(out, now)
}

// admitted returns a user as an instance has it, and whether it has it at all.
func (m *Manager) admitted(u user, lines map[string]bool) (planner.ValkeyUser, bool) {
	o := u.ValkeyUser
	o.Target = m.o.Target
	if lines[aclLine(u)] {
		return o, true
	}
	for line := range lines {
		if strings.HasPrefix(line, "user "+u.User+" ") {
			o.Commands = []string{altered}
			return o, true
		}
	}
	return o, false
}

func persistenceOf(save, appendOnly string) schema.Persistence {
	switch {
	case appendOnly == "yes" && save == "":
		return schema.PersistAOF
	case appendOnly == "no" && save == snapshots:
		return schema.PersistRDB
	case appendOnly == "no" && save == "":
		return schema.PersistNone
	}
	return altered
}

// stands reports whether the files of an instance are what its next start is to read, the node's certificate among them.
func (m *Manager) stands(o planner.Valkey, password string, users []user) bool {
	conf, err := readIfThere(m.conf(o.Name))
	if err != nil || conf != m.configuration(o) {
		return false
	}
	acl, err := readIfThere(m.acl(o.Name))
	if err != nil || acl != aclFile(password, users) {
		return false
	}
	for _, name := range []string{caFile, certFile, keyFile} {
		a, errA := readIfThere(filepath.Join(m.o.TLS, name))
		b, errB := readIfThere(filepath.Join(m.run(o.Name), name))
		if errA != nil || errB != nil || a != b {
			return false
		}
	}
	return true
}

// stored returns what the files of an instance that doesn't answer say of it and its users.
func (m *Manager) stored(have *records, o planner.Valkey) []planner.Object {
	o.Target = m.o.Target
	if _, err := os.Lstat(m.data(o.Name)); err != nil {
		return nil
	}
	out := []planner.Object{o}
	for _, u := range have.of(o.Name) {
		u.Target = m.o.Target
		out = append(out, u.ValkeyUser)
	}
	return out
}
