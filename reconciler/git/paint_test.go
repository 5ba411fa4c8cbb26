package git

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"pgregory.net/rapid"

	"hostctl/reconciler"
)

// Of random histories, what is between two commits is what one has and the other hasn't. Where times are wrong nothing that
// is new is missed, and how the two stand to each other is still told as it is.
func TestBetweenRandomHistories(t *testing.T) {
	dir := t.TempDir()
	if err := Init(dir); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, DefaultBranch)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		skew := rapid.SampledFrom([]int{0, 1, 10}).Draw(t, "skew")
		var commits []plumbing.Hash
		has := map[plumbing.Hash]map[plumbing.Hash]bool{} // with itself
		for i := range rapid.IntRange(1, 14).Draw(t, "commits") {
			var parents []plumbing.Hash
			for range min(i, rapid.IntRange(0, 3).Draw(t, "parents")) {
				parents = append(parents, rapid.SampledFrom(commits).Draw(t, "parent"))
			}
			minute := i + rapid.IntRange(-skew, skew).Draw(t, "minute")
			c := committed(t, s, fmt.Sprint(i), time.Unix(1_700_000_000+60*int64(minute), 0), parents)
			commits, has[c] = append(commits, c), map[plumbing.Hash]bool{c: true}
			for _, p := range parents {
				for h := range has[p] {
					has[c][h] = true
				}
			}
		}
		a, b := rapid.SampledFrom(commits).Draw(t, "a"), rapid.SampledFrom(commits).Draw(t, "b")
		infos, err := s.Between(t.Context(), a.String(), b.String())
		if err != nil {
			t.Fatal(err)
		}
		want := reconciler.Diverged
		switch {
		case a == b:
			want = reconciler.Same
		case has[b][a]:
			want = reconciler.Ahead
		case has[a][b]:
			want = reconciler.Behind
		}
		if got, err := s.Relation(t.Context(), a.String(), b.String()); err != nil || got != want {
			t.Errorf("%s is %s of %s, %v; want %s", b, got, a, err, want)
		}
		var got []string
		for _, c := range infos {
			got = append(got, c.Commit)
		}
		for h := range has[b] {
			if !has[a][h] && !slices.Contains(got, h.String()) {
				t.Errorf("%s is new, and missed", h)
			}
		}
		for _, h := range got {
			if h := plumbing.NewHash(h); skew == 0 && (has[a][h] || !has[b][h]) {
				t.Errorf("%s isn't new", h)
			}
		}
	})
}

func committed(t *rapid.T, s *Source, message string, when time.Time, parents []plumbing.Hash) plumbing.Hash {
	repo, err := s.repository()
	if err != nil {
		t.Fatal(err)
	}
	by := object.Signature{Name: "A", Email: "a@b", When: when}
	c := &object.Commit{Author: by, Committer: by, Message: message, ParentHashes: parents}
	o := repo.Storer.NewEncodedObject()
	if err := c.Encode(o); err != nil {
		t.Fatal(err)
	}
	id, err := repo.Storer.SetEncodedObject(o)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
