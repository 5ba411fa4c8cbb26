package git

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// File is a file as a commit has it.
type File struct {
	Commit string
	Path   string
	Data   []byte
}

// EachPushed calls fn with each file that a commit of a push adds or changes: the commits that lead to one and that the
// repository doesn't have without the push. What was added by one and taken out by the next is among them; it would be in
// the repository's history. A content is passed once for each path, however often it comes and goes. Without a push in
// quarantine there is nothing.
func (s *Source) EachPushed(ctx context.Context, to string, fn func(File) error) (err error) {
	if s.incoming == "" {
		return nil
	}
	repo, err := s.repository()
	if err != nil {
		return fmt.Errorf("open repository %s: %w", s.gitDir, err)
	}
	objects, ok := repo.Storer.(layered)
	if !ok {
		return fmt.Errorf("open repository %s: it has no push", s.gitDir)
	}
	defer func() { err = errors.Join(err, objects.Close()) }()
	p := &pushed{objects: objects, seen: map[plumbing.Hash]bool{}, told: map[pathBlob]bool{}, fn: fn}
	if err := p.follow(ctx, plumbing.NewHash(to)); err != nil {
		return fmt.Errorf("read what the push brings: %w", err)
	}
	return nil
}

type pathBlob struct {
	path string
	blob plumbing.Hash
}

type pushed struct {
	objects layered
	seen    map[plumbing.Hash]bool
	told    map[pathBlob]bool
	fn      func(File) error
}

// follow goes from an object that a reference is to point at through all that is new.
func (p *pushed) follow(ctx context.Context, id plumbing.Hash) error {
	todo := []plumbing.Hash{id}
	for len(todo) > 0 {
		id, todo = todo[len(todo)-1], todo[:len(todo)-1]
		if p.seen[id] || p.objects.incoming.HasEncodedObject(id) != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		p.seen[id] = true
		o, err := object.GetObject(p.objects, id)
		if err != nil {
			return err
		}
		switch o := o.(type) {
		case *object.Tag:
			todo = append(todo, o.Target)
		case *object.Commit:
			todo = append(todo, o.ParentHashes...)
			if err := p.commit(o); err != nil {
				return err
			}
		}
	}
	return nil
}

// commit passes what a commit has that its first parent hasn't. What a merge takes from the other side is that side's.
func (p *pushed) commit(c *object.Commit) error {
	tree, err := c.Tree()
	if err != nil {
		return err
	}
	var before *object.Tree
	if parent, err := c.Parent(0); err == nil {
		if before, err = parent.Tree(); err != nil {
			return err
		}
	} else if !errors.Is(err, object.ErrParentNotFound) && !errors.Is(err, plumbing.ErrObjectNotFound) {
		return err
	}
	changes, err := object.DiffTree(before, tree)
	if err != nil {
		return err
	}
	for _, change := range changes {
		to := change.To
		key := pathBlob{to.Name, to.TreeEntry.Hash}
		if to.Name == "" || !to.TreeEntry.Mode.IsFile() || p.told[key] {
			continue
		}
		p.told[key] = true
		data, err := p.read(to.TreeEntry.Hash)
		if err != nil {
			return fmt.Errorf("read %s of commit %s: %w", to.Name, c.Hash, err)
		}
		if err := p.fn(File{Commit: c.Hash.String(), Path: to.Name, Data: data}); err != nil {
			return err
		}
	}
	return nil
}

func (p *pushed) read(blob plumbing.Hash) ([]byte, error) {
	o, err := p.objects.EncodedObject(plumbing.BlobObject, blob)
	if err != nil {
		return nil, err
	}
	return readAll(o)
}
