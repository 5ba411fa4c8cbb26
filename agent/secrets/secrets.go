package secrets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"hostctl/executors"
	"hostctl/planner"
)

// Values are the values that come with the changes of a batch. Printed, it shows none.
type Values struct {
	of map[planner.Ref]map[string][]byte // by version: a batch may hold two changes of one secret
}

// Add notes the value that a change gives a secret.
func (v *Values) Add(s planner.Secret, value []byte) {
	if v.of == nil {
		v.of = map[planner.Ref]map[string][]byte{}
	}
	if v.of[s.Ref()] == nil {
		v.of[s.Ref()] = map[string][]byte{}
	}
	v.of[s.Ref()][s.Version()] = value
}

// String keeps the values out of whatever is printed.
func (v Values) String() string { return fmt.Sprintf("%d secrets", len(v.of)) }

// GoString keeps the values out of whatever is printed.
func (v Values) GoString() string { return v.String() }

type key struct{}

// With hands values to the executor that With's context reaches.
func With(ctx context.Context, v Values) context.Context { return context.WithValue(ctx, key{}, v) }

func valueOf(ctx context.Context, s planner.Secret) ([]byte, bool) {
	v, _ := ctx.Value(key{}).(Values)
	value, ok := v.of[s.Ref()][s.Version()]
	return value, ok
}

// Options say whose secrets they are.
type Options struct {
	Node   string // target of what is observed
	Folder *Folder
}

// Manager is the executor.
type Manager struct{ o Options }

// New returns the executor.
func New(o Options) *Manager { return &Manager{o: o} }

// Apply implements executors.Executor. The values are those of With.
func (m *Manager) Apply(ctx context.Context, cs []planner.Change) []error {
	errs := make([]error, len(cs))
	for i, c := range cs {
		if ctx.Err() != nil {
			errs[i] = executors.NotTried(ctx)
			continue
		}
		errs[i] = m.apply(ctx, c)
	}
	return errs
}

func (m *Manager) apply(ctx context.Context, c planner.Change) error {
	o := c.New
	if o == nil {
		o = c.Old
	}
	s, ok := o.(planner.Secret)
	if !ok {
		return executors.Errorf(executors.Refused, "%s: secrets are all that is applied here", c.Ref())
	}
	if err := m.check(s); err != nil {
		return executors.Errorf(executors.Refused, "%s: %w", c.Ref(), err)
	}
	if c.New == nil {
		return m.o.Folder.remove(s.Name)
	}
	value, ok := valueOf(ctx, s)
	switch {
	case !ok || len(value) == 0:
		return executors.Errorf(executors.Refused, "%s: it came without its value", c.Ref())
	case len(value) > Limit:
		return executors.Errorf(executors.Refused, "%s: the value has %d bytes; at most %d are allowed", c.Ref(), len(value), Limit)
	}
	return m.o.Folder.write(s, value)
}

func (m *Manager) check(s planner.Secret) error {
	if err := checkName(s.Name); err != nil {
		return err
	}
	tenant, _, _ := strings.Cut(s.Name, "/")
	if s.Target != m.o.Node || tenant != s.Tenant && (tenant != "-" || s.Tenant != "") {
		return fmt.Errorf("%q isn't the name of a secret of tenant %q of this node", s.Name, s.Tenant)
	}
	if (s.Cipher == "") == (s.Generated == "") || (s.Generated == "") != (s.Generation == 0) || s.Generation < 0 {
		return errors.New("a secret is either of a file or generated")
	}
	return nil
}

// Observe implements executors.Observer. A file that somebody has changed isn't one of them.
func (m *Manager) Observe(context.Context) ([]planner.Object, error) {
	var out []planner.Object
	root := m.o.Folder.path
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".new-") {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if s, ok := m.there(filepath.ToSlash(name)); ok {
			out = append(out, s)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	return out, nil
}

// there returns a secret that is whole and closed to others.
func (m *Manager) there(name string) (planner.Secret, bool) {
	s, _, err := m.o.Folder.read(name)
	if err != nil || s.Target != m.o.Node {
		return s, false
	}
	info, err := os.Lstat(m.o.Folder.file(name))
	return s, err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 == 0
}

// Present implements executors.Reader.
func (m *Manager) Present(_ context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	found := map[planner.Ref]planner.Object{}
	for _, ref := range refs {
		if ref.Kind != planner.KindSecret || ref.Target != m.o.Node || checkName(ref.Name) != nil {
			continue
		}
		if _, err := os.Lstat(m.o.Folder.file(ref.Name)); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		if s, ok := m.there(ref.Name); ok {
			found[ref] = s
		} else {
			found[ref] = executors.Altered{Is: ref, How: "a file that isn't what hostctl wrote for it"}
		}
	}
	return found, nil
}
