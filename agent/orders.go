package agent

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"strings"

	bolt "go.etcd.io/bbolt"

	"hostctl/agent/agentpb"
	"hostctl/planner"
	"hostctl/schema"
)

var (
	policyKey     = []byte("driftPolicy")
	policyRunKey  = []byte("driftPolicyRun")
	filesystemKey = []byte("filesystem")
)

// SetPolicy keeps what becomes of drift, as run number run says. That of a run that is older than the highest one seen is
// not taken: the controller that hands it out was superseded.
func (s *Store) SetPolicy(run int64, p schema.DriftPolicy) error {
	if now, err := s.Policy(); err == nil && reflect.DeepEqual(now, p) {
		return nil
	}
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return s.db.Update(func(tx *bolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		if run < max(fence(tx), number(meta.Get(policyRunKey))) {
			return nil
		}
		if err := meta.Put(policyRunKey, binary.BigEndian.AppendUint64(nil, uint64(run))); err != nil { //nolint:gosec // not negative
			return err
		}
		return meta.Put(policyKey, b)
	})
}

// Policy returns what becomes of drift: the zero value, which corrects all, where nobody has said so yet.
func (s *Store) Policy() (schema.DriftPolicy, error) {
	var p schema.DriftPolicy
	err := s.db.View(func(tx *bolt.Tx) error {
		if b := tx.Bucket(metaBucket).Get(policyKey); b != nil {
			return json.Unmarshal(b, &p)
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("drift policy: %w", err)
	}
	return p, err
}

// MovedTo tells the store which filesystem the node runs in. In another one than before nothing is left of what was in a
// container's filesystem, and only the controller, which has put the node there, knows what belongs in it now: the store
// forgets those objects rather than to bring back what was removed meanwhile. What is on volumes it remembers.
func (s *Store) MovedTo(filesystem, node string) error {
	return s.db.Update(func(tx *bolt.Tx) error {
		meta, objects := tx.Bucket(metaBucket), tx.Bucket(objectsBucket)
		if string(meta.Get(filesystemKey)) == filesystem {
			return nil
		}
		var gone [][]byte
		err := objects.ForEach(func(k, v []byte) error {
			r, err := decodeRecord(k, v)
			if err != nil {
				return fmt.Errorf("record of %s: %w", k, err)
			}
			if r.Applied != nil && planner.InContainer(node, r.Applied) || r.Pending != nil && planner.InContainer(node, r.Pending) {
				gone = append(gone, append([]byte(nil), k...))
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, k := range gone {
			if err := objects.Delete(k); err != nil {
				return err
			}
		}
		return meta.Put(filesystemKey, []byte(filesystem))
	})
}

// Filesystem returns the name of the filesystem that holds path, a file that is written where there is none: a container
// that is made anew has another one.
func Filesystem(path, fresh string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil && len(b) > 0 {
		return strings.TrimSpace(string(b)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return fresh, os.WriteFile(path, []byte(fresh+"\n"), 0o444) //nolint:gosec // no secret
}

func number(b []byte) int64 {
	if len(b) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b)) //nolint:gosec // as written by this package
}

// policyOf reads a policy from the wire, nil where there is none.
func policyOf(m *agentpb.DriftPolicy) (*schema.DriftPolicy, error) {
	if m == nil {
		return nil, nil
	}
	p := &schema.DriftPolicy{Default: schema.DriftMode(m.GetDefault())}
	modes := []string{m.GetDefault()}
	for kind, mode := range m.GetKinds() {
		if p.Kinds == nil {
			p.Kinds = map[string]schema.DriftMode{}
		}
		p.Kinds[kind] = schema.DriftMode(mode)
		modes = append(modes, mode)
	}
	for _, mode := range modes {
		switch schema.DriftMode(mode) {
		case "", schema.DriftCorrect, schema.DriftReport, schema.DriftOff:
		default:
			return nil, fmt.Errorf("drift policy: no such mode %q", mode)
		}
	}
	return p, nil
}
