package wire

import (
	"context"
	"fmt"
	"io"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/schema"
)

// Reveal opens a secret that a commit's files hold.
func (c Config) Reveal(ctx context.Context, source reconciler.Source, commit string, ref schema.SecretRef) (string, error) {
	tree, err := source.Tree(ctx, commit)
	if err != nil {
		return "", fmt.Errorf("read commit %.12s: %w", commit, err)
	}
	if open, ok := tree.(io.Closer); ok {
		defer func() { _ = open.Close() }() // it was only read from
	}
	value, err := newRevealer(c, tree, nil).fromFile(planner.Secret{
		Cipher: ref.Cipher, Found: planner.Ciphertext{File: ref.Path, Blob: ref.Blob, Key: ref.Key},
	})
	return string(value), err
}
