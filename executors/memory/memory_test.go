package memory_test

import (
	"errors"
	"strings"
	"testing"

	"hostctl/executors"
	"hostctl/executors/executorstest"
	"hostctl/executors/memory"
	"hostctl/planner"
	"hostctl/schema"
)

func TestExecutor(t *testing.T) {
	for name, whole := range map[string]bool{"refuses one by one": false, "refuses whole batches": true} {
		t.Run(name, func(t *testing.T) { executorstest.Test(t, harness(whole)) })
	}
}

func harness(whole bool) executorstest.Harness {
	kinds := []planner.Kind{planner.KindVolume, planner.KindUser, planner.KindVhost}
	vhost := func(site, host string) planner.Object {
		m := meta("web-1-0", "acme."+site, site)
		m.On = []planner.Ref{{Kind: planner.KindUser, Target: "web-1-0", Name: "acme"}}
		return planner.Vhost{Meta: m, Tenant: "acme", Site: site, Hostnames: []string{host}, Type: schema.RuntimeStatic}
	}
	return executorstest.Harness{
		New: func(*testing.T) executors.Executor {
			return &memory.Executor{Kinds: kinds, Whole: whole, Refuse: func(o planner.Object) error {
				if strings.HasPrefix(o.Ref().Name, "bad") {
					return errors.New("the name is bad")
				}
				return nil
			}}
		},
		Kinds: kinds,
		Samples: []executorstest.Sample{
			{Create: planner.Volume{Meta: meta("host-1", "web-1-files", "files"), Data: true}, Keeps: true},
			{
				Create: planner.User{Meta: meta("web-1-0", "acme", "acme"), Login: "t-acme", UID: 20001},
				Update: planner.User{Meta: meta("web-1-0", "acme", "acme"), Login: "t-acme", UID: 20001, Locked: true},
			},
			{Create: vhost("shop", "acme.shop"), Update: vhost("shop", "shop.acme.shop")},
			{Create: vhost("blog", "blog.acme.shop")},
			{Create: vhost("wiki", "wiki.acme.shop")},
		},
		Bad: []planner.Object{
			planner.User{Meta: meta("web-1-0", "bad", "bad"), Login: "t-bad", UID: 20002},
			planner.Vhost{Meta: meta("web-1-0", "bad.site", "bad-site"), Tenant: "bad", Site: "site", Type: schema.RuntimeStatic},
		},
		Damage: map[string]func(*testing.T, executors.Executor){
			"lost": func(_ *testing.T, e executors.Executor) {
				e.(*memory.Executor).Lose(planner.Ref{Kind: planner.KindUser, Target: "web-1-0", Name: "acme"})
			},
			"changed": func(_ *testing.T, e executors.Executor) {
				e.(*memory.Executor).Put(vhost("blog", "changed.acme.shop"))
			},
		},
		Swap: &[2]planner.Object{vhost("old", "www.acme.shop"), vhost("new", "www.acme.shop")},
	}
}

func meta(target, name, owner string) planner.Meta {
	return planner.Meta{Target: target, Name: name, From: planner.Owner{Tenant: "acme", Kind: "Webroot", Name: owner}}
}

func TestFaults(t *testing.T) {
	user := planner.User{Meta: meta("web-1-0", "acme", "acme"), Login: "t-acme", UID: 20001}
	other := planner.User{Meta: meta("web-1-0", "blue", "blue"), Login: "t-blue", UID: 20002}
	for _, point := range []memory.Point{memory.Before, memory.After} {
		t.Run(string(point), func(t *testing.T) {
			armed := true
			e := &memory.Executor{Fault: func(p memory.Point, _ planner.Change) error {
				if armed && p == point {
					return memory.ErrCrash
				}
				return nil
			}}
			cs := []planner.Change{{ID: 1, Action: planner.Create, New: user}, {ID: 2, Action: planner.Create, New: other}}
			for _, err := range e.Apply(t.Context(), cs) {
				if !errors.Is(err, memory.ErrCrash) {
					t.Errorf("after the crash: %v", err)
				}
			}
			if _, err := e.Observe(t.Context()); executors.KindOf(err) != executors.Unreachable {
				t.Errorf("observe after the crash: %v", err)
			}
			if got, want := len(e.State()), map[memory.Point]int{memory.Before: 0, memory.After: 1}[point]; got != want {
				t.Errorf("%d objects after the crash, want %d", got, want)
			}
			armed = false
			e.Restart()
			for _, err := range e.Apply(t.Context(), cs) {
				if err != nil {
					t.Error(err)
				}
			}
			if len(e.State()) != 2 {
				t.Errorf("after the restart: %v", e.State())
			}
		})
	}
}
