package wire

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"filippo.io/age"
	"filippo.io/age/armor"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/schema"
	"hostctl/schema/sops"
)

// revealer implements executors.Secrets for one run. Of what the repository holds it opens the files of the commit; of
// what is generated, the inventory's values, which it makes where there are none.
type revealer struct {
	config Config
	blobs  executors.Blobs
	keeper reconciler.SecretKeeper

	mu    sync.Mutex
	ids   []age.Identity
	files map[schema.BlobID]*sops.Opened
}

func newRevealer(c Config, blobs executors.Blobs, keeper reconciler.SecretKeeper) *revealer {
	return &revealer{config: c, blobs: blobs, keeper: keeper, files: map[schema.BlobID]*sops.Opened{}}
}

// Reveal implements executors.Secrets.
func (r *revealer) Reveal(ctx context.Context, s planner.Secret) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Generated != "" {
		value, err := r.generated(ctx, s)
		if err != nil {
			return nil, executors.Errorf(executors.Refused, "generated secret %s: %w", planner.Generated{Tenant: s.Tenant, Name: s.Generated}, err)
		}
		return value, nil
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

func (r *revealer) identities() (ids []age.Identity, err error) {
	if r.ids == nil {
		r.ids, err = r.config.Identities()
	}
	return r.ids, err
}

// generated returns the value of a generation. The first one is made here.
func (r *revealer) generated(ctx context.Context, s planner.Secret) ([]byte, error) {
	if r.keeper == nil {
		return nil, errors.New("the inventory keeps no secrets")
	}
	g, err := r.keeper.Secret(ctx, s.Tenant, s.Generated, s.Generation)
	if errors.Is(err, reconciler.ErrNoSecret) && s.Generation == 1 {
		g, err = Generate(ctx, r.config, r.keeper, s.Tenant, s.Generated, 1)
	}
	if err != nil {
		return nil, err
	}
	return r.config.Unseal(g)
}

// Generate makes a generation of a generated secret, unless there is one. It makes the age key where nothing needs an old
// one.
func Generate(ctx context.Context, c Config, k reconciler.SecretKeeper, tenant, name string, generation int) (reconciler.GeneratedSecret, error) {
	g := reconciler.GeneratedSecret{Tenant: tenant, Name: name, Generation: generation}
	to, err := c.recipient(ctx, k)
	if err != nil {
		return g, err
	}
	if g.Sealed, err = sealTo(to, []byte(rand.Text())); err != nil {
		return g, err
	}
	return k.KeepSecret(ctx, g)
}

// recipient returns whom generated secrets are encrypted to.
func (c Config) recipient(ctx context.Context, k reconciler.SecretKeeper) (string, error) {
	if _, err := os.Stat(c.AgeKeyFile()); errors.Is(err, fs.ErrNotExist) {
		kept, err := k.GeneratedSecrets(ctx)
		if err != nil {
			return "", err
		}
		if len(kept) == 0 && c.AgeKey == "" {
			return c.MakeAgeKey()
		}
	}
	ids, err := c.Identities()
	if err != nil {
		return "", err
	}
	return RecipientOf(ids)
}

func sealTo(to string, value []byte) (string, error) {
	r, err := age.ParseX25519Recipient(to)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	a := armor.NewWriter(&out)
	w, err := age.Encrypt(a, r)
	if err != nil {
		return "", err
	}
	_, err = w.Write(value)
	if err = errors.Join(err, w.Close(), a.Close()); err != nil {
		return "", err
	}
	return out.String(), nil // whole now that both are closed
}

// errLost says that the inventory remembers that there is a value, and not the value.
var errLost = errors.New("its value was lost with the inventory that was rebuilt, and only nodes have it; 'hostctl secret rotate --generated' makes another")

// Unseal decrypts a generated secret.
func (c Config) Unseal(g reconciler.GeneratedSecret) ([]byte, error) {
	if g.Sealed == "" {
		return nil, errLost
	}
	ids, err := c.Identities()
	if err != nil {
		return nil, err
	}
	in, err := age.Decrypt(armor.NewReader(strings.NewReader(g.Sealed)), ids...)
	if err != nil {
		return nil, fmt.Errorf("the age key %s doesn't open it: put the key back that it was made with, or make another value: 'hostctl secret rotate --generated'", c.AgeKeyFile())
	}
	return io.ReadAll(io.LimitReader(in, 64<<10))
}
