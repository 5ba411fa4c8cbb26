package powerdns

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"hostctl/executors"
	"hostctl/planner"
)

// Options say where a PowerDNS is. The zero value is right inside a node of role dns, but for Target and Instance.
type Options struct {
	Target   string // what is observed is on this target: the cluster's DNS
	Instance string // id of the inventory; zones carry it as their account. At most 35 characters

	URL     string       // of the API; default http://127.0.0.1:8081
	KeyFile string       // holds the API's key; default /etc/powerdns/api-key
	HTTP    *http.Client // default: one without proxy that waits a minute
	Zones   int          // worked on at a time; default 4

	// Key returns the API's key, in place of KeyFile. Its errors mustn't hold it.
	Key func(ctx context.Context) (string, error)
	// Secret returns the value of a secret of the node, for TSIG keys. Its errors mustn't hold it.
	Secret func(planner.Held) ([]byte, error)
	// External says that others made the server and may have zones on it: theirs are as they like in what isn't content, and
	// the ways out lead to the repository.
	External bool
}

func (o Options) withDefaults() Options {
	o.URL = cmp.Or(o.URL, "http://127.0.0.1:8081")
	o.KeyFile = cmp.Or(o.KeyFile, "/etc/powerdns/api-key")
	o.Zones = cmp.Or(o.Zones, 4)
	if o.HTTP == nil {
		o.HTTP = NewHTTP(nil, o.Zones)
	}
	return o
}

// NewHTTP returns a client for the API. It uses no proxy and follows nobody elsewhere, for the key would go along. Without
// roots those of the system count. conns is how many connections stay open.
func NewHTTP(roots *x509.CertPool, conns int) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			MaxIdleConnsPerHost: conns,
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       time.Minute,
	}
}

// Executor applies zones and RRsets.
type Executor struct {
	o    Options
	lock sync.Mutex // one batch at a time: two PATCHes of a zone at once make RRsets twice
	seen seen
}

var (
	_ executors.Executor = (*Executor)(nil)
	_ executors.Observer = (*Executor)(nil)
	_ executors.Reader   = (*Executor)(nil)
)

// New returns the executor of a PowerDNS. It touches nothing.
func New(o Options) *Executor { return &Executor{o: o.withDefaults()} }

// Apply implements executors.Executor. Changes of different zones don't affect each other; those of one zone are one
// transaction, and are refused together.
func (e *Executor) Apply(ctx context.Context, cs []planner.Change) []error {
	e.lock.Lock()
	defer e.lock.Unlock()
	errs := make([]error, len(cs))
	byZone := map[string][]int{}
	for i, c := range cs {
		z, err := check(c)
		if errs[i] = err; err == nil {
			byZone[z] = append(byZone[z], i)
		}
	}
	names := slices.Sorted(maps.Keys(byZone))
	r, failed := e.newReader(ctx, len(names), trustToApply)
	e.each(len(names), func(n int) {
		places := byZone[names[n]]
		if failed != nil {
			for _, i := range places {
				errs[i] = failed
			}
			return
		}
		for k, err := range e.applyZone(ctx, r, names[n], pick(cs, places)) {
			errs[places[k]] = err
		}
	})
	return errs
}

// each calls do with 0 to n-1, a few at a time.
func (e *Executor) each(n int, do func(int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, e.o.Zones)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	wg.Wait()
}

func pick(cs []planner.Change, places []int) []planner.Change {
	out := make([]planner.Change, len(places))
	for k, i := range places {
		out[k] = cs[i]
	}
	return out
}

// catalogWork begins the name of the work on a catalog zone: a zone of the same name is other work.
const catalogWork = "catalog "

