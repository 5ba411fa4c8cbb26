package planner_test

import (
	"testing"

	"hostctl/planner"
)

// A tenant goes to another shard and back at every point at which the way there may break off: nothing that was written is
// lost, and what is left is what is declared.
func TestG04_RelocationBreaksOff(t *testing.T) {
	site := [2]string{"acme", "blog"}
	for _, f := range []fault{failsBefore, failsAfter, killBefore, killAfter} {
		for _, then := range []string{"web-1", "web-2", "web-3"} {
			for at := 1; ; at++ {
				w, wish := newWorld(), firstWish()
				wish.nodes["web-2"] = 2
				wish.sites[site] = "8.3"
				carryOut(t, w, &wish, 1, nil)
				wish.home["acme"] = "web-2"
				w.manifest = wish.manifest(2)
				p := plan(t, w, w.manifest)
				if at > len(p.Changes) {
					break
				}
				w.run(p, func(c planner.Change) fault {
					if c.ID == at {
						return f
					}
					return fine
				})
				wish.home["acme"] = then
				if then == "web-3" {
					wish.nodes["web-3"] = 1
				}
				carryOut(t, w, &wish, 3, nil)
				if p := plan(t, w, wish.manifest(3)); !p.Empty() {
					t.Fatalf("fault %d at change %d, then %s: not empty:\n%s", f, at, then, describe(p))
				}
				ref := planner.Ref{Kind: planner.KindWebroot, Target: then, Name: "acme.blog"}
				if w.data[ref] != w.written["acme.blog"] || w.written["acme.blog"] == 0 {
					t.Fatalf("fault %d at change %d, then %s: it has %d of %d writes", f, at, then, w.data[ref], w.written["acme.blog"])
				}
				if t.Failed() {
					t.Fatalf("fault %d at change %d, then %s", f, at, then)
				}
			}
		}
	}
}
