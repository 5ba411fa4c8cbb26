// Package secrets keeps the values of secrets on a node, each in a file of its own that only root may read. It is the
// executor of kind secret; what else in the agent needs a value takes it from the Folder.
//
// The folder is on the node's own volume and not in memory (/run): a node that restarts while hostd is away must serve,
// and hostd alone could fill it again. A value that is lost all the same is missed by Observe, and hostd sends it again.
//
//	/var/lib/hostctl/secrets/acme/webroot/shop/env.DB_PASSWORD
//
// The first line of a file is its Secret object, the rest is the value, byte by byte.
package secrets

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"hostctl/planner"
	"hostctl/schema"
)

// Limit is the most bytes of one value.
const Limit = 64 << 10

// Folder is a folder of secrets. Values that other executors use are read from it.
type Folder struct{ path string }

// Open returns the secrets kept in a folder, which it makes where there is none. Its parent must be root's alone to write.
func Open(path string) (*Folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("open secrets: %w", err)
	}
	if err := os.Chmod(path, 0o700); err != nil { //nolint:gosec // a folder
		return nil, fmt.Errorf("open secrets: %w", err)
	}
	return &Folder{path: path}, nil
}

// ErrAbsent says that a node doesn't hold a secret in the version that is asked for. It comes with the next change of it.
var ErrAbsent = errors.New("the node doesn't hold the secret in this version")

// Value returns the value of a secret of a version, or ErrAbsent.
func (f *Folder) Value(s planner.Held) ([]byte, error) {
	if err := checkName(s.Secret); err != nil {
		return nil, err
	}
	have, value, err := f.read(s.Secret)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("secret %s: %w", s.Secret, ErrAbsent)
	case err != nil:
		return nil, err
	case have.Version() != s.Version:
		return nil, fmt.Errorf("secret %s: %w", s.Secret, ErrAbsent)
	}
	return value, nil
}

var errDamaged = errors.New("the file isn't one that hostctl wrote")

// head is the first line of a file.
type head struct {
	Object json.RawMessage `json:"hostctl"`
	Sum    string          `json:"sum"` // SHA-256 of the value, hex: the file is closed to those who could guess from it
}

// read reads a secret's file; it fails with fs.ErrNotExist or errDamaged.
func (f *Folder) read(name string) (planner.Secret, []byte, error) {
	var none planner.Secret
	data, err := os.ReadFile(f.file(name))
	if err != nil {
		return none, nil, err
	}
	line, value, ok := bytes.Cut(data, []byte("\n"))
	var h head
	if !ok || json.Unmarshal(line, &h) != nil {
		return none, nil, errDamaged
	}
	o, err := planner.Decode(h.Object)
	if err != nil {
		return none, nil, errDamaged
	}
	s, ok := o.(planner.Secret)
	if !ok || s.Name != name || subtle.ConstantTimeCompare([]byte(h.Sum), []byte(sum(value))) != 1 {
		return none, nil, errDamaged
	}
	return s, value, nil
}

func sum(value []byte) string {
	s := sha256.Sum256(value)
	return hex.EncodeToString(s[:])
}

// write puts a secret in place, from one moment to the next.
func (f *Folder) write(s planner.Secret, value []byte) error {
	s.From, s.On, s.Found = planner.Owner{}, nil, planner.Ciphertext{}
	first, err := json.Marshal(head{Object: planner.Encode(s), Sum: sum(value)})
	if err != nil {
		return err
	}
	path := f.file(s.Name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already where all went well
	_, err = tmp.Write(append(append(first, '\n'), value...))
	if err = errors.Join(err, tmp.Chmod(0o400), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// remove takes a secret away, and the folders that are empty then.
func (f *Folder) remove(name string) error {
	path := f.file(name)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// One that holds others can't be removed, and stays.
	for dir := filepath.Dir(path); dir != f.path && os.Remove(dir) == nil; {
		dir = filepath.Dir(dir)
	}
	return nil
}

func (f *Folder) file(name string) string { return filepath.Join(f.path, filepath.FromSlash(name)) }

var namePart = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@*-]{0,254}$`)

// checkName allows the names that planner.SecretName makes: "<tenant or ->/<kind>/<name>/<field>".
func checkName(name string) error {
	parts := strings.Split(name, "/")
	bad := len(parts) != 4 || parts[0] != "-" && schema.CheckSlug(parts[0]) != nil
	for _, p := range parts[1:] {
		bad = bad || !namePart.MatchString(p)
	}
	if bad {
		return fmt.Errorf("%q isn't the name of a secret: want tenant/kind/name/field", name)
	}
	return nil
}
