package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"hostctl/reconciler"
	"hostctl/schema"
)

// ApprovalTags begin the names of the tags that approve commits: approve/COMMIT/WHO, COMMIT a full id. What counts is the
// signed tag object, with such a name in it, that names the commit; WHO tells several apart and says nothing.
const ApprovalTags = "refs/tags/approve/"

var _ reconciler.Authority = (*Source)(nil)

// Lacking implements reconciler.Authority. Approvals are the repository's tags, and those of a push that WithTags names.
func (s *Source) Lacking(ctx context.Context, a, b string) ([]reconciler.Lack, error) {
	p, err := s.Signing(ctx, a)
	if err != nil {
		return nil, err
	}
	lacking, err := s.Unsigned(ctx, p, a, b)
	if err != nil {
		return nil, err
	}
	unapproved, err := s.unapproved(ctx, p, a, b)
	if err != nil {
		return nil, fmt.Errorf("check approvals: %w", err)
	}
	if _, err := s.Signing(ctx, b); err != nil && !errors.Is(err, schema.ErrNoPlatform) { // else loading tells where
		return nil, err
	}
	for _, l := range unapproved {
		told := slices.ContainsFunc(lacking, func(o reconciler.Lack) bool { return o.Commit == l.Commit })
		if l.Approval || !told { // that it isn't signed is said once
			lacking = append(lacking, l)
		}
	}
	return lacking, nil
}

// WithTags returns the source with tags that aren't in the repository yet, by reference; a push brings them.
func (s *Source) WithTags(tags map[string]string) *Source {
	with := *s
	with.tags = tags
	return &with
}

// approval is a tag that approves a commit, or why it doesn't.
type approval struct {
	tag        string
	principals []string
	why        string
}

// unapproved returns the commits that to has and from hasn't which rules ask approvals for that they don't have. An approval
// of a commit is one of those that led to it, too, as far as they come with it.
func (s *Source) unapproved(ctx context.Context, p *Signing, from, to string) ([]reconciler.Lack, error) {
	if len(p.approvals) == 0 {
		return nil, nil
	}
	var commits []*object.Commit
	err := s.eachBetween(ctx, from, to, func(c *object.Commit) { commits = append(commits, c) })
	if err != nil {
		return nil, err
	}
	asked := map[plumbing.Hash][]string{}
	for _, c := range commits {
		files, err := ownFiles(c)
		if err != nil {
			return nil, err
		}
		files = slices.DeleteFunc(files, func(f string) bool {
			return !slices.ContainsFunc(p.approvals, func(r schema.ApprovalRule) bool { return r.Names(f) })
		})
		if len(files) > 0 {
			asked[c.Hash] = files
		}
	}
	if len(asked) == 0 {
		return nil, nil
	}
	repo, err := s.repository()
	if err != nil {
		return nil, err
	}
	approved, err := s.approvalsOf(repo, p, commits)
	if err != nil {
		return nil, err
	}
	var lacking []reconciler.Lack
	for _, c := range commits {
		if len(asked[c.Hash]) == 0 {
			continue
		}
		by, why, err := p.signedBy(repo, c)
		if err != nil {
			return nil, err
		}
		if l := p.weigh(c, asked[c.Hash], by, why, approved[c.Hash]); l != nil {
			lacking = append(lacking, *l)
		}
	}
	return lacking, nil
}

// weigh returns what a commit lacks of the approvals that its files ask for, nil where it lacks nothing. Who signed it can't
// approve it, so it must be known who did.
func (p *Signing) weigh(c *object.Commit, files, signers []string, unsigned string, approvals []approval) *reconciler.Lack {
	subject, _, _ := strings.Cut(c.Message, "\n")
	for _, file := range files {
		for _, r := range p.approvals {
			if !r.Names(file) {
				continue
			}
			l := &reconciler.Lack{Commit: c.Hash.String(), Subject: subject, File: file, Approval: true, Wanted: r.Approvers}
			if unsigned != "" {
				l.Approval, l.Wanted = false, []string{"somebody else than who approves it"}
				l.Why = unsigned
				return l
			}
			if n, notes := count(r, signers, approvals); n < r.Count {
				l.Why = strings.Join(append([]string{fmt.Sprintf("it has %d of %d approvals", n, r.Count)}, notes...), "; ")
				return l
			}
		}
	}
	return nil
}

// count returns how many people have approved what a rule names, and why the other approvals don't count. Several keys of
// one name are one person's.
func count(r schema.ApprovalRule, signers []string, approvals []approval) (n int, notes []string) {
	taken := lower(signers)
	for _, a := range approvals {
		who := lower(a.principals)
		switch {
		case a.why != "":
			notes = append(notes, fmt.Sprintf("%s doesn't count: %s", a.tag, a.why))
		case !r.Allows(who):
			notes = append(notes, fmt.Sprintf("%s doesn't count: %s may not", a.tag, strings.Join(who, ", ")))
		case slices.ContainsFunc(who, func(name string) bool { return slices.Contains(lower(signers), name) }):
			notes = append(notes, fmt.Sprintf("%s doesn't count: who signs a commit can't approve it", a.tag))
		case slices.ContainsFunc(who, func(name string) bool { return slices.Contains(taken, name) }):
			// the same person again
		default:
			taken = append(taken, who...)
			n++
		}
	}
	return n, notes
}

