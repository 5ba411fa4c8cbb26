package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// A batch is cut where a message would grow too large, in order, and nothing is lost.
func TestMessages(t *testing.T) {
	var cs []planner.Change
	for i := range 40 {
		size := 200 << 10
		if i == 7 {
			size = maxBatch + 1
		}
		cs = append(cs, planner.Change{New: planner.RRset{Values: []string{strings.Repeat("x", size)}}})
	}
	var all []int
	for _, m := range messages(cs) {
		size := 0
		for _, i := range m {
			size += len(planner.Encode(cs[i].New))
		}
		if size > maxBatch && len(m) > 1 {
			t.Errorf("%d bytes in a message of %d changes", size, len(m))
		}
		all = append(all, m...)
	}
	if len(all) != 40 || !slices.IsSorted(all) {
		t.Errorf("changes sent: %v", all)
	}
	if len(messages(nil)) != 0 {
		t.Error("a message for nothing")
	}
}

func TestDoneContext(t *testing.T) {
	a, err := Dial(Options{Address: "192.0.2.1:1", Node: "web-1-0", TLS: &tls.Config{MinVersion: tls.VersionTLS13}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range a.Apply(ctx, make([]planner.Change, 3)) {
		if executors.KindOf(err) != executors.Canceled {
			t.Errorf("%v (%s), want it canceled", err, executors.KindOf(err))
		}
	}
}

// A file that can't be read stops only what needs it.
func TestLacks(t *testing.T) {
	lacking := map[schema.BlobID]error{"x": errors.New("gone")}
	root := func(blobs ...schema.BlobID) planner.Change {
		w := planner.Webroot{}
		for _, b := range blobs {
			w.Files = append(w.Files, schema.ContentFile{Path: "p", Blob: b})
		}
		return planner.Change{New: w}
	}
	for want, c := range map[bool]planner.Change{true: root("a", "x"), false: root("a", "b")} {
		if err := lacks(c, lacking); (err != nil) != want {
			t.Errorf("%v: %v", c.New, err)
		}
	}
	kept := planner.Webroot{Kept: true, Files: []schema.ContentFile{{Blob: "x"}}}
	if ids := blobsOf([]planner.Change{root("a", "b"), root("a"), {New: kept}, {Old: kept}}); !slices.Equal(ids, []string{"a", "b"}) {
		t.Errorf("blobs to send: %v", ids)
	}
}

// What a change says of itself, beside what it is of, is sent with it.
func TestEncode(t *testing.T) {
	m := encode(planner.Change{ID: 7, Action: planner.Update, Expect: "x", Force: true, Adopt: true, New: planner.RRset{}})
	if m.GetId() != 7 || m.GetAction() != "update" || m.GetExpect() != "x" || !m.GetForce() || !m.GetAdopt() || len(m.GetOld()) > 0 || len(m.GetNew()) == 0 {
		t.Errorf("sent: %v", m)
	}
}
