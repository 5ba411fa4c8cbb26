package git_test

import (
	"strings"
	"testing"

	"hostctl/reconciler/git/gittest"
)

// A mirror has the tags that approve commits of its branch, with them or after, and one that is no approval is in nobody's
// way.
func TestMirrorFollowsApprovals(t *testing.T) {
	r := newRemote(t)
	m := r.open(t)
	blob := gittest.Git(t, r.Bare, "rev-parse", "main:platform/platform.yaml")
	junk, good := "approve/"+r.first+"/junk", "approve/"+r.first+"/bert"
	elsewhere := "approve/" + strings.Repeat("1", 40) + "/bert"
	for tag, of := range map[string]string{junk: blob, good: r.first, elsewhere: r.first} {
		gittest.Git(t, r.Bare, "-c", "user.name=B", "-c", "user.email=b@c", "tag", "--annotate", "--message", "approved", tag, of)
	}
	follow(t, m)
	here := func(tag string) bool {
		kind := gittest.Git(t, r.dir, "for-each-ref", "--format=%(objecttype)", "refs/tags/"+tag)
		return kind == "tag"
	}
	until(t, m, "the approval is here", func() bool { return here(good) })
	if here(junk) || here(elsewhere) {
		t.Error("tags of something else are here")
	}
	r.Write("platform/more.txt", "more")
	second := r.Commit("second")
	r.Push("HEAD:main")
	until(t, m, "the branch is followed on", func() bool { head, err := m.Head(t.Context()); return err == nil && head == second })
	tag := "approve/" + second + "/bert"
	gittest.Git(t, r.Bare, "-c", "user.name=B", "-c", "user.email=b@c", "tag", "--annotate", "--message", "approved", tag, second)
	until(t, m, "the next approval is here", func() bool { return here(tag) })
}
