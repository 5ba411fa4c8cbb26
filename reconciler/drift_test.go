package reconciler_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/schema"
)

// sighted is an agent that tells what is on its node, what its node shares with others included.
type sighted struct {
	node
	asked func()
}

// Observe implements executors.Observer.
func (s sighted) Observe(ctx context.Context) ([]planner.Object, error) {
	if err := s.answers(); err != nil {
		return nil, err
	}
	if s.asked != nil {
		s.asked()
	}
	all, err := s.f.Observe(ctx)
	return slices.DeleteFunc(all, func(o planner.Object) bool {
		target := o.Ref().Target
		return target != s.name && !strings.HasPrefix(s.name, target+"-")
	}), err
}

// sightedWorld is a world whose nodes can be observed. asked is called while one of them is.
func sightedWorld(t testing.TB, asked func()) *world {
	w := newWorld(t)
	w.rec.Connect = func(t planner.Target, s reconciler.Session) (executors.Executor, error) {
		far, err := w.far.connect(t, s)
		if n, ok := far.(node); ok {
			return sighted{n, asked}, err
		}
		return far, err
	}
	return w
}

func (w *world) observe() reconciler.Drift {
	w.Helper()
	d, err := w.rec.Observe(context.Background(), nil)
	w.must(err)
	return d
}

// found writes findings as lines of reference, state and what becomes of it.
func found(d reconciler.Drift) []string {
	lines := []string{}
	for _, f := range d.Found {
		line := f.Ref.String() + " " + string(f.State) + " " + string(f.Mode)
		if f.Fighting != nil {
			line += " fighting"
		}
		lines = append(lines, line)
	}
	return lines
}