// check returns the zone of a change, or why it can't be carried out.
func check(c planner.Change) (zone string, err error) {
	o := c.New
	if o == nil {
		o = c.Old
	}
	switch o := o.(type) {
	case planner.Catalog:
		if c.New == nil {
			return catalogWork + o.Name, checkDomain(o.Name)
		}
		return catalogWork + o.Name, checkCatalog(o)
	case planner.Zone:
		if c.New == nil {
			return o.Name, checkDomain(o.Name)
		}
		return o.Name, checkZone(o)
	case planner.RRset:
		if c.New == nil {
			return o.Zone, checkRRsetName(o)
		}
		return o.Zone, checkRRset(o)
	}
	return "", executors.Errorf(executors.Refused, "%s: DNS has catalogs, zones and RRsets only", c.Ref())
}

// applyZone applies the changes of one zone.
func (e *Executor) applyZone(ctx context.Context, r *reader, name string, cs []planner.Change) []error {
	if ctx.Err() != nil {
		return executors.All(len(cs), executors.Errorf(executors.Canceled, "%w", ctx.Err()))
	}
	if strings.HasPrefix(name, catalogWork) {
		errs := make([]error, len(cs))
		for i, c := range cs {
			errs[i] = e.applyCatalog(ctx, r, c)
		}
		return errs
	}
	w := work{reader: r, instance: e.o.Instance, name: name, external: e.o.External}
	for _, c := range cs {
		w.add(c)
	}
	err := w.do(ctx)
	switch {
	case err == nil:
		return make([]error, len(cs))
	case executors.KindOf(err) == executors.Refused:
		return executors.RefuseBatch(len(cs), err)
	}
	return executors.All(len(cs), err)
}

// work is what is to be done to one zone.
type work struct {
	reader   *reader
	instance string
	name     string // without trailing dot

	external bool // others made the server
	adopt    bool // what others made is taken over

	anew    bool          // what was seen before doesn't count
	make    *planner.Zone // to be made or changed; nil leaves it
	gone    bool          // to be removed
	replace []planner.RRset
	delete  []planner.RRset
}

func (w *work) add(c planner.Change) {
	w.anew, w.adopt = w.anew || c.Force || c.Adopt, w.adopt || c.Adopt
	switch o := c.New.(type) {
	case planner.Zone:
		w.make = &o
	case planner.RRset:
		w.replace = append(w.replace, o)
	}
	if c.New != nil {
		return
	}
	switch o := c.Old.(type) {
	case planner.Zone:
		w.gone = true
	case planner.RRset:
		w.delete = append(w.delete, o)
	}
}

// do makes the zone where it is missing, changes its RRsets in one transaction, and removes it where that is asked for.
func (w *work) do(ctx context.Context) error {
	have, err := w.read(ctx)
	if errors.Is(err, errNotFound) {
		if have, err = w.create(ctx); err != nil || have.Name == "" {
			return err
		}
	}
	if err != nil {
		return err
	}
	if err := w.owns(have); err != nil {
		return err
	}
	if w.make != nil {
		if err := w.settle(ctx, have); err != nil {
			return err
		}
	}
	edits := w.edits(have)
	if len(edits) > 0 && !w.gone {
		w.reader.seen.forget(have.Name)
		if err := w.reader.patch(ctx, have.Name, edits); err != nil {
			return err
		}
		w.reader.notify(ctx, have)
	}
	if w.gone {
		return w.remove(ctx, have)
	}
	return nil
}

// few is up to how many RRsets are looked at one by one rather than with their whole zone, and how many zones without
// listing all.
const few = 3

// read returns the zone as it is. A zone's own settings move no serial, so whoever changes them looks at them, and so does
// whoever removes it with all that is in it.
func (w *work) read(ctx context.Context) (zone, error) {
	if (w.anew || w.gone || w.make != nil) && w.reader.isListed(w.name) {
		return w.reader.readAnew(ctx, absolute(w.name), w.look())
	}
	return w.reader.read(ctx, absolute(w.name), w.look())
}

// look returns the RRsets to look at; none means the whole zone.
func (w *work) look() []key {
	if w.make != nil || w.gone || len(w.replace)+len(w.delete) > few {
		return nil
	}
	var keys []key
	for _, o := range slices.Concat(w.delete, w.replace) {
		keys = append(keys, key{absolute(o.FQDN), o.Type})
	}
	return keys
}

