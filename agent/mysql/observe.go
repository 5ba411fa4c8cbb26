package mysql

import (
	"context"
	"slices"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// Observe implements executors.Observer: what was applied, as it is there now.
func (m *Manager) Observe(ctx context.Context) ([]planner.Object, error) {
	s, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	var out []planner.Object
	for _, kind := range []planner.Kind{planner.KindDatabase, planner.KindDatabaseUser} {
		for _, name := range sortedKeys(s.records[kind]) {
			o, err := m.seen(s, s.records[kind][name])
			if err != nil {
				return nil, err
			}
			if o != nil {
				out = append(out, o)
			}
		}
	}
	return out, nil
}

// Present implements executors.Reader. What there is of all is read in as many queries as what there is of one.
func (m *Manager) Present(ctx context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	s, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	found := map[planner.Ref]planner.Object{}
	for _, ref := range refs {
		record := s.records[ref.Kind][ref.Name]
		if record == nil || ref.Target != m.o.Target {
			continue
		}
		o, err := m.seen(s, record)
		if err != nil {
			return nil, err
		}
		u, _ := o.(planner.DatabaseUser)
		switch {
		case s.copying[ref.Name] && ref.Kind == planner.KindDatabase:
			o = executors.Altered{Is: ref, How: "a copy that isn't whole"}
		case u.Privileges == altered:
			o = executors.Altered{Is: ref, How: "an account with other privileges than were given to it"}
		case u.Password.Version == alteredPassword:
			o = executors.Altered{Is: ref, How: "an account with another password than was given to it"}
		}
		if o != nil {
			found[ref] = o
		}
	}
	return found, nil
}

// altered stands for privileges that are no preset, or aren't the same for all accounts of a user.
const altered schema.Privileges = "altered"

// alteredPassword stands for the version of a password that isn't the one that was applied.
const alteredPassword = "altered"

// seen returns what is there in place of what was applied, nil for nothing.
func (m *Manager) seen(s *server, record planner.Object) (planner.Object, error) {
	switch o := record.(type) {
	case planner.Database:
		e, ok := s.schemas[o.Schema]
		if !ok {
			return nil, nil
		}
		o.Target, o.Charset, o.Collation = m.o.Target, e.charset, e.collation
		switch moves := o.MovedTo != "" || o.Source != nil; {
		case s.copying[o.Name]:
			return nil, nil
		case moves && !o.Kept && !s.readOnly[o.Schema]:
			o.MovedTo = string(altered)
		}
		return o, nil
	case planner.DatabaseUser:
		o.Target = m.o.Target
		if o.Password == (planner.Held{}) {
			return seenUser(s.accounts[o.Account], o), nil
		}
		accounts, err := m.proved(s.accounts[o.Account], o.Password)
		if err != nil {
			return nil, err
		}
		u, ok := seenUser(accounts, o).(planner.DatabaseUser)
		if !ok {
			return nil, nil
		}
		if u.PasswordHash != "" {
			u.PasswordHash, u.Password.Version = "", alteredPassword
		}
		return u, nil
	}
	return nil, nil
}

// seenUser joins the accounts of a user to one.
func seenUser(accounts map[string]access, o planner.DatabaseUser) planner.Object {
	if len(accounts) == 0 {
		return nil
	}
	o.Hosts = nil
	for i, host := range sortedKeys(accounts) {
		a := accounts[host]
		o.Hosts = append(o.Hosts, cidrOf(host))
		own := access{plugin: sha2, tls: true, hash: o.PasswordHash, limits: o.Limits, locked: o.Locked, schema: o.Schema, privileges: privileges[o.Privileges]}
		if i == 0 {
			o.PasswordHash, o.Limits, o.Locked, o.Schema, o.Privileges = a.hash, a.limits, a.locked, a.schema, a.preset()
			own = a
		}
		o.Retains = o.Retains || a.second
		if a.extra || a.preset() == "" || a.plugin != sha2 || !a.tls || !a.like(own) {
			o.Privileges = altered
		}
	}
	slices.Sort(o.Hosts)
	return o
}

// like reports whether two accounts are the same but for where they come from.
func (a access) like(b access) bool {
	return a.hash == b.hash && a.limits == b.limits && a.locked == b.locked && a.schema == b.schema && a.preset() == b.preset()
}
