package agent_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hostctl/agent"
	"hostctl/agent/agentpb"
	"hostctl/agent/blobs"
	"hostctl/executors"
	"hostctl/executors/memory"
	"hostctl/planner"
	"hostctl/schema"
)

// small is an agent whose far side is in memory.
type small struct {
	*agent.Agent
	t     *testing.T
	far   *memory.Executor
	store *agent.Store
}

func newSmall(t *testing.T) *small {
	t.Helper()
	dir := t.TempDir()
	store, err := agent.OpenStore(filepath.Join(dir, "state.db"), instance)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	kept, err := blobs.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	s := &small{t: t, far: &memory.Executor{}, store: store}
	s.Agent = agent.New(agent.Options{
		Node: nodeName, Role: "web", Instance: instance, Store: store, Blobs: kept,
		Executors: map[planner.Kind]executors.Executor{planner.KindSecret: s.far, planner.KindUser: s.far, planner.KindWebroot: s.far, planner.KindVhost: s.far},
	})
	return s
}

// apply applies changes as run number fence; all but those that are said to fail must succeed.
func (s *small) apply(fence int64, policy *agentpb.DriftPolicy, cs ...*agentpb.Change) []*agentpb.Result {
	s.t.Helper()
	reply, err := s.Apply(s.t.Context(), &agentpb.ApplyRequest{Instance: instance, Fence: fence, Changes: cs, Policy: policy})
	if err != nil {
		s.t.Fatal(err)
	}
	return reply.GetResults()
}

func (s *small) create(os ...planner.Object) {
	s.t.Helper()
	var cs []*agentpb.Change
	for _, o := range os {
		cs = append(cs, &agentpb.Change{Action: string(planner.Create), New: planner.Encode(o)})
	}
	for i, r := range s.apply(1, nil, cs...) {
		if r.GetKind() != "" {
			s.t.Fatalf("%s: %s", os[i].Ref(), r.GetMessage())
		}
	}
}

