package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"hostctl/reconciler"
)

// errGone says that the branch was there and no longer is.
var errGone = errors.New("the branch is gone there; what was read last stays true: push it again, or name another one with --branch")

// PreviewRef returns the name under which a mirror keeps a reference of the remote that is only looked at, as the head of
// a pull request: refs/pull/7/head is refs/previews/pull/7/head.
func PreviewRef(ref string) string { return previews + strings.TrimPrefix(ref, "refs/") }

const (
	previews  = "refs/previews/"
	rewritten = "refs/rewritten/" // where the branch was before its history was rewritten
)

// follow brings the branch to where it is at the remote, and the approvals of its commits. It reports whether it has moved,
// or more is approved.
func (m *Mirror) follow(ctx context.Context) (moved bool, err error) {
	var there map[string]plumbing.Hash
	err = m.exchange(ctx, func(ctx context.Context, far uploadPack, refs *packp.AdvRefs) error {
		there = refs.References
		want, ok := refs.References[m.branch.String()]
		at, err := m.Source.Head(ctx)
		switch {
		case err != nil && !errors.Is(err, reconciler.ErrNoCommit):
			at = "" // it can't be read: it is written anew
		case !ok && at != "":
			return errGone
		case !ok:
			return nil
		}
		if want.String() == at && m.has(want) {
			return nil
		}
		if err := m.bring(ctx, far, refs, []plumbing.Hash{want}); err != nil {
			return err
		}
		if err := m.keepRewritten(ctx, at, want.String()); err != nil {
			return err
		}
		moved = true
		return m.setRef(m.branch, want)
	})
	if err != nil {
		return false, err
	}
	approved := m.followApprovals(ctx, m.newApprovals(there))
	return moved || approved, nil
}

// keepRewritten keeps the commit where the branch was, unless the one where it is now leads to it: guards compare with it.
func (m *Mirror) keepRewritten(ctx context.Context, was, is string) error {
	if was == "" || !m.has(plumbing.NewHash(was)) {
		return nil
	}
	switch relation, err := m.Relation(ctx, was, is); {
	case err != nil:
		return err
	case relation == reconciler.Ahead || relation == reconciler.Same:
		return nil
	}
	m.log.Warn("the branch was rewritten at the remote", "url", m.address.String(), "branch", m.remote.Branch, "was", was, "is", is)
	return m.setRef(plumbing.ReferenceName(rewritten+was), plumbing.NewHash(was))
}

