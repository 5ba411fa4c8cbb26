package planner

import (
	"cmp"
	"errors"
	"strconv"
	"strings"

	"hostctl/schema"
)

// Secret is a value that a node keeps for what reads it there: in a file of its own that only root may read. Name:
// SecretName. What the value is isn't content and is never planned: it is decrypted, or made, when the change is carried
// out, and goes to the node's agent beside the change (executors.Secrets).
//
// Either Cipher is set, of what the repository holds encrypted, or Generated and Generation, of what the inventory does.
type Secret struct {
	Meta
	Tenant     string `json:"tenant,omitempty"`     // "" is the platform
	Cipher     string `json:"cipher,omitempty"`     // SHA-256 of the ciphertext, hex
	Generated  string `json:"generated,omitempty"`  // name within the tenant, as 'hostctl secret show' takes it
	Generation int    `json:"generation,omitempty"` // counts from 1

	// Found is where the ciphertext stands in the commit. It is no content: that another value of the same file has
	// changed changes nothing here.
	Found Ciphertext `json:"-"`
}

// Ref implements Object.
func (o Secret) Ref() Ref { return o.ref(KindSecret) }

// Ciphertext is a value of a file in the SOPS format.
type Ciphertext struct {
	File string        `json:"file"` // path in the repository, for people
	Blob schema.BlobID `json:"blob"` // of that file
	Key  string        `json:"key"`  // path of the value in it: "database.password"
}

// Version names the value of a secret: another value has another version. A value that was only encrypted anew has another
// one too; whoever uses it finds that nothing is to be done.
func (o Secret) Version() string {
	if o.Generated != "" {
		return "generation " + strconv.Itoa(o.Generation) + " of " + o.Generated
	}
	return o.Cipher
}

// Held is a secret of the same node as what uses it, as its content has it: a secret of another version makes another
// object.
type Held struct {
	Secret  string `json:"secret"`  // name of the Secret object
	Version string `json:"version"` // Secret.Version
}

// SecretName names the secret in a field of a resource: "acme/webroot/shop/env.DB_PASSWORD". A tenant of "" is the
// platform, written as "-".
func SecretName(tenant string, kind schema.Kind, name, field string) string {
	if tenant == "" {
		tenant = "-"
	}
	return tenant + "/" + strings.ToLower(string(kind)) + "/" + name + "/" + field
}

func foundOf(o Object) *Ciphertext {
	if s, ok := o.(Secret); ok && s.Found != (Ciphertext{}) {
		return &s.Found
	}
	return nil
}

func withFound(o Object, at *Ciphertext) (Object, error) {
	if at == nil {
		return o, nil
	}
	s, ok := o.(Secret)
	if !ok {
		return nil, errors.New("only a secret is found in a file")
	}
	s.Found = *at
	return s, nil
}

// secret puts the secret of a field on a node and returns how what uses it there names it. What uses it needs its ref.
func (x *expansion) secret(n *node, owner Owner, kind schema.Kind, field string, s schema.Secret) (Ref, Held) {
	o := Secret{
		Meta:   Meta{Target: n.name, Name: SecretName(owner.Tenant, kind, owner.Name, field), From: owner, On: n.ready},
		Tenant: owner.Tenant,
	}
	if s.Generate {
		o.Generated = s.GeneratedName(kind, owner.Name, field)
		o.Generation = x.live.generation(owner.Tenant, o.Generated)
		x.noteLost(Generated{owner.Tenant, o.Generated})
	} else {
		o.Cipher = s.Ref.Cipher
		o.Found = Ciphertext{File: s.Ref.Path, Blob: s.Ref.Blob, Key: s.Ref.Key}
	}
	x.add(o)
	return o.Ref(), Held{Secret: o.Name, Version: o.Version()}
}

// Generated names a generated secret across tenants.
type Generated struct{ Tenant, Name string }

// String is the name as people write it: "acme/shop-db". The platform's own are "-/shop-db".
func (g Generated) String() string { return cmp.Or(g.Tenant, "-") + "/" + g.Name }

// noteLost says that a value can't be put in place any more.
func (x *expansion) noteLost(g Generated) {
	if x.live.Lost[g] {
		x.stand(g.Tenant, "generated secret %[1]s: its value was lost with the inventory, and stays where it is; no other node can have it: 'hostctl secret rotate --generated %[1]s' makes another", g)
	}
}

// GenerationsOf returns the generations of the generated secrets in a state, the newest of each.
func GenerationsOf(s State) map[Generated]int {
	all := map[Generated]int{}
	for _, o := range s {
		if o, ok := o.(Secret); ok && o.Generated != "" {
			g := Generated{o.Tenant, o.Generated}
			all[g] = max(all[g], o.Generation)
		}
	}
	return all
}

// generation is the one that the inventory holds of a generated secret; the first where it holds none yet.
func (l Live) generation(tenant, name string) int {
	return max(1, l.Generations[Generated{tenant, name}])
}
