package planner_test

import (
	"reflect"
	"testing"

	"hostctl/planner"
)

// everyKind returns encoded objects of a whole platform, and some that are written in unusual ways.
func everyKind(tb testing.TB) [][]byte {
	tb.Helper()
	m := large(2)
	m.FQDNs[0].Hostname = "a<b\\\"&é"
	p, err := planner.New(m, planner.Live{}, agent)
	if err != nil {
		tb.Fatal(err)
	}
	var out [][]byte
	for _, c := range p.Changes {
		out = append(out, planner.Encode(c.New))
	}
	for _, s := range []string{
		``, `null`, `{}`, `{"ref":"route/lb/a"}`,
		`{"ref":"route/lb/a","owner":{"kind":"FQDN","name":"a"},"spec":{"backend":"web"}}`,
		`{"ref":"route/lb/a","owner":{"kind":"FQDN","name":"a"},"spec":{"backend":"web"}} `,
		`{"ref":"route/lb/a","owner":{"kind":"FQDN","name":"a"},"spec":{"backend":"web"}}}`,
		`{"ref":"route/lb/a","owner":{"kind":"FQDN","name":"a","line":07},"spec":{"backend":"web"}}`,
		`{"ref":"route/lb/a","owner":{"kind":"FQDN","name":"a"},"needs":[],"spec":{"backend":"web"}}`,
		`{"ref":"route/lb/a","owner":{"kind":"FQDN","name":"a"},"needs":["user/n/t","bad"],"spec":{"backend":"web"}}`,
		`{"ref":"route/lb/a","owner":{"kind":"FQDN","name":"a"},"spec":{"backend":"web","more":1}}`,
		`{"ref":"rrset/dns/z/a/A","owner":{"kind":"FQDN","name":"a"},"spec":{"zone":"z","fqdn":"a","type":"A","ttl":-0,"values":["1"]}}`,
		`{"ref":"rrset/dns/z/a/A","owner":{"kind":"FQDN","name":"a"},"spec":{"zone":"z","fqdn":"a","type":"A","ttl":1,"values":null}}`,
		`{"ref":"volume/h/v","owner":{"kind":"Shard","name":"v"},"spec":{}}`,
		`{"ref":"volume/h/v","owner":{"kind":"Shard","name":"v"},"spec":{},"spec":{"data":true}}`,
		`{"ref":"volume/h/v","owner":{"kind":"Shard","name":"v"},"spec":{}{}}`,
		`{"ref":"volume/h/v","owner":{"kind":"Shard","name":"v"},"spec":null}`,
	} {
		out = append(out, []byte(s))
	}
	return out
}

// FuzzDecode: what is read in one pass is what encoding/json reads; and most of what Encode writes is read so.
func FuzzDecode(f *testing.F) {
	fast := 0
	all := everyKind(f)
	for _, b := range all {
		f.Add(b)
		if _, ok := planner.DecodeCanonical(b); ok {
			fast++
		}
	}
	if fast < len(all)/2 {
		f.Errorf("%d of %d objects were read in one pass", fast, len(all))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := planner.DecodeCanonical(b)
		if !ok {
			return
		}
		want, err := planner.DecodeAny(b)
		if err != nil {
			t.Fatalf("%s: read in one pass, and else: %v", b, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s:\nin one pass: %#v\nelse:        %#v", b, got, want)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	route, rrset := everyKind(b), []byte(nil)
	for _, e := range route {
		if o, err := planner.Decode(e); err == nil && o.Ref().Kind == planner.KindRRset {
			rrset = e
			break
		}
	}
	for _, c := range []struct {
		name   string
		decode func([]byte) (planner.Object, error)
	}{{"any", planner.DecodeAny}, {"canonical", planner.Decode}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.decode(rrset); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
