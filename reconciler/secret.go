package reconciler

import (
	"context"
	"errors"
	"time"
)

// ErrNoSecret says that the inventory holds no such generated secret.
var ErrNoSecret = errors.New("no such generated secret")

// GeneratedSecret is one generation of a generated secret, as the inventory keeps it.
type GeneratedSecret struct {
	Tenant     string    `json:"tenant,omitempty"` // "" is the platform
	Name       string    `json:"name"`             // planner.Secret.Generated
	Generation int       `json:"generation"`       // counts from 1
	Sealed     string    `json:"-"`                // encrypted to the platform's age key, armored; "" where it is lost
	Made       time.Time `json:"made"`
	Shown      time.Time `json:"shown,omitzero"` // when a person has seen it
}

// SecretKeeper is the ability of an inventory to keep generated secrets. They are encrypted before they get there.
type SecretKeeper interface {
	// KeepSecret keeps a generation, unless there is one already, and returns the one that is kept then. A new one above
	// the first is what the next plan puts in place. Those that are two generations older are forgotten.
	KeepSecret(ctx context.Context, s GeneratedSecret) (GeneratedSecret, error)
	// Secret returns a generation, 0 for the latest one, or ErrNoSecret.
	Secret(ctx context.Context, tenant, name string, generation int) (GeneratedSecret, error)
	// ShowSecret is Secret of the latest one, and notes that it was shown. What it returns says whether it was before.
	ShowSecret(ctx context.Context, tenant, name string) (GeneratedSecret, error)
	// GeneratedSecrets returns the latest generation of each, sorted by tenant and name.
	GeneratedSecrets(ctx context.Context) ([]GeneratedSecret, error)
}
