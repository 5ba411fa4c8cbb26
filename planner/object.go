package planner

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Object is one real thing on one target that one executor owns. Objects are plain structs and must not be changed once
// built. An object holds no content that is known only after it was applied.
type Object interface {
	Ref() Ref
	// Owner returns the resource it was lowered from.
	Owner() Owner
	// Needs returns what must be there before it and may go only after it, all of lower rungs, sorted.
	Needs() []Ref
}

// Owner is the resource that an object was lowered from, and where that is written. It is not content: a resource that
// moves within its file changes nothing.
type Owner struct {
	Tenant string `json:"tenant,omitempty"` // "" is the platform
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
}

// ID names the owner regardless of place: "tenant/kind/name", with "-" for the platform's.
func (o Owner) ID() string {
	t := o.Tenant
	if t == "" {
		t = "-"
	}
	return t + "/" + o.Kind + "/" + o.Name
}

// Meta is embedded in every object type: what all have in common and what isn't content.
type Meta struct {
	Target string `json:"-"`
	Name   string `json:"-"`
	From   Owner  `json:"-"`
	On     []Ref  `json:"-"` // what it needs
}

// Owner returns the resource the object was lowered from.
func (m Meta) Owner() Owner { return m.From }

// Needs returns what the object needs.
func (m Meta) Needs() []Ref { return m.On }

func (m Meta) ref(k Kind) Ref { return Ref{Kind: k, Target: m.Target, Name: m.Name} }

// State is a set of objects. Desired and live are of this one type.
type State map[Ref]Object

// Hash is the SHA-256 of an object's kind, target, name and content in hex; "" stands for "is not there".
type Hash string

// HashOf returns the hash of an object's identity and content. Owner and needs don't count. HashOf(nil) is "".
func HashOf(o Object) Hash {
	if o == nil {
		return ""
	}
	return hashContent(o.Ref(), content(o))
}

func hashContent(r Ref, content []byte) Hash {
	h := sha256.New()
	fmt.Fprintln(h, r)
	h.Write(content)
	return Hash(hex.EncodeToString(h.Sum(nil)))
}

// envelope is the wire and storage form of an object.
type envelope struct {
	Ref   Ref             `json:"ref"`
	Owner Owner           `json:"owner"`
	Needs []Ref           `json:"needs,omitempty"`
	Spec  json.RawMessage `json:"spec"`
	Found *Ciphertext     `json:"found,omitempty"` // of a secret
}

// Encode returns the canonical JSON of an object: same object, same bytes.
func Encode(o Object) []byte { return encodeAround(o, content(o)) }

// Seal returns what Encode and HashOf do, for half of the work.
func Seal(o Object) ([]byte, Hash) {
	c := content(o)
	return encodeAround(o, c), hashContent(o.Ref(), c)
}

func encodeAround(o Object, content []byte) []byte {
	b, err := json.Marshal(envelope{Ref: o.Ref(), Owner: o.Owner(), Needs: o.Needs(), Spec: content, Found: foundOf(o)})
	if err != nil {
		panic("planner: an object that can't be encoded: " + err.Error()) // plain structs of our own always can
	}
	return b
}

// Decode reads what Encode wrote. Unknown kinds and unknown keys are errors: a newer hostctl wrote them.
func Decode(b []byte) (Object, error) {
	if o, ok := decodeCanonical(b); ok {
		return o, nil
	}
	return decodeAny(b)
}

// decodeAny reads an object in whatever form encoding/json takes.
func decodeAny(b []byte) (Object, error) {
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, fmt.Errorf("decode object: %w", err)
	}
	meta := Meta{Target: e.Ref.Target, Name: e.Ref.Name, From: e.Owner, On: e.Needs}
	decode, ok := decoders[e.Ref.Kind]
	if !ok {
		return nil, fmt.Errorf("decode object %s: no object kind %q", e.Ref, e.Ref.Kind)
	}
	o, err := decode(meta, e.Spec)
	if err != nil {
		return nil, fmt.Errorf("decode object %s: %w", e.Ref, err)
	}
	return withFound(o, e.Found)
}

// content returns the canonical JSON of what an object is, without Meta.
func content(o Object) []byte {
	b, err := json.Marshal(o)
	if err != nil {
		panic("planner: an object that can't be encoded: " + err.Error())
	}
	return b
}

var decoders = map[Kind]func(Meta, []byte) (Object, error){
	KindNetwork: func(m Meta, b []byte) (Object, error) {
		o := Network{}
		err := strict(b, &o)
		o.Meta = m
		return o, err
	},
	KindVolume: func(m Meta, b []byte) (Object, error) { o := Volume{}; err := strict(b, &o); o.Meta = m; return o, err },
	KindContainer: func(m Meta, b []byte) (Object, error) {
		o := Container{}
		err := strict(b, &o)
		o.Meta = m
		return o, err
	},
	KindAgent: func(m Meta, b []byte) (Object, error) { o := Agent{}; err := strict(b, &o); o.Meta = m; return o, err },
	KindSecret: func(m Meta, b []byte) (Object, error) {
		o := Secret{}
		err := strict(b, &o)
		o.Meta = m
		return o, err
	},
	KindUser: func(m Meta, b []byte) (Object, error) { o := User{}; err := strict(b, &o); o.Meta = m; return o, err },
	KindWebroot: func(m Meta, b []byte) (Object, error) {
		o := Webroot{}
		err := strict(b, &o)
		o.Meta = m
		return o, err
	},
	KindRuntime: func(m Meta, b []byte) (Object, error) {
		o := Runtime{}
		err := strict(b, &o)
		o.Meta = m
		return o, err
	},
	KindVhost: func(m Meta, b []byte) (Object, error) { o := Vhost{}; err := strict(b, &o); o.Meta = m; return o, err },
	KindDatabase: func(m Meta, b []byte) (Object, error) {
		o := Database{}
		err := strict(b, &o)
		o.Meta = m
		return o, err
	},
	KindDatabaseUser: func(m Meta, b []byte) (Object, error) {
		o := DatabaseUser{}
		err := strict(b, &o)
		o.Meta = m
		return o, err
	},
	KindValkey: func(m Meta, b []byte) (Object, error) {
		o := Valkey{}
		err := strict(b, &o)
		o.Meta = m
		return o, err
	},
	KindValkeyUser: func(m Meta, b []byte) (Object, error) {
		o := ValkeyUser{}
		err := strict(b, &o)
		o.Meta = m
		return o, err
	},
	KindCron: func(m Meta, b []byte) (Object, error) { o := Cron{}; err := strict(b, &o); o.Meta = m; return o, err },
	KindCatalog: func(m Meta, b []byte) (Object, error) {
		o := Catalog{}
		err := strict(b, &o)
		o.Meta = m
		return o, err
	},
	KindZone: func(m Meta, b []byte) (Object, error) { o := Zone{}; err := strict(b, &o); o.Meta = m; return o, err },
	KindCert: func(m Meta, b []byte) (Object, error) { o := Cert{}; err := strict(b, &o); o.Meta = m; return o, err },
	KindBackend: func(m Meta, b []byte) (Object, error) {
		o := Backend{}
		err := strict(b, &o)
		o.Meta = m
		return o, err
	},
	KindServer: func(m Meta, b []byte) (Object, error) { o := Server{}; err := strict(b, &o); o.Meta = m; return o, err },
	KindRoute:  func(m Meta, b []byte) (Object, error) { o := Route{}; err := strict(b, &o); o.Meta = m; return o, err },
	KindRRset:  func(m Meta, b []byte) (Object, error) { o := RRset{}; err := strict(b, &o); o.Meta = m; return o, err },
}

func strict(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
