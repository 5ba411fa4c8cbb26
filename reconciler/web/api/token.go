package api

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"hostctl/reconciler"
	"hostctl/reconciler/durable"
	"hostctl/schema"
)

// prefix begins every token, so that scanners for leaked secrets find it.
const prefix = "hctl_"

// tokenBytes is how much of a token is chance: 256 bits.
const tokenBytes = 32

// Scope is what a token may read: "platform" for all, "tenant:NAME" for what is one tenant's.
type Scope string

// ScopePlatform is all there is.
const ScopePlatform Scope = "platform"

// ParseScope reads a scope.
func ParseScope(s string) (Scope, error) {
	name, ok := strings.CutPrefix(s, "tenant:")
	if s != string(ScopePlatform) && (!ok || schema.CheckSlug(name) != nil) {
		return "", fmt.Errorf("scope %q: want platform, or tenant:NAME", s)
	}
	return Scope(s), nil
}

// Whose returns what a scope may read; of what is no scope, nothing.
func (s Scope) Whose() reconciler.Whose {
	if s == ScopePlatform {
		return reconciler.Whose{All: true}
	}
	name, ok := strings.CutPrefix(string(s), "tenant:")
	if !ok {
		return reconciler.Whose{}
	}
	return reconciler.Whose{Tenant: name}
}

// Token is what is known of a token. It can't be made from it.
type Token struct {
	Name    string    `json:"name"`
	Scope   Scope     `json:"scope"`
	SHA256  string    `json:"sha256"` // of the token, hex
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
}

// Identity is who asks. The zero value is nobody.
type Identity struct {
	Token string // its name
	Scope Scope
}

// Tokens are the tokens of a platform, in files of its state folder: tokens.json, which only hostctl writes, and
// tokens-used.json, which only hostd does. It may be used by several goroutines, and the files by several processes.
type Tokens struct {
	dir string

	mu    sync.Mutex
	seen  fileStamp // of what is in list
	list  []Token
	used  map[string]time.Time
	saved time.Time // when used was written
}

// The files.
const (
	tokensFile = "tokens.json"
	usedFile   = "tokens-used.json"
	lockFile   = "tokens.lock"
)

// OpenTokens returns the tokens of a state folder. The files need not be there.
func OpenTokens(state string) *Tokens { return &Tokens{dir: state} }

// tokenList is the content of tokens.json.
type tokenList struct {
	Format int     `json:"format"`
	Tokens []Token `json:"tokens"`
}

