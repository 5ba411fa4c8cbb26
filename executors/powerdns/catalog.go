package powerdns

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// kindProducer is the kind of a catalog zone. PowerDNS itself keeps the list of its members.
// https://doc.powerdns.com/authoritative/catalog.html
const kindProducer = "Producer"

// metaSecret is the metadata of a catalog zone that names the secret whose value its key has: name, version. What begins
// with X- PowerDNS leaves to others.
const metaSecret = "X-HOSTCTL-SECRET"

const tsigAlgorithm = "hmac-sha256"

// tsigKey is a TSIG key as the API has it.
type tsigKey struct {
	Name      string `json:"name,omitempty"`
	Algorithm string `json:"algorithm,omitempty"`
	Key       string `json:"key,omitempty"` // base64
}

func keyPath(name string) string { return "/tsigkeys/" + url.PathEscape(absolute(name)) }

func checkCatalog(o planner.Catalog) error {
	if err := checkDomain(o.Name); err != nil {
		return err
	}
	if err := checkSecondaries(o.Name, o.Secondaries); err != nil {
		return err
	}
	if o.Key == nil {
		return nil
	}
	if err := checkKeyName(o.Name, o.Key.Name); err != nil {
		return err
	}
	if owner, _, _ := strings.Cut(o.Key.Secret.Secret, "/"); owner != "-" || o.Key.Secret.Version == "" {
		return executors.Errorf(executors.Refused, "catalog %s: its key isn't a secret of the platform", o.Name)
	}
	return nil
}

func checkSecondaries(what string, addresses []string) error {
	if len(addresses) == 0 {
		return executors.Errorf(executors.Refused, "%s: no secondaries", what)
	}
	for i, a := range addresses {
		if ip, err := netip.ParseAddr(a); err != nil || ip.String() != a || ip.Zone() != "" {
			return executors.Errorf(executors.Refused, "%s: secondary %q: want a canonical address", what, a)
		}
		if i > 0 && addresses[i-1] >= a {
			return executors.Errorf(executors.Refused, "%s: secondaries aren't sorted, or one stands there twice", what)
		}
	}
	return nil
}

// checkKeyName allows the names that the planner makes.
func checkKeyName(what, name string) error {
	if cluster, ok := strings.CutSuffix(name, "-transfer"); !ok || schema.CheckSlug(cluster) != nil {
		return executors.Errorf(executors.Refused, "%s: TSIG key %q: want one named <cluster>-transfer", what, name)
	}
	return nil
}

func checkTransfer(o planner.Zone) error {
	t := o.Transfer
	if t == nil {
		return nil
	}
	if err := checkDomain(t.Catalog); err != nil {
		return err
	}
	if t.Key != "" {
		if err := checkKeyName("zone "+o.Name, t.Key); err != nil {
			return err
		}
	}
	return checkSecondaries("zone "+o.Name, t.Secondaries)
}

// applyCatalog makes or removes a catalog zone and its key.
func (e *Executor) applyCatalog(ctx context.Context, r *reader, c planner.Change) error {
	name := c.Ref().Name
	have, err := r.readAnew(ctx, absolute(name), nil)
	there := err == nil
	if err != nil && !errors.Is(err, errNotFound) {
		return err
	}
	if there && have.Account != e.o.Instance {
		return executors.Errorf(executors.Conflict, "zone %s was there before and isn't the catalog of this platform; name another catalog", name)
	}
	o, ok := c.New.(planner.Catalog)
	if !ok {
		return e.removeCatalog(ctx, r, have, there)
	}
	want := e.catalogZone(o)
	switch {
	case !there:
		if err := e.setKey(ctx, r, o); err != nil {
			return err
		}
		have, err = r.create(ctx, want)
		if errors.Is(err, errExists) { // by a try that was cut off
			have, err = r.readAnew(ctx, want.Name, nil)
		}
		if err != nil {
			return err
		}
	default:
		if err := e.setKey(ctx, r, o); err != nil {
			return err
		}
		r.seen.forget(have.Name)
		want.Name, want.RRsets = "", nil
		if have.Kind != want.Kind || !slices.Equal(have.keys(), *want.Keys) {
			if err := r.set(ctx, have.Name, want); err != nil {
				return err
			}
		}
	}
	meta := transferMetadata(o.Secondaries, o.Key != nil)
	meta[metaSecret] = nil
	if o.Key != nil {
		meta[metaSecret] = []string{o.Key.Secret.Secret, o.Key.Secret.Version}
	}
	if err := r.setMetadata(ctx, have.Name, meta); err != nil {
		return err
	}
	if o.Key == nil {
		if err := dropKeys(ctx, r, have.keys()); err != nil {
			return err
		}
	}
	r.notify(ctx, want)
	return nil
}

