package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"hostctl/agent/agentpb"
	"hostctl/agent/beneath"
)

// Owners say whom a site's files may belong to.
type Owners struct {
	UID int // the tenant's user and group
	GID int // the web server's group
}

// of returns the owner of an entry: user ids are the same on every shard. What is somebody's who has no business there becomes the
// tenant's, and programs run as nobody else.
func (o Owners) of(e beneath.Entry) beneath.Owner {
	uid, gid := e.UID, e.GID
	if uid != o.UID && uid != 0 {
		uid = o.UID
	}
	if gid != o.UID && gid != o.GID && gid != 0 {
		gid = o.GID
	}
	return beneath.Owner{UID: uid, GID: gid, FileMode: e.Mode & 0o777, DirMode: e.Mode & 0o3777}
}

// Brought is what a pull has brought.
type Brought struct {
	Files   int
	Bytes   int64
	Removed int
	Changed int // files that changed while they were read: the next pull brings them again
}

// Any reports whether anything differed.
func (b Brought) Any() bool { return b.Files+b.Removed+b.Changed > 0 }

// filesAtOnce is how many files are asked for in one request.
const filesAtOnce = 500

// source is where a folder is brought from.
type source interface {
	entries(ctx context.Context) ([]beneath.Entry, error)
	contents(ctx context.Context, paths [][]byte, take func(i int, next func() (*agentpb.Chunk, error)) error) error
}

// puller makes one folder what another one is.
type puller struct {
	source  source
	into    *beneath.Dir
	own     Owners
	brought Brought
}

// sync makes a folder what the source is.
func sync(ctx context.Context, from source, into *beneath.Dir, own Owners) (Brought, error) {
	p := &puller{source: from, into: into, own: own}
	theirs, err := from.entries(ctx)
	if err != nil {
		return p.brought, err
	}
	for _, e := range theirs {
		if err := checkEntry(e); err != nil {
			return p.brought, err
		}
	}
	ours, err := p.remove(ctx, theirs)
	if err != nil {
		return p.brought, err
	}
	want, err := p.prepare(theirs, ours)
	if err != nil {
		return p.brought, err
	}
	for len(want) > 0 {
		n := min(len(want), filesAtOnce)
		if err := p.bring(ctx, want[:n]); err != nil {
			return p.brought, err
		}
		want = want[n:]
	}
	return p.brought, into.Flush()
}

// checkEntry refuses what no folder has.
func checkEntry(e beneath.Entry) error {
	if e.Path == "" || path.IsAbs(e.Path) || path.Clean(e.Path) != e.Path || e.Path == ".." || strings.HasPrefix(e.Path, "../") || strings.ContainsRune(e.Path, 0) {
		return fmt.Errorf("%q is no path beneath a folder", e.Path)
	}
	switch e.Type() {
	case unix.S_IFDIR, unix.S_IFREG:
	case unix.S_IFLNK:
		if e.Link == "" || strings.ContainsRune(e.Link, 0) {
			return fmt.Errorf("%q is no symlink", e.Path)
		}
	default:
		return fmt.Errorf("%q is neither a folder nor a file nor a symlink", e.Path)
	}
	return nil
}

// remove removes what isn't at the source, or is something else there, and returns what is left.
func (p *puller) remove(ctx context.Context, theirs []beneath.Entry) (map[string]beneath.Entry, error) {
	types := make(map[string]uint32, len(theirs))
	for _, e := range theirs {
		types[e.Path] = e.Type()
	}
	ours := map[string]beneath.Entry{}
	var gone []string
	err := p.into.Walk(ctx, func(e beneath.Entry) error {
		if t, ok := types[e.Path]; ok && t == e.Type() {
			ours[e.Path] = e
		} else if n := len(gone); n == 0 || !strings.HasPrefix(e.Path, gone[n-1]+"/") {
			gone = append(gone, e.Path)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, g := range gone {
		if err := p.removeOne(ctx, g); err != nil {
			return nil, err
		}
	}
	return ours, nil
}

func (p *puller) removeOne(ctx context.Context, name string) error {
	dir, err := p.into.Sub(path.Dir(name))
	if err != nil {
		return err
	}
	p.brought.Removed++
	return errors.Join(dir.RemoveAll(ctx, path.Base(name)), dir.Close())
}

// prepare makes folders and symlinks, and returns the files that have to be brought.
func (p *puller) prepare(theirs []beneath.Entry, ours map[string]beneath.Entry) ([]beneath.Entry, error) {
	var want []beneath.Entry
	for _, e := range theirs {
		have, there := ours[e.Path]
		o := p.own.of(e)
		switch e.Type() {
		case unix.S_IFDIR:
			dir, err := p.into.Make(e.Path, o)
			if err != nil {
				return nil, err
			}
			if err := errors.Join(dir.Own(o), dir.Close()); err != nil {
				return nil, err
			}
		case unix.S_IFLNK:
			if there && have.Link == e.Link && have.UID == o.UID {
				continue
			}
			if err := p.into.Link(e.Path, e.Link, o.UID, o.GID); err != nil {
				return nil, err
			}
			p.brought.Files++
		default:
			if !there || have.Size != e.Size || have.Modified != e.Modified || have.UID != o.UID || have.GID != o.GID || have.Mode&0o7777 != o.FileMode {
				want = append(want, e)
			}
		}
	}
	return want, nil
}

// bring brings files.
func (p *puller) bring(ctx context.Context, want []beneath.Entry) error {
	paths := make([][]byte, len(want))
	for i, e := range want {
		paths[i] = []byte(e.Path)
	}
	ctx, cancel := context.WithCancel(ctx) // ends the stream where it isn't read to its end
	defer cancel()
	return p.source.contents(ctx, paths, func(i int, next func() (*agentpb.Chunk, error)) error {
		return p.bringOne(ctx, want[i], next)
	})
}

func (p *puller) bringOne(ctx context.Context, e beneath.Entry, next func() (*agentpb.Chunk, error)) error {
	first, err := next()
	if err != nil {
		return err
	}
	if first.GetGone() {
		return p.removeOne(ctx, e.Path)
	}
	modified, changed := e.Modified, false
	err = p.into.Put(e.Path, p.own.of(e), modified, func(w io.Writer) error {
		changed, err = p.write(w, first, next)
		return err
	})
	if err != nil {
		return fmt.Errorf("file %q: %w", e.Path, err)
	}
	p.brought.Files++
	if !changed {
		return nil
	}
	p.brought.Changed++
	return p.into.Touch(e.Path, 0) // no file is that old: it differs, so the next pull brings it
}

// write writes the chunks of a file and checks that they are what was sent.
func (p *puller) write(w io.Writer, c *agentpb.Chunk, next func() (*agentpb.Chunk, error)) (changed bool, err error) {
	sum := sha256.New()
	for len(c.GetSum()) == 0 {
		if _, err := io.MultiWriter(w, sum).Write(c.GetData()); err != nil {
			return false, err
		}
		p.brought.Bytes += int64(len(c.GetData()))
		if c, err = next(); err != nil {
			return false, err
		}
	}
	if !bytes.Equal(sum.Sum(nil), c.GetSum()) {
		return false, errors.New("what came isn't what was sent")
	}
	return c.GetChanged(), nil
}
