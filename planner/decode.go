package planner

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// reader reads canonical JSON, as Encode writes it, without looking at it twice. Whatever it doesn't expect (another order
// of keys, escapes, anything but ASCII) makes it give up; then encoding/json has to read the whole.
type reader struct {
	rest []byte
	bad  bool
}

// decodeCanonical reads what Encode wrote of the kinds that there are most of, and the envelope of the others. It is false
// where it gives up. Decode does the same for whatever it reads: a test holds the two against each other.
func decodeCanonical(b []byte) (Object, bool) {
	r := &reader{rest: b}
	r.skip(`{"ref":`)
	ref := r.ref()
	r.skip(`,"owner":{`)
	m := Meta{Target: ref.Target, Name: ref.Name, From: r.owner()}
	if r.has(`,"needs":[`) {
		m.On = r.refs()
	}
	r.skip(`,"spec":`)
	o := r.spec(ref.Kind, m)
	if r.bad || o == nil || len(r.rest) > 0 {
		return nil, false
	}
	return o, true
}

// spec reads the content of an object, and what ends its envelope.
func (r *reader) spec(k Kind, m Meta) Object {
	switch k {
	case KindRoute:
		r.skip(`{"backend":`)
		o := Route{Meta: m, Backend: r.text()}
		r.skip(`}}`)
		return o
	case KindRRset:
		o := RRset{Meta: m}
		r.skip(`{"zone":`)
		o.Zone = r.text()
		r.skip(`,"fqdn":`)
		o.FQDN = r.text()
		r.skip(`,"type":`)
		o.Type = r.text()
		r.skip(`,"ttl":`)
		o.TTL = r.number()
		r.skip(`,"values":[`)
		o.Values = r.texts()
		r.skip(`}}`)
		return o
	}
	if r.bad || len(r.rest) == 0 {
		return nil
	}
	content := r.rest[:len(r.rest)-1]
	if !json.Valid(content) { // more than one value, which decoders don't look for
		return nil
	}
	o, err := decoders[k](m, content)
	if err != nil {
		return nil
	}
	r.rest = r.rest[len(content):]
	r.skip(`}`)
	return o
}

func (r *reader) owner() Owner {
	var o Owner
	if r.has(`"tenant":`) {
		o.Tenant = r.text()
		r.skip(`,`)
	}
	r.skip(`"kind":`)
	o.Kind = r.text()
	r.skip(`,"name":`)
	o.Name = r.text()
	if r.has(`,"file":`) {
		o.File = r.text()
	}
	if r.has(`,"line":`) {
		o.Line = r.number()
	}
	r.skip(`}`)
	return o
}

// refs reads the references of a list whose bracket has been read.
func (r *reader) refs() []Ref {
	end := bytes.IndexByte(r.rest, ']')
	if end < 0 {
		r.bad = true
		return nil
	}
	out := make([]Ref, 0, bytes.Count(r.rest[:end], []byte(`,`))+1)
	for !r.bad {
		out = append(out, r.ref())
		if r.has(`]`) {
			break
		}
		r.skip(`,`)
	}
	return out
}

func (r *reader) texts() []string {
	var out []string
	for !r.bad {
		out = append(out, r.text())
		if r.has(`]`) {
			break
		}
		r.skip(`,`)
	}
	return out
}

func (r *reader) ref() Ref {
	b := r.raw()
	kind, rest, ok := bytes.Cut(b, []byte(`/`))
	target, name, ok2 := bytes.Cut(rest, []byte(`/`))
	rung, known := Kind(kind).Rung()
	if !ok || !ok2 || !known || len(target) == 0 || len(name) == 0 {
		r.bad = true
		return Ref{}
	}
	return Ref{Kind: Ladder[rung], Target: string(target), Name: string(name)}
}

func (r *reader) text() string { return string(r.raw()) }

// raw reads a string of printable ASCII without escapes.
func (r *reader) raw() []byte {
	if r.bad || len(r.rest) == 0 || r.rest[0] != '"' {
		r.bad = true
		return nil
	}
	for i := 1; i < len(r.rest); i++ {
		switch c := r.rest[i]; {
		case c == '"':
			out := r.rest[1:i]
			r.rest = r.rest[i+1:]
			return out
		case c < ' ' || c == '\\' || c >= 0x7f:
			r.bad = true
			return nil
		}
	}
	r.bad = true
	return nil
}

// number reads a number as encoding/json writes an int.
func (r *reader) number() int {
	end := 0
	for end < len(r.rest) && (r.rest[end] >= '0' && r.rest[end] <= '9' || r.rest[end] == '-') {
		end++
	}
	n, err := strconv.Atoi(string(r.rest[:end]))
	if err != nil || strconv.Itoa(n) != string(r.rest[:end]) {
		r.bad = true
	}
	r.rest = r.rest[end:]
	return n
}

// has reads a text if it comes next.
func (r *reader) has(text string) bool {
	if r.bad || len(r.rest) < len(text) || string(r.rest[:len(text)]) != text {
		return false
	}
	r.rest = r.rest[len(text):]
	return true
}

// skip reads a text that must come next.
func (r *reader) skip(text string) {
	if !r.has(text) {
		r.bad = true
	}
}
