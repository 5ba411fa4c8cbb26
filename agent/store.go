package agent

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"hostctl/executors"
	"hostctl/planner"
)

// Store is what an agent remembers: whose it is, the highest fencing number it has seen, and every object it was told to
// make. Each method is one transaction on disk.
type Store struct{ db *bolt.DB }

// Record is what the store knows of one object. Where Pending is set or Deleting is true, a change was begun that did not
// finish.
type Record struct {
	Ref      planner.Ref
	Applied  planner.Object // nil: never
	Pending  planner.Object // what an unfinished change was to make
	Deleting bool
}

var (
	metaBucket    = []byte("meta")
	objectsBucket = []byte("objects")
	instanceKey   = []byte("instance")
	fenceKey      = []byte("fence")
)

// record is the form on disk: objects in the planner's canonical JSON.
type record struct {
	Applied  json.RawMessage `json:"applied,omitempty"`
	Pending  json.RawMessage `json:"pending,omitempty"`
	Deleting bool            `json:"deleting,omitempty"`
}

// OpenStore opens the store in a file, made where there is none. A store belongs to the instance that it was first opened
// for; another one is refused, for a volume that came from elsewhere describes other objects.
func OpenStore(path, instance string) (*Store, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: 5 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("open the agent's store %s: %w", path, err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		meta, err := tx.CreateBucketIfNotExists(metaBucket)
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucketIfNotExists(objectsBucket); err != nil {
			return err
		}
		switch was := string(meta.Get(instanceKey)); was {
		case instance:
			return nil
		case "":
			return meta.Put(instanceKey, []byte(instance))
		default:
			return fmt.Errorf("it belongs to instance %s, not %s; give the node a volume of its own", was, instance)
		}
	})
	if err != nil {
		_ = db.Close() // nothing was written
		return nil, fmt.Errorf("open the agent's store %s: %w", path, err)
	}
	return &Store{db: db}, nil
}

// Close gives the file back.
func (s *Store) Close() error { return s.db.Close() }

// Fence returns the highest fencing number seen.
func (s *Store) Fence() (int64, error) {
	var n int64
	err := s.db.View(func(tx *bolt.Tx) error {
		n = fence(tx)
		return nil
	})
	return n, err
}

func fence(tx *bolt.Tx) int64 {
	b := tx.Bucket(metaBucket).Get(fenceKey)
	if len(b) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b)) //nolint:gosec // as written below
}

// Begin notes the fencing number and what changes are about to make, before anything is touched. A number lower than
// one seen before is an executors.Conflict: a newer run has taken over.
func (s *Store) Begin(number int64, cs []planner.Change) error {
	return s.db.Update(func(tx *bolt.Tx) error {
		highest := fence(tx)
		if number < highest {
			return executors.Errorf(executors.Conflict, "superseded: run %d has taken over from run %d", highest, number)
		}
		if number > highest {
			b := binary.BigEndian.AppendUint64(nil, uint64(number)) //nolint:gosec // not negative: it is higher than one
			if err := tx.Bucket(metaBucket).Put(fenceKey, b); err != nil {
				return err
			}
		}
		return each(tx, cs, func(_ int, c planner.Change, r *record) {
			r.Pending, r.Deleting = nil, c.New == nil
			if c.New != nil {
				r.Pending = planner.Encode(c.New)
			}
		})
	})
}

// Finish notes how the changes ended. What failed stays as Begin has noted it.
func (s *Store) Finish(cs []planner.Change, errs []error) error {
	return s.db.Update(func(tx *bolt.Tx) error {
		return each(tx, cs, func(i int, c planner.Change, r *record) {
			if errs[i] != nil {
				return
			}
			*r = record{}
			if c.New != nil {
				r.Applied = planner.Encode(c.New)
			}
		})
	})
}

// each changes the record of every change's object; a record that is empty afterwards is removed.
func each(tx *bolt.Tx, cs []planner.Change, change func(int, planner.Change, *record)) error {
	objects := tx.Bucket(objectsBucket)
	for i, c := range cs {
		key := []byte(c.Ref().String())
		var r record
		if b := objects.Get(key); b != nil {
			if err := json.Unmarshal(b, &r); err != nil {
				return fmt.Errorf("record of %s: %w", c.Ref(), err)
			}
		}
		change(i, c, &r)
		if r.Applied == nil && r.Pending == nil && !r.Deleting {
			if err := objects.Delete(key); err != nil {
				return err
			}
			continue
		}
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if err := objects.Put(key, b); err != nil {
			return err
		}
	}
	return nil
}

// Records returns all that the store holds, sorted by reference.
func (s *Store) Records() ([]Record, error) {
	var rs []Record
	err := s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(objectsBucket).ForEach(func(k, v []byte) error {
			r, err := decodeRecord(k, v)
			if err != nil {
				return fmt.Errorf("record of %s: %w", k, err)
			}
			rs = append(rs, r)
			return nil
		})
	})
	return rs, err
}

func decodeRecord(k, v []byte) (Record, error) {
	var raw record
	ref, err := planner.ParseRef(string(k))
	if err != nil {
		return Record{}, err
	}
	if err := json.Unmarshal(v, &raw); err != nil {
		return Record{}, err
	}
	r := Record{Ref: ref, Deleting: raw.Deleting}
	if raw.Applied != nil {
		if r.Applied, err = planner.Decode(raw.Applied); err != nil {
			return Record{}, err
		}
	}
	if raw.Pending != nil {
		r.Pending, err = planner.Decode(raw.Pending)
	}
	return r, err
}