// look looks once and returns what differed, a line each.
func (s *small) look() []string {
	s.t.Helper()
	lines := []string{}
	for _, d := range s.LookOnce(s.t.Context()).Drift {
		line := fmt.Sprintf("%s gone=%t healed=%t %s", d.Ref, d.Gone, d.Healed, d.Why)
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

func (s *small) wantLook(want ...string) {
	s.t.Helper()
	if got := s.look(); !slices.Equal(got, want) && len(got)+len(want) > 0 {
		s.t.Errorf("it sees %q, want %q", got, want)
	}
}

func (s *small) wantThere(o planner.Object, there bool) {
	s.t.Helper()
	if is := planner.HashOf(s.far.State()[o.Ref()]) == planner.HashOf(o); is != there {
		s.t.Errorf("%s is there as it was applied: %t, want %t", o.Ref(), is, there)
	}
}

var (
	aUser  = planner.User{Meta: planner.Meta{Target: nodeName, Name: "acme"}, Login: "t-acme", UID: 20001}
	aFiles = planner.Webroot{Meta: planner.Meta{Target: shard, Name: "acme.shop"}, Tenant: "acme", Site: "shop", UID: 20001}
	aVhost = planner.Vhost{Meta: planner.Meta{Target: nodeName, Name: "acme.shop"}, Tenant: "acme", Site: "shop", Hostnames: []string{"a.example"}, Type: schema.RuntimeStatic}
)

func otherVhost() planner.Vhost {
	o := aVhost
	o.Hostnames = []string{"evil.example"}
	return o
}

// What is gone or differs is put right without anybody asking.
func TestHeal(t *testing.T) {
	t.Parallel()
	s := newSmall(t)
	s.create(aUser, aFiles, aVhost)
	s.wantLook()
	s.far.Lose(aUser.Ref())
	s.far.Put(otherVhost())
	s.wantLook("user/web-1-0/acme gone=true healed=true", "vhost/web-1-0/acme.shop gone=false healed=true")
	s.wantThere(aUser, true)
	s.wantThere(aVhost, true)
	s.wantLook()
}

// What the nodes of a shard share, another one may have been told of since.
func TestHealLeavesWhatIsShared(t *testing.T) {
	t.Parallel()
	s := newSmall(t)
	s.create(aFiles)
	s.far.Lose(aFiles.Ref())
	s.wantLook()
	s.wantThere(aFiles, false)
}

// What a change has left unfinished is the controller's.
func TestHealLeavesWhatIsUnfinished(t *testing.T) {
	t.Parallel()
	s := newSmall(t)
	s.create(aUser, aVhost)
	s.far.Fault = func(memory.Point, planner.Change) error { return errors.New("no") }
	s.apply(2, nil,
		&agentpb.Change{Action: string(planner.Update), Old: planner.Encode(aVhost), New: planner.Encode(otherVhost())},
		&agentpb.Change{Action: string(planner.Delete), Old: planner.Encode(aUser)})
	s.far.Fault = nil
	s.far.Lose(aVhost.Ref())
	s.far.Lose(aUser.Ref())
	s.wantLook()
	if len(s.far.State()) > 0 {
		t.Errorf("it has made %v", s.far.State())
	}
}

// The policy comes with the changes, stays when the agent is started anew, and is not taken from a run that is over.
func TestHealByPolicy(t *testing.T) {
	t.Parallel()
	s := newSmall(t)
	s.create(aUser, aVhost)
	s.apply(5, &agentpb.DriftPolicy{Kinds: map[string]string{"vhost": "report", "user": "off"}},
		&agentpb.Change{Action: string(planner.Create), New: planner.Encode(aFiles)})
	s.far.Lose(aUser.Ref())
	s.far.Put(otherVhost())
	reported := "vhost/web-1-0/acme.shop gone=false healed=false the drift policy says report"
	s.wantLook(reported)
	s.apply(4, &agentpb.DriftPolicy{Default: "correct"})
	s.wantLook(reported)
	s.apply(6, &agentpb.DriftPolicy{Default: "sometimes"})
	s.wantLook(reported)
	s.wantThere(aVhost, false)
	s.apply(6, &agentpb.DriftPolicy{Default: "correct"})
	s.wantLook("user/web-1-0/acme gone=true healed=true", "vhost/web-1-0/acme.shop gone=false healed=true")
}

// A secret's value is in no record: one that is lost waits for the controller, and nobody makes an empty one.
func TestHealLeavesSecrets(t *testing.T) {
	t.Parallel()
	s := newSmall(t)
	secret := planner.Secret{Meta: planner.Meta{Target: nodeName, Name: "acme/webroot/shop/env.KEY"}, Tenant: "acme", Generated: "key", Generation: 1}
	s.create(secret)
	s.far.Lose(secret.Ref())
	s.wantLook("secret/web-1-0/acme/webroot/shop/env.KEY gone=true healed=false its value is kept nowhere on the node; it comes with the next run")
	s.wantThere(secret, false)
}

// Somebody undoes it each time: the agent ends the fight. Another content is another matter.
func TestHealEndsAFight(t *testing.T) {
	t.Parallel()
	s := newSmall(t)
	s.create(aVhost)
	for range 3 {
		s.far.Put(otherVhost())
		s.wantLook("vhost/web-1-0/acme.shop gone=false healed=true")
	}
	s.far.Put(otherVhost())
	s.wantLook("vhost/web-1-0/acme.shop gone=false healed=false it was put right 3 times within 1h0m0s, and somebody undoes it")
	next := aVhost
	next.Hostnames = []string{"a.example", "b.example"}
	s.apply(2, nil, &agentpb.Change{Action: string(planner.Update), Old: planner.Encode(aVhost), New: planner.Encode(next)})
	s.far.Lose(next.Ref())
	s.wantLook("vhost/web-1-0/acme.shop gone=true healed=true")
	s.wantThere(next, true)
}

// What can't be put right is told, and one failure keeps nothing else from being healed.
func TestHealFails(t *testing.T) {
	t.Parallel()
	s := newSmall(t)
	s.create(aUser, aVhost)
	s.far.Lose(aUser.Ref())
	s.far.Lose(aVhost.Ref())
	s.far.Refuse = func(o planner.Object) error {
		if o.Ref().Kind == planner.KindUser {
			return errors.New("no more users")
		}
		return nil
	}
	s.wantLook("user/web-1-0/acme gone=true healed=false user/web-1-0/acme: no more users", "vhost/web-1-0/acme.shop gone=true healed=true")
	s.far.Refuse = nil
	s.wantLook("user/web-1-0/acme gone=true healed=true")
}

// A container that was made anew holds nothing, and may have been removed from since: the controller says what belongs in
// it. What is on volumes is remembered.
func TestHealInAnotherContainer(t *testing.T) {
	t.Parallel()
	s := newSmall(t)
	file := filepath.Join(t.TempDir(), "filesystem")
	name, err := agent.Filesystem(file, "first")
	if err != nil || name != "first" {
		t.Fatal(name, err)
	}
	if again, err := agent.Filesystem(file, "second"); err != nil || again != "first" {
		t.Fatalf("the same filesystem is %q, %v", again, err)
	}
	moved := func(name string) {
		t.Helper()
		if err := s.store.MovedTo(name, nodeName); err != nil {
			t.Fatal(err)
		}
	}
	moved("first")
	s.create(aUser, aFiles, aVhost)
	moved("first")
	s.far.Lose(aVhost.Ref())
	s.wantLook("vhost/web-1-0/acme.shop gone=true healed=true")
	moved("second")
	s.far.Lose(aUser.Ref())
	s.far.Lose(aVhost.Ref())
	s.wantLook()
	records, err := s.store.Records()
	if err != nil || len(records) != 1 || records[0].Ref != aFiles.Ref() {
		t.Errorf("it remembers %v, %v; want the files on the volume", records, err)
	}
}

// A tenant that uses more of the disk than its plan has is told of; one that does not, or has no such limit, is well.
func TestOver(t *testing.T) {
	s := newSmall(t)
	for i, l := range []planner.Limits{{Disk: 1 << 30, Inodes: 10}, {Disk: 3 << 30, Inodes: 9}, {}} {
		s.create(planner.User{Meta: planner.Meta{Target: nodeName, Name: fmt.Sprint("u", i)}, Login: fmt.Sprint("t-u", i), UID: 20001 + i, Limits: l})
	}
	s.Usage = func(_ context.Context, tenants map[int]string) []executors.Usage {
		var all []executors.Usage
		for _, name := range tenants {
			all = append(all, executors.Usage{Tenant: name, Disk: 2 << 30, Files: 10})
		}
		return all
	}
	var got []string
	for _, p := range s.LookOnce(t.Context()).Health {
		if strings.HasPrefix(p.Name, "tenant/") {
			got = append(got, fmt.Sprint(p.Name, " ", p.OK, " ", p.Message))
		}
	}
	want := []string{
		"tenant/u0/disk false 2.00 GiB are used of the 1.00 GiB that its plan has", "tenant/u0/inodes true ",
		"tenant/u1/disk true ", "tenant/u1/inodes false 10 are used of the 9 that its plan has",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// An executor is told all that a change says of itself.
func TestWhatAChangeSaysArrives(t *testing.T) {
	s := newSmall(t)
	var got planner.Change
	s.far.Effect = func(c planner.Change, _ planner.State) { got = c }
	user := planner.Encode(aUser)
	s.apply(1, nil, &agentpb.Change{Id: 7, Action: string(planner.Update), Old: user, New: user, Expect: string(planner.HashOf(aUser)), Force: true, Adopt: true})
	if got.ID != 7 || got.Action != planner.Update || got.Expect != planner.HashOf(aUser) || !got.Force || !got.Adopt || got.Old == nil || got.New == nil {
		t.Errorf("arrived: %+v", got)
	}
}
