package git_test

import (
	"fmt"
	"io/fs"
	"testing"
	"time"

	"hostctl/schema"
)

// BenchmarkTree reads a commit of 10,000 files, packed by a push and by gc: all of it, and its paths alone.
func BenchmarkTree(b *testing.B) {
	const n = 10_000
	r := newRepo(b)
	for i := range n {
		r.write(fmt.Sprintf("tenants/t-%04d/site-%d.yaml", i/10, i%10),
			fmt.Sprintf("apiVersion: hosting/v1\nkind: Webroot\nmetadata:\n  name: site-%d\nspec:\n  runtime: {type: php, version: \"8.4\"}\n  fqdns: [www.site-%d.example]\n", i%10, i))
	}
	commit := r.commit("files")
	r.push("HEAD:main")
	s := r.source()
	for _, packed := range []string{"pushed", "gc"} {
		if packed == "gc" {
			run(b, r.bare, "gc", "--quiet")
		}
		for _, read := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/read=%v", packed, read), func(b *testing.B) {
				for b.Loop() {
					tree, count := treeAt(b, s, commit), 0
					err := tree.Walk(func(_ string, blob schema.BlobID, _ fs.FileMode) error {
						count++
						if !read {
							return nil
						}
						_, err := tree.Read(blob)
						return err
					})
					if err != nil || count != n {
						b.Fatalf("%d files, %v", count, err)
					}
				}
			})
		}
	}
}

// BenchmarkPushToHint says how long after git push has returned, or before, the branch was known to have moved.
func BenchmarkPushToHint(b *testing.B) {
	r := newRepo(b)
	s := r.source()
	hints := watch(b, s)
	var total time.Duration
	for i := 0; b.Loop(); i++ {
		r.write("a.yaml", fmt.Sprint(i))
		want := r.commit("change")
		r.push("HEAD:main")
		pushed := time.Now()
		for {
			at := await(b, hints)
			if head, err := s.Head(b.Context()); err == nil && head == want {
				total += at.Sub(pushed)
				break
			}
		}
	}
	b.ReportMetric(float64(total.Microseconds())/float64(b.N)/1000, "ms-after-push")
}

// BenchmarkRelation compares commits a thousand apart.
func BenchmarkRelation(b *testing.B) {
	r := newRepo(b)
	first := r.commit("first")
	for range 100 {
		parent := run(b, r.work, "rev-parse", "HEAD")
		for range 10 {
			parent = run(b, r.work, "commit-tree", "-m", "more", "-p", parent, "HEAD^{tree}")
		}
		run(b, r.work, "reset", "--quiet", "--soft", parent)
	}
	r.push("HEAD:main")
	s := r.source()
	last, err := s.Head(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for name, pair := range map[string][2]string{"ahead": {first, last}, "behind": {last, first}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Relation(b.Context(), pair[0], pair[1]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
