package schema

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
)

// Load reads and checks the whole repository.
//
// If anything is wrong it returns Errors with every problem at once, and beside it a Manifest of the resources that are
// right in themselves. Such a Manifest is for looking at, never for applying: what is absent from it may only be
// unreadable. Any other error is the Tree's own, and there is no Manifest.
//
// A blob that the cache knows isn't read again; cache may be nil. Of a Tree that is Folders, a MemoryCache remembers what
// all of it came to, and the next Load looks at the tenants that have changed. Load calls t from one goroutine at a time.
func Load(t Tree, cache Cache) (Manifest, error) {
	folders, ok := t.(Folders)
	keeper, ok2 := cache.(remembersLinked)
	if !ok || !ok2 {
		return loadAll(t, cache)
	}
	now, plain, err := contentsOf(folders)
	if err != nil {
		return Manifest{}, err
	}
	if !plain {
		return loadAll(t, cache)
	}
	known := keeper.takeLinked()
	defer func() { keeper.putLinked(known) }()
	if known != nil {
		if m, ok := known.loadChanged(folders, now, cache); ok {
			return m, nil
		}
	}
	m, err := loadAll(t, cache)
	if err == nil && !unlisted(m) { // else what is known is still true of the tree that it was read from
		known = &linked{contents: now, manifest: m, names: indexNames(&m)}
	}
	return m, err
}

// loadAll reads and checks all of a tree.
func loadAll(t Tree, cache Cache) (Manifest, error) {
	l := &loader{tree: t, cache: cache}
	if err := l.collect(); err != nil {
		return Manifest{}, err
	}
	if err := l.parse(); err != nil {
		return Manifest{}, err
	}
	c := newCatalog(l.layout)
	l.declare(c)
	c.link()
	if err := l.contents(c); err != nil {
		return Manifest{}, err
	}
	if err := l.chains(c); err != nil {
		return Manifest{}, err
	}
	l.secrets(c)
	c.check()
	m := c.manifest()
	m.Parts = l.layout.parts()
	errs := slices.Concat(l.errors, c.errors)
	if len(errs) > 0 {
		return m, errs.sorted()
	}
	return m, nil
}

// loader reads a Tree.
type loader struct {
	tree    Tree
	cache   Cache
	layout  *layout
	parsed  []*Parsed // of layout.yaml, by index
	errors  Errors
	content []string // content folders, each with a trailing slash, sorted
}

// parse reads every YAML file that the cache doesn't know. One goroutine reads, the others parse.
func (l *loader) parse() error {
	l.parsed = make([]*Parsed, len(l.layout.yaml))
	type job struct {
		index int
		data  []byte
	}
	jobs := make(chan job, 64)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for j := range jobs {
				l.parsed[j.index] = parseBlob(j.data)
			}
		})
	}
	err := l.feed(func(i int, data []byte) { jobs <- job{i, data} })
	close(jobs)
	workers.Wait()
	if err != nil {
		return err
	}
	l.remember()
	return nil
}

// feed hands the bytes of each file that must be parsed to fn.
func (l *loader) feed(fn func(index int, data []byte)) error {
	for i, f := range l.layout.yaml {
		if p, ok := l.known(f.blob); ok && p.yaml {
			l.parsed[i] = p
			continue
		}
		data, err := l.tree.Read(f.blob)
		if err != nil {
			return fmt.Errorf("read %s: %w", printable(f.path), err)
		}
		fn(i, data)
	}
	return nil
}

// remember puts what was parsed into the cache.
func (l *loader) remember() {
	if l.cache == nil {
		return
	}
	for i, f := range l.layout.yaml {
		if old, ok := l.cache.Get(f.blob); !ok || !old.yaml {
			l.cache.Put(f.blob, l.parsed[i])
		}
	}
}

func (l *loader) known(id BlobID) (*Parsed, bool) {
	if l.cache == nil {
		return nil, false
	}
	return l.cache.Get(id)
}

// declare enters what the files declare into the catalog, but for files that are a site's content.
func (l *loader) declare(c *catalog) {
	l.findContent()
	for i, f := range l.layout.yaml {
		if l.isContent(f.path) {
			continue
		}
		p := l.parsed[i]
		if p.unread {
			c.unread[f.folder()] = true
		}
		if p.secret == nil && isSecretFile(f.path) {
			l.fail(f.path, notEncrypted)
			continue
		}
		for _, e := range p.errors {
			at := *e
			at.File = f.path
			l.errors = append(l.errors, &at)
		}
		for _, e := range p.entries {
			c.declare(f, e)
		}
	}
}

// findContent collects the folders that Webroots name as their content.
func (l *loader) findContent() {
	for i, f := range l.layout.yaml {
		for _, e := range l.parsed[i].entries {
			if w, ok := e.body.(*webrootDraft); ok && w.content != "" {
				l.content = append(l.content, contentFolder(f.path, w.content))
			}
		}
	}
	slices.Sort(l.content)
	l.content = slices.Compact(l.content)
}