// Fetch brings references of the remote, as refs/pull/7/head, keeps each under its PreviewRef, wherever that was before,
// and returns their commits. One that the remote doesn't have is missing in the answer, and isn't kept any longer.
func (m *Mirror) Fetch(ctx context.Context, refs ...string) (map[string]string, error) {
	for _, ref := range refs {
		if err := plumbing.ReferenceName(ref).Validate(); err != nil || !strings.HasPrefix(ref, "refs/") {
			return nil, fmt.Errorf("fetch %q: want the whole name of a reference, as refs/pull/7/head", ref)
		}
	}
	commits := map[string]string{}
	err := m.exchange(ctx, func(ctx context.Context, far uploadPack, there *packp.AdvRefs) error {
		var wants []plumbing.Hash
		for _, ref := range refs {
			if id, ok := there.References[ref]; ok {
				commits[ref] = id.String()
				wants = append(wants, id)
			}
		}
		if err := m.bring(ctx, far, there, wants); err != nil {
			return err
		}
		for _, ref := range refs {
			if err := m.keepPreview(ctx, ref, commits[ref]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("fetch from %s: %w", m.address, err)
	}
	return commits, nil
}

// keepPreview keeps a reference of the remote at a commit, or forgets it where that is "".
func (m *Mirror) keepPreview(ctx context.Context, ref, commit string) error {
	if commit == "" {
		return m.Forget(ctx, ref)
	}
	name := plumbing.ReferenceName(PreviewRef(ref))
	if at, err := m.readRef(name); err == nil && at == commit {
		return nil
	}
	return m.setRef(name, plumbing.NewHash(commit))
}

func (m *Mirror) readRef(name plumbing.ReferenceName) (string, error) {
	repo, err := m.repository()
	if err != nil {
		return "", err
	}
	ref, err := repo.Reference(name, false)
	if err != nil {
		return "", err
	}
	return ref.Hash().String(), nil
}

// Forget keeps references of the remote no longer that Fetch has brought. One that isn't kept is no error.
func (m *Mirror) Forget(ctx context.Context, refs ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	repo, err := m.repository()
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if err := repo.Storer.RemoveReference(plumbing.ReferenceName(PreviewRef(ref))); err != nil {
			return fmt.Errorf("forget %s: %w", ref, err)
		}
	}
	return nil
}

// exchange talks to the remote: it reads its references and passes them to fn. Whatever the remote does, it ends.
func (m *Mirror) exchange(ctx context.Context, fn func(context.Context, uploadPack, *packp.AdvRefs) error) error {
	ctx, p, end := withPatience(ctx, m.remote.Stall, m.remote.Limit)
	defer end()
	far, err := m.dial(ctx, p)
	if err != nil {
		return cause(ctx, err)
	}
	refs, err := far.references()
	if err == nil {
		err = fn(ctx, far, refs)
	}
	return cause(ctx, errors.Join(err, far.close(err != nil)))
}

func (m *Mirror) dial(ctx context.Context, p *patience) (uploadPack, error) {
	if m.client == nil {
		s, err := dialSSH(ctx, p, m.remote, m.address)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	token, err := m.remote.token()
	if err != nil {
		return nil, err
	}
	return &overHTTP{ctx: ctx, patience: p, client: m.client, base: m.address.String(), username: m.remote.Username, token: token}, nil
}

// bring fetches commits with all that they need and that isn't here, and sees that they are here then.
func (m *Mirror) bring(ctx context.Context, far uploadPack, refs *packp.AdvRefs, wants []plumbing.Hash) error {
	slices.SortFunc(wants, func(a, b plumbing.Hash) int { return bytes.Compare(a[:], b[:]) })
	wants = slices.DeleteFunc(slices.Compact(wants), m.has)
	if len(wants) == 0 {
		return nil
	}
	if err := fetchPack(ctx, far, refs, slices.Clone(wants), m.haves(ctx), m.keepPack); err != nil {
		return err
	}
	for _, id := range wants {
		if !m.has(id) {
			return fmt.Errorf("it sent no commit %s, which it has told of", id)
		}
	}
	return nil
}

// has reports whether a commit is here, with its folder; of a tag, the commit that it names.
func (m *Mirror) has(commit plumbing.Hash) bool {
	repo, err := m.repository()
	if err != nil {
		return false
	}
	if tag, err := repo.TagObject(commit); err == nil && tag.TargetType == plumbing.CommitObject {
		commit = tag.Target
	}
	c, err := repo.CommitObject(commit)
	if err != nil {
		return false
	}
	_, err = c.Tree()
	return err == nil
}

// maxHaves is how many commits of each reference the remote is told of: where it knows none of them, after it was
// rewritten, it sends all it has.
const maxHaves = 64

// haves returns commits that are here, so that the remote sends less. Where one can't be read, it is told of none: all is
// sent again.
func (m *Mirror) haves(ctx context.Context) []plumbing.Hash {
	repo, err := m.repository()
	if err != nil {
		return nil
	}
	refs, err := repo.References()
	if err != nil {
		return nil
	}
	defer refs.Close()
	seen, here := map[plumbing.Hash]bool{}, []plumbing.Hash{}
	err = refs.ForEach(func(ref *plumbing.Reference) error {
		if ref.Type() != plumbing.HashReference || strings.HasPrefix(ref.Name().String(), ApprovalTags) {
			return nil // what is approved is on the branch
		}
		n := 0
		return walk(ctx, repo, ref.Hash(), seen, func(c *object.Commit) bool {
			here = append(here, c.Hash)
			n++
			return n < maxHaves
		})
	})
	if err != nil {
		return nil
	}
	return here
}

// fetching begins the names of the folders in which a fetch gathers what comes.
const fetching = "tmp_fetch_"

// keepPack writes a pack in a folder of its own, and moves it among the others once all of it is on disk. What is here is
// not touched before.
func (m *Mirror) keepPack(pack io.Reader) (err error) {
	aside, err := os.MkdirTemp(m.gitDir, fetching)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(aside)) }()
	store := filesystem.NewStorage(osfs.New(aside), cache.NewObjectLRU(cacheSize))
	if err := errors.Join(packfile.WritePackfileToObjectStorage(store, pack), store.Close()); err != nil {
		return fmt.Errorf("read what it sends: %w", err)
	}
	return m.takePacks(filepath.Join(aside, "objects", "pack"))
}

func (m *Mirror) takePacks(from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	to := filepath.Join(m.gitDir, "objects", "pack")
	// A pack counts from when its .pack is there, and needs its index then.
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(filepath.Ext(a.Name()), filepath.Ext(b.Name())) })
	for _, e := range entries {
		if err := synced(filepath.Join(from, e.Name())); err != nil {
			return err
		}
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return synced(to)
}

// synced has what was written to a file or a folder be on disk.
func synced(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// setRef has a reference name a commit: before, or after, and at no moment neither. Objects are on disk before it.
func (m *Mirror) setRef(name plumbing.ReferenceName, id plumbing.Hash) error {
	file := filepath.Join(m.gitDir, filepath.FromSlash(name.String()))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := writeWhole(m.gitDir, file, id.String()+"\n"); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// abandoned is how old what a fetch was gathering must be to be nobody's: another hostd may still be ending.
const abandoned = time.Hour

// sweep removes what fetches left that were killed.
func (m *Mirror) sweep() error {
	entries, err := os.ReadDir(m.gitDir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		info, err := e.Info()
		if !strings.HasPrefix(e.Name(), "tmp_") || err != nil || time.Since(info.ModTime()) < abandoned {
			continue
		}
		errs = append(errs, os.RemoveAll(filepath.Join(m.gitDir, e.Name())))
	}
	return errors.Join(errs...)
}
