package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
)

// AgeKeyFile returns the file of the identities that open the platform's secrets, as age-keygen writes it.
func (c Config) AgeKeyFile() string {
	if c.AgeKey != "" {
		return c.AgeKey
	}
	return filepath.Join(c.State, "age.key")
}

// MakeAgeKey makes the platform's age key where there is none, and returns the recipient that files are encrypted to.
func (c Config) MakeAgeKey() (recipient string, err error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return "", fmt.Errorf("make an age key: %w", err)
	}
	file := c.AgeKeyFile()
	text := fmt.Appendf(nil, "# created: %s\n# public key: %s\n%s\n", time.Now().UTC().Format(time.RFC3339), id.Recipient(), id)
	if err := writeNew(file, text); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make the age key: %w", err)
	}
	ids, err := c.Identities() // of the file: another process may have been first
	if err != nil {
		return "", err
	}
	return RecipientOf(ids)
}

// writeNew writes a file that only its owner may read, and that isn't there, wholly or not at all.
func writeNew(file string, text []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), ".new-") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(text)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Link(tmp.Name(), file) // fails where there is one
}

// Identities reads the age key. A file that others may read is refused.
func (c Config) Identities() ([]age.Identity, error) {
	file := c.AgeKeyFile()
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no age key %s, and secrets can't be opened without it: put it back from a backup, name another with --age-key, or make one with 'hostctl secret recipients'", file)
	case err != nil:
		return nil, fmt.Errorf("read the age key: %w", err)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("the age key %s may be read by others; chmod 600 it", file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the age key: %w", err)
	}
	ids, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil { // which may hold the key
		return nil, fmt.Errorf("the age key %s can't be read; want lines AGE-SECRET-KEY-1…, as age-keygen writes them", file)
	}
	return ids, nil
}

// RecipientOf returns the recipient of the first identity, that new secrets are encrypted to.
func RecipientOf(ids []age.Identity) (string, error) {
	for _, id := range ids {
		if x, ok := id.(*age.X25519Identity); ok {
			return x.Recipient().String(), nil
		}
	}
	return "", errors.New("the age key holds no identity of the kind AGE-SECRET-KEY-1…")
}