// create makes a zone that is missing. Without one to make, that is all that a removal wants; have.Name is "" then.
func (w *work) create(ctx context.Context) (have zone, err error) {
	if w.make == nil {
		if len(w.replace) > 0 {
			return zone{}, executors.Errorf(executors.Conflict, "zone %s isn't there", w.name)
		}
		return zone{}, nil
	}
	z := w.settings()
	z.Name, z.RRsets = absolute(w.name), apex(*w.make, "0")
	made, err := w.reader.create(ctx, z)
	if errors.Is(err, errExists) {
		return w.reader.readAnew(ctx, z.Name, nil)
	}
	return made, err
}

// settings are those of the zone: nothing is transferred, and the API keeps names in order and the serial going.
func (w *work) settings() zone {
	yes := true
	z := zone{Kind: kindNative, Account: w.instance, APIRectify: &yes, SOAEditAPI: "DEFAULT", DNSSEC: w.make.Signed}
	if !w.external {
		z.setTransfer(w.make.Transfer)
	}
	if w.make.Kept {
		z.Account += keptMark
	}
	if z.DNSSEC {
		z.NSEC3Param = nsec3Param
	}
	return z
}

// settle sets the zone's own settings where they differ.
func (w *work) settle(ctx context.Context, have zone) error {
	want := w.settings()
	if w.external && have.Kind == kindPrimary {
		want.Kind = have.Kind // it has secondaries that nobody told us of
	}
	if err := w.settleTransfer(ctx, have); err != nil { // first: one that isn't a primary any more isn't looked at again
		return err
	}
	if !have.settled(want) {
		w.reader.seen.forget(have.Name)
		if err := w.reader.set(ctx, have.Name, want); err != nil {
			return err
		}
	}
	return w.publishKeys(ctx, have)
}

// settled reports whether a zone has the settings that it should have.
func (z zone) settled(want zone) bool {
	return z.Kind == want.Kind && z.Account == want.Account && z.APIRectify != nil && *z.APIRectify && z.SOAEditAPI == want.SOAEditAPI &&
		z.sameSigning(want) && z.sameTransfer(want)
}

// edits returns the changes of RRsets that differ, removals first.
func (w *work) edits(have zone) []rrset {
	there := make(map[key]rrset, len(have.RRsets))
	for _, r := range have.RRsets {
		there[r.key()] = r
	}
	var out []rrset
	for _, o := range w.delete {
		k := key{absolute(o.FQDN), o.Type}
		if _, ok := there[k]; ok {
			out = append(out, rrset{Name: k.name, Type: k.typ, ChangeType: "DELETE", Records: []record{}})
		}
	}
	var want []rrset
	if w.make != nil {
		serial := "0"
		if s, ok := parseSOA(strings.Join(there[key{have.Name, "SOA"}].values(), " ")); ok {
			serial = s.serial
		}
		want = apex(*w.make, serial)
	}
	for _, o := range w.replace {
		want = append(want, replace(o))
	}
	for _, r := range want {
		if !same(there[r.key()], r) {
			out = append(out, r)
		}
	}
	return out
}

// remove removes the zone, unless it holds what nobody declared.
func (w *work) remove(ctx context.Context, have zone) error {
	const most = 5
	ours := map[key]bool{{have.Name, "SOA"}: true, {have.Name, "NS"}: true}
	for _, o := range w.delete {
		ours[key{absolute(o.FQDN), o.Type}] = true
	}
	var others []string
	for _, r := range have.RRsets {
		if !ours[r.key()] {
			others = append(others, relative(r.Name)+" "+r.Type)
		}
	}
	if len(others) > 0 {
		n := len(others)
		slices.Sort(others)
		return executors.Errorf(executors.Conflict, "zone %s holds %d RRsets that nobody declared, so it stays: %s", w.name, n, strings.Join(others[:min(n, most)], ", "))
	}
	w.reader.seen.forget(have.Name)
	if err := w.reader.remove(ctx, have.Name); err != nil && !errors.Is(err, errNotFound) {
		return err
	}
	return nil
}
