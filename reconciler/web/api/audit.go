package api

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Entry is one line of the audit: who asked for what, when, from where, and what became of it.
type Entry struct {
	Time   time.Time `json:"time"`
	Token  string    `json:"token,omitempty"` // its name; "" for nobody
	Scope  Scope     `json:"scope,omitempty"`
	From   string    `json:"from"` // address
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Query  string    `json:"query,omitempty"`
	Status int       `json:"status"`

	Unlogged int `json:"unlogged,omitempty"` // refusals of nobody before this one, that were too many to be written
}

// The audit's bounds.
const (
	auditFile   = "audit.log"
	auditSize   = 16 << 20 // bytes of a file; then it becomes audit.log.1
	auditKept   = 8        // files
	nobodyEvery = time.Second
)

// Audit is lines of JSON in a file of the state folder, audit.log, and older ones beside it. It may be used by several
// goroutines.
type Audit struct {
	file string
	max  int64

	mu     sync.Mutex
	out    *os.File
	size   int64
	nobody time.Time // of the last entry of nobody
	missed int       // of nobody, since then
}

// OpenAudit returns the audit of a state folder. The file is made with the first entry.
func OpenAudit(state string) *Audit {
	return &Audit{file: filepath.Join(state, auditFile), max: auditSize}
}

// Write appends an entry. Of those who are nobody one a second is written, with the number of the others, so that they can't
// push out what others did.
func (a *Audit) Write(e Entry) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e.Token == "" {
		if e.Time.Sub(a.nobody) < nobodyEvery {
			a.missed++
			return nil
		}
		a.nobody, e.Unlogged, a.missed = e.Time, a.missed, 0
	}
	e.Path, e.Query = masked(e.Path), masked(e.Query)
	line, err := json.Marshal(e)
	if err == nil {
		err = a.append(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// masked takes out what may be a token that somebody has put in the wrong place.
func masked(s string) string {
	for {
		i := strings.Index(s, prefix)
		if i < 0 {
			return s
		}
		end := i + len(prefix)
		for end < len(s) && strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_%", s[end]) >= 0 {
			end++
		}
		s = s[:i] + "(token)" + s[end:]
	}
}

func (a *Audit) append(line []byte) error {
	if a.out != nil && a.size+int64(len(line)) > a.max {
		if err := a.rotate(); err != nil {
			return err
		}
	}
	if a.out == nil {
		f, err := os.OpenFile(a.file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			return errors.Join(err, f.Close())
		}
		a.out, a.size = f, info.Size()
	}
	n, err := a.out.Write(line)
	a.size += int64(n)
	return err
}

// rotate makes room: each file gets the next number, and the last one goes.
func (a *Audit) rotate() error {
	err := a.out.Close()
	a.out = nil
	for i := auditKept - 1; i > 0; i-- {
		older := a.numbered(i)
		if e := os.Rename(a.numbered(i-1), older); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

func (a *Audit) numbered(i int) string {
	if i == 0 {
		return a.file
	}
	return a.file + "." + strconv.Itoa(i)
}

// Close closes the file.
func (a *Audit) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.out == nil {
		return nil
	}
	f := a.out
	a.out = nil
	return f.Close()
}

// ReadAudit passes the entries of a state folder's audit to fn, the oldest first. A line that was cut off is left out.
func ReadAudit(state string, fn func(Entry) error) error {
	a := OpenAudit(state)
	for i := auditKept - 1; i >= 0; i-- {
		if err := readEntries(a.numbered(i), fn); err != nil {
			return fmt.Errorf("read the audit: %w", err)
		}
	}
	return nil
}

func readEntries(file string, fn func(Entry) error) error {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e Entry
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return lines.Err()
}