func lower(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strings.ToLower(n)
	}
	return out
}

// approvalsOf returns the approvals of each of some commits: its own, and those of the commits among them that it led to.
func (s *Source) approvalsOf(repo *gogit.Repository, p *Signing, commits []*object.Commit) (map[plumbing.Hash][]approval, error) {
	known := map[plumbing.Hash]*object.Commit{}
	for _, c := range commits {
		known[c.Hash] = c
	}
	tags, err := s.approvalTags(repo)
	if err != nil {
		return nil, err
	}
	of := map[plumbing.Hash][]approval{}
	for _, ref := range slices.Sorted(maps.Keys(tags)) {
		id, _, _ := strings.Cut(strings.TrimPrefix(ref, ApprovalTags), "/")
		c := known[plumbing.NewHash(id)]
		if c == nil || !plumbing.IsHash(id) {
			continue
		}
		a, err := p.readApproval(repo, ref, tags[ref], c.Hash)
		if err != nil {
			return nil, err
		}
		cover(of, known, c, a)
	}
	return of, nil
}

// cover adds an approval of a commit to it and to those known that led to it.
func cover(of map[plumbing.Hash][]approval, known map[plumbing.Hash]*object.Commit, c *object.Commit, a approval) {
	seen := map[plumbing.Hash]bool{c.Hash: true}
	for todo := []*object.Commit{c}; len(todo) > 0; {
		c, todo = todo[len(todo)-1], todo[:len(todo)-1]
		of[c.Hash] = append(of[c.Hash], a)
		for _, h := range c.ParentHashes {
			if parent := known[h]; parent != nil && !seen[h] {
				seen[h] = true
				todo = append(todo, parent)
			}
		}
	}
}

// approvalTags returns the tags that may approve commits, with what they point at.
func (s *Source) approvalTags(repo *gogit.Repository) (map[string]plumbing.Hash, error) {
	tags := map[string]plumbing.Hash{}
	refs, err := repo.References()
	if err != nil {
		return nil, err
	}
	err = refs.ForEach(func(r *plumbing.Reference) error {
		if name := r.Name().String(); strings.HasPrefix(name, ApprovalTags) {
			tags[name] = r.Hash()
		}
		return nil
	})
	for ref, id := range s.tags {
		if strings.HasPrefix(ref, ApprovalTags) {
			tags[ref] = plumbing.NewHash(id)
		}
	}
	return tags, err
}

// readApproval reads a tag as git makes it with a signature: the tag's bytes, and after them the signature
// (gitformat-signature(5), "Tag signatures").
func (p *Signing) readApproval(repo *gogit.Repository, ref string, id, commit plumbing.Hash) (approval, error) {
	a := approval{tag: strings.TrimPrefix(ref, "refs/tags/")}
	o, err := repo.Storer.EncodedObject(plumbing.TagObject, id)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		a.why = "it is no tag with a signature"
		return a, nil
	}
	if err != nil {
		return a, err
	}
	raw, err := readAll(o)
	if err != nil {
		return a, err
	}
	var tag object.Tag
	if tag.Decode(o) != nil {
		a.why = "it can't be read"
		return a, nil //nolint:nilerr // that is what there is to say of it
	}
	named, _, _ := strings.Cut(strings.TrimPrefix(tag.Name, "approve/"), "/")
	switch {
	case tag.TargetType != plumbing.CommitObject || tag.Target != commit:
		a.why = "it is a tag of something else"
	case !strings.HasPrefix(tag.Name, "approve/") || named != commit.String():
		a.why = fmt.Sprintf("it was signed as %q", tag.Name)
	default:
		signed, signature := splitTag(raw)
		a.principals, a.why = p.verify(signed, signature, tag.Tagger.When)
	}
	return a, nil
}

// splitTag takes the signature off a tag's bytes: it begins with the last line that begins one.
func splitTag(raw []byte) (signed, signature []byte) {
	at := len(raw)
	for i := 0; i < len(raw); {
		if line := raw[i:]; bytes.HasPrefix(line, []byte(beginSSH)) || bytes.HasPrefix(line, []byte(beginOpenPGP)) {
			at = i
		}
		end := bytes.IndexByte(raw[i:], '\n')
		if end < 0 {
			break
		}
		i += end + 1
	}
	return raw[:at], raw[at:]
}

// Email returns the mail address that git puts into commits made here, "" where its config names none.
func (s *Source) Email(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	repo, err := s.repository()
	if err != nil {
		return "", fmt.Errorf("open repository %s: %w", s.gitDir, err)
	}
	c, err := repo.ConfigScoped(config.SystemScope)
	if err != nil {
		return "", fmt.Errorf("read git's config: %w", err)
	}
	return c.User.Email, nil
}