func wantFound(t testing.TB, d reconciler.Drift, want ...string) {
	t.Helper()
	if got := found(d); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

// ref returns the one object of a kind whose reference holds a text.
func (w *world) ref(kind planner.Kind, text string) planner.Ref {
	w.Helper()
	var refs []planner.Ref
	for ref := range w.live().State {
		if ref.Kind == kind && strings.Contains(ref.String(), text) {
			refs = append(refs, ref)
		}
	}
	if len(refs) != 1 {
		w.Fatalf("%s %s: %v, want one", kind, text, refs)
	}
	return refs[0]
}

// vary changes a route or an RRset behind everyone's back.
func (w *world) vary(ref planner.Ref) {
	w.Helper()
	switch o := w.far.State()[ref].(type) {
	case planner.RRset:
		o.Values = []string{"203.0.113.66"}
		w.far.Put(o)
	case planner.Server:
		o.State = planner.ServerDrain
		w.far.Put(o)
	default:
		w.Fatalf("there is no %s, or it can't be varied", ref)
	}
}

func TestDriftIsFoundAndPutRight(t *testing.T) {
	w := sightedWorld(t, nil)
	id := w.applied(minimal(t))
	before := w.observe()
	wantFound(t, before)
	if want := len(w.live().State); before.Objects != want {
		t.Errorf("%d objects were compared, want all %d", before.Objects, want)
	}

	vhost, set := w.ref(planner.KindVhost, ""), w.ref(planner.KindRRset, "/www.acme.test/A")
	w.far.Lose(vhost)
	w.vary(set)
	orphan := planner.RRset{Meta: planner.Meta{Target: set.Target, Name: "acme.test/mine.acme.test/TXT"}, Zone: "acme.test", FQDN: "mine.acme.test", Type: "TXT", TTL: 60, Values: []string{`"x"`}}
	w.far.Put(orphan)
	d := w.observe()
	wantFound(t, d, vhost.String()+" gone correct", orphan.Ref().String()+" orphan report", set.String()+" differs correct")
	if f := d.Found[2]; len(f.Differences) != 1 || !strings.HasPrefix(f.Differences[0], "values: +203.0.113.66 -") || f.Owner.File == "" {
		t.Errorf("the finding doesn't say what differs, or who declared it: %+v", f)
	}
	if p := w.plan(id); !p.Empty() {
		t.Errorf("to look has changed the next plan:\n%s", text(p))
	}
	if !w.rec.Correct(context.Background(), &d) {
		t.Error("nothing was marked")
	}
	p := w.plan(id)
	var refs []string
	for _, c := range p.Changes {
		refs = append(refs, c.Ref().String())
	}
	if slices.Sort(refs); !slices.Equal(refs, []string{set.String(), vhost.String()}) {
		t.Errorf("the plan touches %q", refs)
	}
	w.must(w.apply(id))
	wantFound(t, w.observe(), orphan.Ref().String()+" orphan report")
	if w.far.State()[orphan.Ref()] == nil {
		t.Error("what nobody declared was deleted")
	}
}

func TestDriftPolicyOfAKind(t *testing.T) {
	w := sightedWorld(t, nil)
	id := w.applied(with(t, minimal(t), "  nameservers:", "  driftPolicy: {default: \"off\", kinds: {rrset: report}}\n  nameservers:"))
	w.far.Lose(w.ref(planner.KindVhost, ""))
	set := w.ref(planner.KindRRset, "/www.acme.test/A")
	w.vary(set)
	d := w.observe()
	wantFound(t, d, set.String()+" differs report")
	if w.rec.Correct(context.Background(), &d) || len(w.live().Dirty) > 0 {
		t.Errorf("what is to be reported was marked: %v", w.live().Dirty)
	}
	// Containers are looked at more often, by the same policy.
	w.far.loseContainer("web-1-0")
	if w.look(); len(w.live().Dirty) > 0 {
		t.Errorf("a look at the engine has marked %v, against the policy", w.live().Dirty)
	}
	if p := w.plan(id); len(p.Changes) > 0 && p.Changes[0].Ref().Kind == planner.KindContainer {
		t.Errorf("the plan makes the container again:\n%s", text(p))
	}
}

// What can't be read isn't empty: a node that doesn't answer has lost nothing.
func TestG08_UnreadIsNotGone(t *testing.T) {
	w := sightedWorld(t, nil)
	w.applied(minimal(t))
	w.far.silence("web-1-0", "eu-1-dns-0", "eu-1-lb-0", "host-1")
	d := w.observe()
	wantFound(t, d)
	if len(d.Unread) != 4 || d.Objects != 0 {
		t.Errorf("unread %v, %d objects compared", d.Unread, d.Objects)
	}
}

func TestALookThatARunOvertakesIsVoid(t *testing.T) {
	var w *world
	var meanwhile func()
	w = sightedWorld(t, func() {
		if meanwhile != nil {
			meanwhile()
		}
	})
	id := w.applied(minimal(t))
	set := w.ref(planner.KindRRset, "/www.acme.test/A")
	w.vary(set)
	d := w.observe()
	begin := func() reconciler.Journal {
		p := w.plan(id)
		j, err := w.store.Begin(context.Background(), p, reconciler.Holder{Name: "another"})
		w.must(err)
		return j
	}
	var j reconciler.Journal
	meanwhile = sync.OnceFunc(func() { j = begin() })
	if _, err := w.rec.Observe(context.Background(), nil); !errors.Is(err, reconciler.ErrBusy) {
		t.Errorf("a run began while it was looked: %v", err)
	}
	if w.rec.Correct(context.Background(), &d) {
		t.Error("what was seen before a run was marked during it")
	}
	if _, err := w.rec.Observe(context.Background(), nil); !errors.Is(err, reconciler.ErrBusy) {
		t.Errorf("a look during a run: %v", err)
	}
	w.must(j.End(context.Background(), reconciler.Succeeded, ""))
	if w.rec.Correct(context.Background(), &d) {
		t.Error("what was seen before a run was marked after it")
	}
	if d = w.observe(); !w.rec.Correct(context.Background(), &d) {
		t.Error("what was seen after the run wasn't marked")
	}
}

// What no engine changes back while it runs is marked as gone, with what is in it: it is made anew.
func TestDriftThatNeedsANewContainer(t *testing.T) {
	w := sightedWorld(t, nil)
	id := w.applied(minimal(t))
	c := w.far.container("web-1-0").(planner.Container)
	c.Address = "10.99.0.200"
	w.far.Put(c)
	d := w.observe()
	wantFound(t, d, c.Ref().String()+" differs correct")
	if !w.rec.Correct(context.Background(), &d) || !w.live().Dirty[c.Ref()].Gone {
		t.Fatalf("it is marked as %+v", w.live().Dirty)
	}
	w.must(w.apply(id))
	wantFound(t, w.observe())
}

func TestDriftFight(t *testing.T) {
	var log bytes.Buffer
	w := sightedWorld(t, nil)
	w.rec.Log = slog.New(slog.NewTextHandler(&log, nil))
	id := w.applied(minimal(t))
	set := w.ref(planner.KindRRset, "/www.acme.test/A")
	flip := func() reconciler.Drift {
		t.Helper()
		w.vary(set)
		d := w.observe()
		if w.rec.Correct(context.Background(), &d) {
			w.must(w.apply(id))
		}
		return d
	}
	fight := func() {
		t.Helper()
		for range reconciler.FightFlips {
			wantFound(t, flip(), set.String()+" differs correct")
			wantFound(t, w.observe())
		}
		wantFound(t, flip(), set.String()+" differs correct fighting")
		wantFound(t, flip(), set.String()+" differs correct fighting")
	}
	fight()
	if s := flip().Summary(); len(s.Fighting) != 1 {
		t.Errorf("the summary tells of %v", s.Fighting)
	}
	if n := strings.Count(log.String(), "drift fight"); n != 1 || !strings.Contains(log.String(), "203.0.113.66") || !strings.Contains(log.String(), "192.0.2.") {
		t.Errorf("the fight was told %d times, want once with both sides:\n%s", n, log.String())
	}

	// 'hostctl converge' ends it.
	_, err := reconciler.Touch(context.Background(), w.store, set.String())
	w.must(err)
	w.must(w.apply(id))
	wantFound(t, w.observe())
	fight()

	// So does another declaration.
	id = w.applied(with(t, minimal(t), "192.0.2.10", "192.0.2.11"))
	wantFound(t, w.observe())
	fight()
}

func TestLoopCorrectsDrift(t *testing.T) {
	w := sightedWorld(t, nil)
	loop := &reconciler.Loop{Reconciler: w.rec, Feed: &reconciler.Feed{}, ObserveEvery: 20 * time.Millisecond, LookEvery: time.Hour}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(ctx) }()
	defer func() { stop(); w.must(<-ended) }()
	w.push(minimal(t))
	until(t, "the commit is true and was looked at", func() bool {
		s := loop.Status()
		return s.Converged && s.Drift != nil && s.Drift.Differs == 0
	})
	set, vhost := w.ref(planner.KindRRset, "/www.acme.test/A"), w.ref(planner.KindVhost, "")
	was := planner.HashOf(w.far.State()[set])
	w.vary(set)
	w.far.Lose(vhost)
	until(t, "both are put right", func() bool {
		s := w.far.State()
		return planner.HashOf(s[set]) == was && s[vhost] != nil && loop.Status().Drift.Differs == 0
	})
	d, err := loop.Drift(ctx)
	w.must(err)
	wantFound(t, d)
}

// The kinds that a policy may name are those of the planner.
func TestDriftKinds(t *testing.T) {
	var kinds []string
	for _, k := range planner.Ladder {
		kinds = append(kinds, string(k))
	}
	if !slices.Equal(kinds, schema.DriftKinds) {
		t.Errorf("schema.DriftKinds is %q, the ladder %q", schema.DriftKinds, kinds)
	}
}
