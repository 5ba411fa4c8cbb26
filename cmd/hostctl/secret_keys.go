package main

import (
	"context"
	"fmt"
	"path/filepath"

	"hostctl/schema"
)

// checkKeys holds the keys of the folder's Certificates against their chains. Files that can't be opened, and resources that
// aren't right, others tell of.
func (o *options) checkKeys(ctx context.Context) []error {
	source, err := o.tree(ctx, "")
	if err != nil {
		return nil
	}
	m, _ := schema.Load(source.tree, nil) // validate tells what isn't right
	var errs []error
	for i := range m.Certificates {
		c := &m.Certificates[i]
		if c.Chain == "" || c.Key.Ref == nil || c.Key.Ref.Path == "" {
			continue
		}
		f, err := o.openSecretFile(filepath.Join(o.dir, filepath.FromSlash(c.Key.Ref.Path)))
		if err != nil {
			continue
		}
		value, ok := f.Get(c.Key.Ref.Key)
		if !ok {
			continue
		}
		key, err := schema.PrivateKey(value)
		if err == nil {
			_, err = schema.CheckPair([]byte(c.Chain), key)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: certificate/%s: spec.custom.keyRef: %w", c.Position, c.Name, err))
		}
	}
	return errs
}
