package haproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"hostctl/executors"
)

func (o Options) mapFile() string { return filepath.Join(o.Maps, "hosts.map") }

// load reads the model from its files.
func (e *Executor) load() (model, error) {
	b, err := os.ReadFile(e.o.Config)
	if err != nil {
		return model{}, err
	}
	m, err := parseConfig(string(b))
	if err != nil {
		return model{}, executors.Errorf(executors.Conflict, "%s: %w", e.o.Config, err)
	}
	if b, err = os.ReadFile(e.o.mapFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return model{}, err
	}
	if m.certs, err = e.loadCerts(); err != nil {
		return model{}, err
	}
	if m.routes, err = parseTable(b); err != nil {
		return model{}, executors.Errorf(executors.Conflict, "%s: %w", e.o.mapFile(), err)
	}
	return m, nil
}

// save writes the files that differ from what they should be. A configuration that HAProxy refuses is not put in place.
func (e *Executor) save(ctx context.Context, m model) error {
	if err := e.saveCerts(m.certs); err != nil {
		return err
	}
	err := writeIfOther(e.o.Config, []byte(e.o.render(m)), func(file string) error { return e.check(ctx, file) })
	if err != nil {
		return err
	}
	return writeIfOther(e.o.mapFile(), m.routes.bytes(), nil)
}

// check asks HAProxy whether it would take a configuration.
func (e *Executor) check(ctx context.Context, file string) error {
	ctx, cancel := context.WithTimeout(ctx, reloadWait)
	defer cancel()
	argv := append(slices.Clone(e.o.Check), file)
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return executors.Errorf(executors.Busy, "check the configuration: %w", ctx.Err())
	case errors.As(err, &exit):
		return executors.Errorf(executors.Refused, "haproxy refuses the configuration: %s", tail(string(out)))
	}
	return fmt.Errorf("check the configuration: %w", err)
}

// tail returns the end of what a program has printed, as one line.
func tail(s string) string {
	const most = 400
	s = strings.Join(strings.Fields(s), " ")
	return s[max(0, len(s)-most):]
}

// writeIfOther replaces a file's content in one step that outlives a crash, after check, which may be nil, has agreed to
// it under its temporary name.
func writeIfOther(path string, content []byte, check func(file string) error) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	return replaceFile(path, content, 0o644, check)
}

// replaceFile replaces a file in one step that outlives a crash.
func replaceFile(path string, content []byte, mode fs.FileMode, check func(file string) error) error {
	next := path + ".next"
	if err := writeSynced(next, content, mode); err != nil {
		return err
	}
	defer os.Remove(next) // gone already where all went well
	if check != nil {
		if err := check(next); err != nil {
			return err
		}
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func writeSynced(path string, content []byte, mode fs.FileMode) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // what is left of it has another mode, perhaps
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
