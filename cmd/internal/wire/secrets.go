package wire

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"filippo.io/age"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
	"hostctl/schema/sops"
)

// revealer implements executors.Secrets for one run: of what the repository holds it opens the files of the commit.
type revealer struct {
	blobs      executors.Blobs
	identities func() ([]age.Identity, error) // reads the key, once

	mu    sync.Mutex
	files map[schema.BlobID]*sops.Opened
}

func newRevealer(c Config, blobs executors.Blobs) *revealer {
	return &revealer{blobs: blobs, identities: sync.OnceValues(c.Identities), files: map[schema.BlobID]*sops.Opened{}}
}

// Reveal implements executors.Secrets.
func (r *revealer) Reveal(_ context.Context, s planner.Secret) ([]byte, error) {
	if s.Generated != "" {
		return nil, executors.Errorf(executors.Refused, "generated secrets aren't served yet")
	}
	value, err := r.fromFile(s)
	if err != nil {
		return nil, executors.Errorf(executors.Refused, "%s: %s: %w", s.Found.File, s.Found.Key, err)
	}
	return value, nil
}

// fromFile decrypts the value that was planned, and no other.
func (r *revealer) fromFile(s planner.Secret) ([]byte, error) {
	f, err := r.open(s.Found.Blob)
	if err != nil {
		return nil, err
	}
	for _, v := range f.Values() {
		if v.Key == s.Found.Key && v.Cipher == s.Cipher {
			value, _ := f.Get(v.Key)
			return value, nil
		}
	}
	return nil, errors.New("the commit's file holds another value than was planned; plan again")
}

// open opens a file once for a run.
func (r *revealer) open(blob schema.BlobID) (*sops.Opened, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f, ok := r.files[blob]; ok {
		return f, nil
	}
	if r.blobs == nil {
		return nil, errors.New("there is no source of files")
	}
	data, err := r.blobs.Read(blob)
	if err != nil {
		return nil, fmt.Errorf("read it: %w", err)
	}
	ids, err := r.identities()
	if err != nil {
		return nil, err
	}
	f, err := sops.Parse(data)
	if err != nil {
		return nil, err
	}
	opened, err := f.Open(ids...)
	if err != nil {
		return nil, err
	}
	r.files[blob] = opened
	return opened, nil
}
