package haproxy

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"hostctl/executors"
	"hostctl/planner"
)

// look reads what the files have, and the process.
func (x *External) look(ctx context.Context) (shared, running, error) {
	text, err := x.read(x.o.Map, x.wayIn())
	if err != nil {
		return shared{}, running{}, err
	}
	s, err := parseShared(text, x.o.Instance)
	if err != nil {
		return shared{}, running{}, executors.Errorf(executors.Conflict, "haproxy: %s: %w", x.o.Map, err)
	}
	if x.o.Rules != "" {
		if text, err = x.read(x.o.Rules, "and put the lines about rules of docs/external.md into a frontend of haproxy.cfg"); err != nil {
			return shared{}, running{}, err
		}
		if err := s.readRules(text, x.o.Instance); err != nil {
			return shared{}, running{}, executors.Errorf(executors.Conflict, "haproxy: %s: %w", x.o.Rules, err)
		}
	}
	if x.o.CrtList != "" {
		if text, err = x.read(x.o.CrtList, "and name it in a bind of haproxy.cfg, 'ssl crt-list "+x.o.CrtList+" strict-sni'"); err != nil {
			return shared{}, running{}, err
		}
		if err := s.readList(text, x.o.Instance, x.process.o); err != nil {
			return shared{}, running{}, executors.Errorf(executors.Conflict, "haproxy: %s: %w", x.o.CrtList, err)
		}
	}
	now, err := x.running(ctx)
	return s, now, err
}

// read reads one of the files that others write too.
func (x *External) read(file, wayOut string) (string, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", executors.Errorf(executors.Conflict, "haproxy: there is no file %s; make an empty one, %s", file, wayOut)
	}
	if err != nil {
		return "", executors.Errorf(executors.Unreachable, "haproxy: %w", err)
	}
	return string(b), nil
}

// wayIn says how requests get from the map to a backend.
func (x *External) wayIn() string {
	return "name it in a frontend of haproxy.cfg, 'use_backend %[req.hdr(host),host_only,lower,rtrim(.),map(" + x.o.Map + ")]', and reload HAProxy"
}

// save writes the files that differ.
func (x *External) save(s shared) error {
	if err := replaceShared(x.o.Map, s.bytes(x.o.Instance)); err != nil {
		return err
	}
	if x.o.Rules != "" {
		if err := replaceShared(x.o.Rules, s.rulesBytes(x.o.Instance)); err != nil {
			return err
		}
	}
	if x.o.CrtList == "" {
		return nil
	}
	return replaceShared(x.o.CrtList, s.listBytes(x.o.Instance, x.process.o))
}

// replaceShared writes a file where it differs. Who owns it, and its mode, stay.
func replaceShared(file string, text []byte) error {
	path, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(path)
	if err != nil || string(old) == string(text) {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return replaceFile(path, text, info.Mode().Perm(), func(next string) error { return likeBefore(next, info) })
}

// saveKeys writes the files of certificates, and returns what those that are replaced held.
func (x *External) saveKeys(c certs) (old map[string][]byte, err error) {
	old = map[string][]byte{}
	for host, content := range c {
		if content == nil {
			continue
		}
		if b, err := os.ReadFile(x.process.o.certFile(host)); err == nil {
			old[host] = b
		}
	}
	if len(c) == 0 {
		return old, nil
	}
	return old, x.process.saveCertFiles(c)
}

// giveBack puts the files of certificates back that HAProxy didn't take another one for.
func (x *External) giveBack(old map[string][]byte, problems map[planner.Ref]error) error {
	for ref, err := range problems {
		if b := old[ref.Name]; ref.Kind == planner.KindCert && err != nil && b != nil {
			if err := replaceFile(x.process.o.certFile(ref.Name), b, 0o400, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// sweep removes the files of certificates that the list doesn't name any more, and the folder with the last of them.
func (x *External) sweep(c certs) error {
	if x.o.CrtList == "" {
		return nil
	}
	dir := x.process.o.Certs
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(files, func(f fs.DirEntry) bool {
		host := x.process.o.hostOfCert(filepath.Join(dir, f.Name()))
		if _, named := c[host]; host == "" || named {
			return false
		}
		err = errors.Join(err, os.Remove(filepath.Join(dir, f.Name())))
		return true
	})
	if err == nil && len(left) == 0 {
		err = os.Remove(dir)
	}
	return err
}
