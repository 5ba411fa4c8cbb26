package valkey

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hostctl/planner"
)

// records are what was last applied under each name.
type records struct {
	instances map[string]planner.Valkey
	users     map[string]user
}

// user is a user with the hash of its password, which for one that is a secret isn't in the object.
type user struct {
	planner.ValkeyUser
	hash   string // SHA-256, hex
	before string // of the password of before, where that is valid as well
}

// record is a file of records.
type record struct {
	Object json.RawMessage `json:"hostctl"`
	Hash   string          `json:"hash,omitempty"`
	Before string          `json:"before,omitempty"`
}

func (m *Manager) records() (*records, error) {
	have := &records{instances: map[string]planner.Valkey{}, users: map[string]user{}}
	for _, kind := range []planner.Kind{planner.KindValkey, planner.KindValkeyUser} {
		dir := filepath.Dir(m.record(planner.Ref{Kind: kind, Name: "x"}))
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") {
				continue
			}
			if err := have.read(kind, filepath.Join(dir, e.Name())); err != nil {
				return nil, err
			}
		}
	}
	return have, nil
}

// read reads one record. What somebody else wrote there, or for another object, is an error.
func (h *records) read(kind planner.Kind, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return fmt.Errorf("%s isn't one that hostctl wrote", path)
	}
	o, err := planner.Decode(r.Object)
	if err == nil {
		err = check(planner.Change{New: o})
	}
	if err != nil || o.Ref().Kind != kind || filepath.Base(path) != o.Ref().Name+".json" {
		return fmt.Errorf("%s is of something else: %w", path, cmp.Or(err, errors.New("its name isn't the object's")))
	}
	switch o := o.(type) {
	case planner.Valkey:
		h.instances[o.Name] = o
	case planner.ValkeyUser:
		h.users[o.Name] = user{o, r.Hash, r.Before}
	}
	return nil
}

// of returns the users of an instance, in the order of their names.
func (h *records) of(instance string) []user {
	var out []user
	for _, name := range sortedKeys(h.users) {
		if u := h.users[name]; instanceOf(u.ValkeyUser) == instance {
			out = append(out, u)
		}
	}
	return out
}

func (m *Manager) record(r planner.Ref) string {
	return filepath.Join(m.o.Data, "records", string(r.Kind), r.Name+".json")
}

// remember writes what is being applied.
func (m *Manager) remember(have *records, o planner.Valkey) error {
	o.From, o.On = planner.Owner{}, nil
	if err := m.writeRecord(o, record{}); err != nil {
		return err
	}
	have.instances[o.Name] = o
	return nil
}

func (m *Manager) rememberUser(have *records, u user) error {
	u.From, u.On = planner.Owner{}, nil
	if err := m.writeRecord(u.ValkeyUser, record{Hash: u.hash, Before: u.before}); err != nil {
		return err
	}
	have.users[u.Name] = u
	return nil
}

func (m *Manager) writeRecord(o planner.Object, r record) error {
	r.Object = planner.Encode(o)
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	path := m.record(o.Ref())
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return put(path, b, 0o600, 0)
}

func (m *Manager) forget(have *records, r planner.Ref) error {
	if err := remove(m.record(r)); err != nil {
		return err
	}
	delete(have.instances, r.Name)
	delete(have.users, r.Name)
	return nil
}

// put writes a file from one moment to the next. Its folder is root's.
func put(path string, data []byte, mode fs.FileMode, gid int) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already where all went well
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Chown(0, gid), tmp.Chmod(mode), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// readIfThere reads a file; of one that isn't there nothing, and fs.ErrNotExist.
func readIfThere(path string) (string, error) {
	b, err := os.ReadFile(path)
	return string(b), err
}

// sortedKeys are the keys of a map in order.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
