package agent

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"hostctl/agent/agentpb"
	"hostctl/executors"
	"hostctl/planner"
)

// FuzzMessage takes any bytes as an order to the agent: it is refused, or is a change of a kind that the node serves, of a
// target of this node's.
func FuzzMessage(f *testing.F) {
	user := planner.User{Meta: planner.Meta{Target: "web-1-0", Name: "acme", From: planner.Owner{Tenant: "acme", Kind: "Tenant", Name: "acme"}}, Login: "t-acme", UID: 20000}
	elsewhere := user
	elsewhere.Target = "web-2-0"
	add := func(changes ...*agentpb.Change) {
		b, err := proto.Marshal(&agentpb.ApplyRequest{Instance: "i", Fence: 1, Changes: changes})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	add(&agentpb.Change{Id: 1, Action: "create", New: planner.Encode(user)})
	add(&agentpb.Change{Id: 1, Action: "delete", Old: planner.Encode(user), Expect: string(planner.HashOf(user))})
	add(&agentpb.Change{Id: 1, Action: "update", Old: planner.Encode(user), New: planner.Encode(elsewhere), Force: true})
	add(&agentpb.Change{Id: 1, Action: "create", New: planner.Encode(elsewhere)}, &agentpb.Change{Action: "create"})
	add(&agentpb.Change{Id: 1, Action: "create", New: []byte(`{"ref":"user/web-1-0/acme","spec":null}`), Secret: []byte("x")})
	f.Add([]byte("\xff\xff\xff"))

	a := New(Options{Node: "web-1-0", Role: "web", Executors: map[planner.Kind]executors.Executor{planner.KindUser: nobody{}, planner.KindWebroot: nobody{}}})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &agentpb.ApplyRequest{}
		if proto.Unmarshal(b, r) != nil {
			return
		}
		for _, m := range r.GetChanges() {
			c, err := a.change(m)
			if err != nil {
				if executors.KindOf(err) != executors.Refused {
					t.Fatalf("%v is of kind %q", err, executors.KindOf(err))
				}
				continue
			}
			ref := c.Ref()
			if a.Executors[ref.Kind] == nil || ref.Target != "web-1-0" && ref.Target != "web-1" {
				t.Fatalf("%s is let through", ref)
			}
			if c.Old != nil && c.New != nil && c.Old.Ref() != c.New.Ref() || c.New == nil && c.Action != planner.Delete {
				t.Fatalf("%s %v → %v is let through", c.Action, c.Old, c.New)
			}
		}
	})
}

// nobody serves a kind and does nothing.
type nobody struct{ executors.Executor }

// FuzzRecord: what is read of an agent's store is an object of the reference that it stands under, or an error.
func FuzzRecord(f *testing.F) {
	user := planner.User{Meta: planner.Meta{Target: "web-1-0", Name: "acme"}, Login: "t-acme", UID: 20000}
	f.Add([]byte(user.Ref().String()), []byte(`{"applied":`+string(planner.Encode(user))+`}`))
	f.Add([]byte(user.Ref().String()), []byte(`{"pending":`+string(planner.Encode(user))+`,"deleting":true}`))
	f.Add([]byte("user/x"), []byte(`{}`))
	f.Add([]byte(user.Ref().String()), []byte(`{"applied":{"ref":"nothing"}}`))
	f.Fuzz(func(t *testing.T, k, v []byte) {
		r, err := decodeRecord(k, v)
		if err == nil && r.Ref.String() != string(k) {
			t.Fatalf("%q is read as %s", k, r.Ref)
		}
		if err != nil && (errors.Unwrap(err) == nil && err.Error() == "" || strings.ContainsRune(err.Error(), 0)) {
			t.Fatalf("%q", err)
		}
	})
}