// Create makes a token and returns it: it is known to nobody else, and can't be shown again.
func (t *Tokens) Create(name string, scope Scope, expires time.Time) (token string, err error) {
	if err := schema.CheckSlug(name); err != nil {
		return "", fmt.Errorf("name of the token: %w", err)
	}
	if _, err := ParseScope(string(scope)); err != nil {
		return "", err
	}
	now := time.Now()
	if !expires.IsZero() && !expires.After(now) {
		return "", errors.New("the token would have expired before it is made")
	}
	random := make([]byte, tokenBytes)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	token = prefix + base64.RawURLEncoding.EncodeToString(random)
	err = t.edit(func(all []Token) ([]Token, error) {
		if slices.ContainsFunc(all, func(o Token) bool { return o.Name == name }) {
			return nil, fmt.Errorf("there is a token %s already; take another name, or 'hostctl token revoke %s' first", name, name)
		}
		return append(all, Token{Name: name, Scope: scope, SHA256: hashed(token), Created: now.UTC().Truncate(time.Second), Expires: expires.UTC()}), nil
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// Revoke makes a token nobody's. A hostd that runs learns of it with the next request.
func (t *Tokens) Revoke(name string) error {
	return t.edit(func(all []Token) ([]Token, error) {
		rest := slices.DeleteFunc(slices.Clone(all), func(o Token) bool { return o.Name == name })
		if len(rest) == len(all) {
			return nil, fmt.Errorf("there is no token %s; 'hostctl token list' lists them", name)
		}
		return rest, nil
	})
}

// List returns the tokens by name, and when each was last used, to a minute.
func (t *Tokens) List() ([]Token, map[string]time.Time, error) {
	all, err := readTokens(filepath.Join(t.dir, tokensFile))
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(all, func(a, b Token) int { return strings.Compare(a.Name, b.Name) })
	used, err := readUsed(filepath.Join(t.dir, usedFile))
	return all, used, err
}

// edit changes the list, one process at a time.
func (t *Tokens) edit(change func([]Token) ([]Token, error)) error {
	lock, err := os.OpenFile(filepath.Join(t.dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("lock the tokens: %w", err)
	}
	defer func() { _ = lock.Close() }() // gives up the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock the tokens: %w", err)
	}
	file := filepath.Join(t.dir, tokensFile)
	all, err := readTokens(file)
	if err != nil {
		return err
	}
	if all, err = change(all); err != nil {
		return err
	}
	return writeJSON(file, tokenList{Format: 1, Tokens: all})
}

// Find returns whose token is presented; false where it is nobody's, or has expired. How long it takes doesn't tell which
// one is nearly right.
func (t *Tokens) Find(presented string, now time.Time) (Identity, bool, error) {
	all, err := t.current()
	if err != nil {
		return Identity{}, false, err
	}
	hash := []byte(hashed(presented))
	var found Token
	for _, o := range all {
		if subtle.ConstantTimeCompare(hash, []byte(o.SHA256)) == 1 {
			found = o
		}
	}
	if found.Name == "" || found.Scope.Whose() == (reconciler.Whose{}) || !found.Expires.IsZero() && !now.Before(found.Expires) {
		return Identity{}, false, nil
	}
	t.note(found.Name, now)
	return Identity{Token: found.Name, Scope: found.Scope}, true, nil
}

// current returns the list as the file has it now.
func (t *Tokens) current() ([]Token, error) {
	file := filepath.Join(t.dir, tokensFile)
	stamp, err := stampOf(file)
	if err != nil {
		return nil, fmt.Errorf("read the tokens: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if stamp == t.seen && stamp != (fileStamp{}) {
		return t.list, nil
	}
	list, err := readTokens(file)
	if err != nil {
		return nil, err
	}
	t.seen, t.list = stamp, list
	return list, nil
}

// usedEvery is how often it is written when tokens were last used.
const usedEvery = time.Minute

// note remembers that a token was used. Where that can't be written it isn't: nobody is let in or kept out by it.
func (t *Tokens) note(name string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.used == nil {
		t.used, _ = readUsed(filepath.Join(t.dir, usedFile))
	}
	if t.used == nil {
		t.used = map[string]time.Time{}
	}
	first := t.used[name].IsZero()
	t.used[name] = now.UTC().Truncate(time.Second)
	if !first && now.Sub(t.saved) < usedEvery {
		return
	}
	t.saved = now
	_ = writeJSON(filepath.Join(t.dir, usedFile), t.used)
}

func hashed(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func readTokens(file string) ([]Token, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list tokenList
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err == nil && list.Format != 1 {
		err = fmt.Errorf("it has format %d, this version of hostctl reads 1", list.Format)
	}
	if err != nil {
		return nil, fmt.Errorf("read the tokens in %s: %w", file, err)
	}
	return list.Tokens, nil
}

func readUsed(file string) (map[string]time.Time, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var used map[string]time.Time
	if err == nil {
		err = json.Unmarshal(b, &used)
	}
	if err != nil {
		return nil, fmt.Errorf("read when tokens were used in %s: %w", file, err)
	}
	return used, nil
}

// fileStamp tells one content of a file that is replaced from another.
type fileStamp struct {
	inode uint64
	size  int64
	mtime time.Time
}

// stampOf returns the zero stamp where there is no file.
func stampOf(file string) (fileStamp, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fileStamp{}, nil
	}
	if err != nil {
		return fileStamp{}, err
	}
	s := fileStamp{size: info.Size(), mtime: info.ModTime()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode = st.Ino
	}
	return s, nil
}

// writeJSON replaces a file that only its owner may read. It is on disk when it returns.
func writeJSON(file string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(file, append(b, '\n'))
}