func (e *Executor) catalogZone(o planner.Catalog) zone {
	keys := []string{}
	if o.Key != nil {
		keys = append(keys, absolute(o.Key.Name))
	}
	name := absolute(o.Name)
	return zone{
		Name: name, Kind: kindProducer, Account: e.o.Instance, SOAEditAPI: "DEFAULT", Keys: &keys,
		RRsets: []rrset{{Name: name, Type: "NS", TTL: soaNegative, Records: []record{{Content: "invalid."}}}}, // RFC 9432 4.1
	}
}

func (e *Executor) removeCatalog(ctx context.Context, r *reader, have zone, there bool) error {
	if !there {
		return nil
	}
	if have.Kind != kindProducer {
		return executors.Errorf(executors.Conflict, "zone %s is no catalog", relative(have.Name))
	}
	r.seen.forget(have.Name)
	if err := r.remove(ctx, have.Name); err != nil && !errors.Is(err, errNotFound) {
		return err
	}
	return dropKeys(ctx, r, have.keys())
}

// dropKeys removes TSIG keys that are ours.
func dropKeys(ctx context.Context, r *reader, names []string) error {
	for _, n := range names {
		if checkKeyName("", relative(n)) != nil {
			continue
		}
		if err := r.call(ctx, http.MethodDelete, keyPath(relative(n)), nil, nil); err != nil && !errors.Is(err, errNotFound) {
			return err
		}
	}
	return nil
}

// setKey makes the TSIG key have the value of the secret.
func (e *Executor) setKey(ctx context.Context, r *reader, o planner.Catalog) error {
	if o.Key == nil {
		return nil
	}
	value, err := e.keyOf(o.Key.Secret)
	if err != nil {
		return executors.Errorf(executors.Refused, "catalog %s: %w", o.Name, err)
	}
	var have tsigKey
	err = r.call(ctx, http.MethodGet, keyPath(o.Key.Name), nil, &have)
	switch {
	case errors.Is(err, errNotFound):
	case err != nil:
		return err
	case have.Key == value && have.Algorithm == tsigAlgorithm:
		return nil
	default: // PowerDNS 4.9 answers a change of a key on PostgreSQL with 500: it inserts the key a second time
		if err := r.call(ctx, http.MethodDelete, keyPath(o.Key.Name), nil, nil); err != nil && !errors.Is(err, errNotFound) {
			return err
		}
	}
	return r.call(ctx, http.MethodPost, "/tsigkeys", tsigKey{Name: o.Key.Name, Algorithm: tsigAlgorithm, Key: value}, nil)
}

// keyOf returns the value of a secret as a TSIG key, base64: as it is where it is that, else its bytes.
func (e *Executor) keyOf(held planner.Held) (string, error) {
	if e.o.Secret == nil {
		return "", errors.New("this server keeps no secrets")
	}
	value, err := e.o.Secret(held)
	if err != nil {
		return "", err
	}
	const least = 16 // bytes: 128 bits
	text := strings.TrimSpace(string(value))
	if b, err := base64.StdEncoding.DecodeString(text); err == nil && len(b) >= least {
		return text, nil
	}
	if len(text) < least {
		return "", errors.New("the secret of the TSIG key is too short; give it 16 bytes or more, such as what 'openssl rand -base64 32' prints")
	}
	return base64.StdEncoding.EncodeToString([]byte(text)), nil
}

// catalogOf returns a catalog zone as the planner has it. Of a key whose value isn't that of the secret that it was made
// with, the secret isn't named; where this server's node doesn't hold that secret, it is believed.
func (e *Executor) catalogOf(ctx context.Context, r *reader, z zone) (planner.Catalog, error) {
	o := planner.Catalog{Meta: planner.Meta{Target: e.o.Target, Name: relative(z.Name)}, Secondaries: sortedValues(z.meta[metaNotify])}
	keys, from := z.keys(), z.meta[metaSecret]
	if len(keys) == 0 {
		if !slices.Equal(sortedValues(z.meta[metaAllow]), o.Secondaries) {
			o.Secondaries = []string{} // others may copy it, or nobody may
		}
		return o, nil
	}
	o.Key = &planner.TSIGKey{Name: relative(keys[0])}
	if len(keys) != 1 || len(from) != 2 || len(z.meta[metaAllow]) > 0 {
		return o, nil
	}
	held := planner.Held{Secret: from[0], Version: from[1]}
	if value, err := e.keyOf(held); err == nil {
		var have tsigKey
		err := r.call(ctx, http.MethodGet, keyPath(o.Key.Name), nil, &have)
		switch {
		case errors.Is(err, errNotFound), err == nil && have.Key != value:
			return o, nil
		case err != nil:
			return o, err
		}
	}
	o.Key.Secret = held
	return o, nil
}
