// Package webroots is the executor of sites' folders on a web shard's shared volume.
//
//	/srv/tenants                  root:root 0755
//	/srv/tenants/acme             root:t-acme 0750, and x for www-data
//	/srv/tenants/acme/shop        t-acme:www-data 2750
//	/srv/tenants/.hostctl         root:root 0700, what was put into which site
//
// The site belongs to the tenant's user, and its group is the web server's: nginx reads what it serves, and the code of
// another tenant, being neither, can't even enter. The set-group-id bit hands the group on to all that is made below, by
// whom ever. A tenant isn't in that group, so the kernel lets no tenant make a program that runs with it (chmod(2)).
//
// What is in the folder is the tenant's to change at any moment, also while files are put in place. Therefore nothing
// below the site is ever done by path (see package beneath), nothing is changed that isn't ours, and no owner is changed
// of what was there. Data is deleted only where that was announced (see purge).
package webroots

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"hostctl/agent/allow"
	"hostctl/agent/beneath"
	"hostctl/agent/blobs"
	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// Options say where sites are. The zero value of all but Blobs and GID is what nodes use.
type Options struct {
	Root  string          // "" is planner.TenantsRoot
	GID   int             // the web server's group
	Blobs executors.Blobs // bytes of the files
	Pull  Pull            // nil where no site can be brought from another shard
}

// Manager is the executor.
type Manager struct{ o Options }

// New returns the executor.
func New(o Options) *Manager {
	if o.Root == "" {
		o.Root = planner.TenantsRoot
	}
	return &Manager{o: o}
}

// Apply implements executors.Executor.
func (m *Manager) Apply(ctx context.Context, cs []planner.Change) []error {
	errs := make([]error, len(cs))
	for i, c := range cs {
		if ctx.Err() != nil {
			errs[i] = executors.NotTried(ctx)
			continue
		}
		if err := m.apply(ctx, c); err != nil {
			errs[i] = executors.Errorf(kindOf(err), "%s: %w", c.Ref(), err)
		}
	}
	return errs
}

func kindOf(err error) executors.Kind {
	var odd *beneath.NotPlain
	if errors.As(err, &odd) {
		return executors.Refused
	}
	return executors.KindOf(err)
}

func (m *Manager) apply(ctx context.Context, c planner.Change) error {
	o := c.New
	if o == nil {
		o = c.Old
	}
	w, ok := o.(planner.Webroot)
	if !ok {
		return executors.Errorf(executors.Refused, "webroots are all that is applied here")
	}
	if err := check(w); err != nil {
		return executors.Errorf(executors.Refused, "%w", err)
	}
	if c.New == nil {
		return m.purge(ctx, w)
	}
	if w.Kept {
		return m.keep(w)
	}
	if w.CopyOf != nil {
		return m.bring(ctx, w, *w.CopyOf)
	}
	if old, ok := c.Old.(planner.Webroot); ok && old.CopyOf != nil {
		return m.bringRest(ctx, w, *old.CopyOf)
	}
	return m.put(w)
}

func check(w planner.Webroot) error {
	errs := []error{allow.Site(w.Name, w.Tenant, w.Site), allow.UID(w.UID)}
	if w.DocumentRoot != "" {
		errs = append(errs, schema.CheckRelPath(w.DocumentRoot))
	}
	for _, f := range w.Files {
		errs = append(errs, schema.CheckRelPath(f.Path), allow.Blob(string(f.Blob)))
	}
	if w.MovesTo != "" {
		errs = append(errs, schema.CheckSlug(w.MovesTo))
	}
	if w.CopyOf != nil {
		errs = append(errs, checkCopy(*w.CopyOf))
	}
	return errors.Join(errs...)
}

// keep leaves all as it is: who serves the site stops by itself.
func (m *Manager) keep(w planner.Webroot) error { return m.remember(w) }

// put brings the folder and its files about. The record is written before the files: what was put in place is known
// to be ours even if nothing came after.
func (m *Manager) put(w planner.Webroot) error {
	was, err := m.recall(w.Name)
	if err != nil {
		return err
	}
	site, err := m.folder(w)
	if err != nil {
		return err
	}
	defer func() { _ = site.Close() }() // only held for its path
	if err := m.remember(joined(w, was)); err != nil {
		return err
	}
	inTheWay, rest := stale(was, w)
	if err := remove(site, inTheWay, w.DocumentRoot); err != nil {
		return err
	}
	o := m.owner(w)
	for _, f := range w.Files {
		if err := m.putFile(site, f, o); err != nil {
			return err
		}
	}
	if err := m.placeholder(site, w, o); err != nil {
		return err
	}
	if err := remove(site, rest, w.DocumentRoot); err != nil {
		return err
	}
	return m.remember(w)
}

func (m *Manager) owner(w planner.Webroot) beneath.Owner {
	return beneath.Owner{UID: w.UID, GID: m.o.GID, FileMode: 0o640, DirMode: 0o2750}
}

// folder makes the site's folder and those above it. Above the site everything is root's, so it can be named by path.
func (m *Manager) folder(w planner.Webroot) (*beneath.Dir, error) {
	root, err := beneath.Open(m.o.Root)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // only held for its path
	tenant, err := Home(root, w.Tenant, w.UID, m.o.GID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tenant.Close() }() // only held for its path
	site, err := tenant.Make(w.Site, m.owner(w))
	if err != nil {
		return nil, err
	}
	st, err := site.Stat()
	if err == nil && int(st.Uid) != w.UID {
		err = executors.Errorf(executors.Conflict, "the folder belongs to user id %d, not %d", st.Uid, w.UID)
	}
	if err == nil {
		err = site.Own(m.owner(w))
	}
	if err != nil {
		return nil, errors.Join(err, site.Close())
	}
	return site, nil
}

// Home makes a tenant's folder below root, in which its sites are. It is root's. The tenant may list it, and is locked into it
// by SFTP; the web server goes through it; another tenant can't, whatever the modes of what is in it.
func Home(root *beneath.Dir, tenant string, uid, web int) (*beneath.Dir, error) {
	own := beneath.Owner{GID: uid, DirMode: 0o750, Pass: web}
	dir, err := root.Make(tenant, own)
	if err != nil {
		return nil, err
	}
	if err := dir.Own(own); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return dir, nil
}

// putFile puts one file in place unless it is there already, byte for byte.
func (m *Manager) putFile(site *beneath.Dir, f schema.ContentFile, o beneath.Owner) error {
	have, err := sum(site, f.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if have.Blob == f.Blob {
		return nil
	}
	data, err := m.o.Blobs.Read(f.Blob)
	if err != nil {
		return fmt.Errorf("file %s: %w", f.Path, err)
	}
	if err := site.Write(f.Path, data, o); err != nil {
		return fmt.Errorf("file %s: %w", f.Path, err)
	}
	return nil
}

// placeholder makes the document root, and puts a page into it if it is empty and nobody has declared files.
func (m *Manager) placeholder(site *beneath.Dir, w planner.Webroot, o beneath.Owner) error {
	root, err := site.Make(docRoot(w), o)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // only held for its path
	if len(w.Files) > 0 {
		return nil
	}
	empty, err := root.Empty()
	if err != nil || !empty {
		return err
	}
	return root.Write("index.html", []byte(placeholder), o)
}

const placeholder = "<!doctype html>\n<meta charset=\"utf-8\">\n<title>Ready</title>\n<p>This site is ready for its files.\n"

func docRoot(w planner.Webroot) string {
	if w.DocumentRoot == "" {
		return "."
	}
	return w.DocumentRoot
}

// stale returns the files that were put in place for was and that w doesn't have, the placeholder among them: those that
// stand where w wants a folder, or the other way round, and the rest, which go last.
func stale(was, w planner.Webroot) (inTheWay, rest []schema.ContentFile) {
	old := was.Files
	if len(old) == 0 && was.Name != "" && len(w.Files) > 0 {
		old = []schema.ContentFile{{Path: path.Join(was.DocumentRoot, "index.html"), Blob: blobs.ID([]byte(placeholder))}}
	}
	wanted, folders := map[string]bool{}, map[string]bool{}
	for _, f := range w.Files {
		wanted[f.Path] = true
		for _, dir := range above(f.Path) {
			folders[dir] = true
		}
	}
	for _, f := range old {
		switch {
		case wanted[f.Path]:
		case folders[f.Path], slices.ContainsFunc(above(f.Path), func(dir string) bool { return wanted[dir] }):
			inTheWay = append(inTheWay, f)
		default:
			rest = append(rest, f)
		}
	}
	return inTheWay, rest
}

// above returns the folders on the way to a path, the nearest first.
func above(rel string) []string {
	var dirs []string
	for dir := path.Dir(rel); dir != "."; dir = path.Dir(dir) {
		dirs = append(dirs, dir)
	}
	return dirs
}

// remove removes files as long as they still hold what was put there: what the tenant has changed is the tenant's.
// Folders that are empty then go with them, except the document root.
func remove(site *beneath.Dir, files []schema.ContentFile, documentRoot string) error {
	for _, f := range files {
		have, err := sum(site, f.Path)
		var odd *beneath.NotPlain
		if errors.As(err, &odd) || errors.Is(err, fs.ErrNotExist) || err == nil && have.Blob != f.Blob {
			continue
		}
		if err != nil {
			return err
		}
		if err := site.Remove(f.Path); err != nil {
			return err
		}
		for _, dir := range above(f.Path) {
			if dir == documentRoot || site.RemoveEmpty(dir) != nil {
				break // something else is in it
			}
		}
	}
	return nil
}

// sum returns what a file holds.
func sum(site *beneath.Dir, rel string) (schema.ContentFile, error) {
	f, st, err := site.File(rel)
	if err != nil {
		return schema.ContentFile{}, err
	}
	defer func() { _ = f.Close() }() // only read
	id, err := blobs.Sum(f, st.Size)
	return schema.ContentFile{Path: rel, Blob: id, Size: st.Size}, err
}

// Observe implements executors.Observer. Of each site that was ever applied on this volume, by whichever node, it shows
// what now holds the files that were put in place; what else the tenant has is the tenant's.
func (m *Manager) Observe(ctx context.Context) ([]planner.Object, error) {
	names, err := m.remembered()
	if err != nil {
		return nil, err
	}
	var objects []planner.Object
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		w, err := m.recall(name)
		if err != nil {
			return nil, err
		}
		seen, err := m.look(w)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("observe %s: %w", w.Ref(), err)
		}
		objects = append(objects, seen)
	}
	return objects, nil
}

// Present implements executors.Reader: of each site the files that were put in place.
func (m *Manager) Present(ctx context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	found := map[planner.Ref]planner.Object{}
	for _, r := range refs {
		if err := ctx.Err(); err != nil {
			return nil, executors.NotTried(ctx)
		}
		tenant, site, _ := strings.Cut(r.Name, ".")
		if allow.Site(r.Name, tenant, site) != nil {
			continue
		}
		w, err := m.recall(r.Name)
		if err != nil {
			return nil, err
		}
		if w.Ref() != r {
			continue
		}
		switch seen, err := m.look(w); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", r, err)
		default:
			found[r] = seen
		}
	}
	return found, nil
}

// look returns a webroot as it is on disk.
func (m *Manager) look(w planner.Webroot) (planner.Webroot, error) {
	root, err := beneath.Open(m.o.Root)
	if err != nil {
		return w, err
	}
	defer func() { _ = root.Close() }() // only held for its path
	site, err := root.Sub(filepath.Join(w.Tenant, w.Site))
	if err != nil {
		return w, err
	}
	defer func() { _ = site.Close() }() // only held for its path
	st, err := site.Stat()
	if err != nil {
		return w, err
	}
	seen := w
	seen.UID, seen.Files = int(st.Uid), nil
	if w.Kept {
		seen.Files = w.Files // nobody's business any more
		return seen, nil
	}
	for _, f := range w.Files {
		have, err := sum(site, f.Path)
		var odd *beneath.NotPlain
		if errors.As(err, &odd) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return w, err
		}
		seen.Files = append(seen.Files, have)
	}
	return seen, nil
}

// joined is a record of what may be there while w is put in place of was: the files of both.
func joined(w, was planner.Webroot) planner.Webroot {
	both := w
	both.Files = slices.Clone(w.Files)
	for _, f := range was.Files {
		if !slices.ContainsFunc(w.Files, func(n schema.ContentFile) bool { return n.Path == f.Path }) {
			both.Files = append(both.Files, f)
		}
	}
	return both
}

func (m *Manager) records() string { return filepath.Join(m.o.Root, ".hostctl") }

// remember writes what is put into a site, on the volume that holds the site: every node of the shard finds it there.
func (m *Manager) remember(w planner.Webroot) error {
	dir := m.records()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	record := w
	record.From, record.On = planner.Owner{}, nil
	tmp, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already where all went well
	_, err = tmp.Write(planner.Encode(record))
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), filepath.Join(dir, w.Name+".json"))
}

// recall returns what was last put into a site; a Webroot without files where nothing was.
func (m *Manager) recall(name string) (planner.Webroot, error) {
	b, err := os.ReadFile(filepath.Join(m.records(), name+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return planner.Webroot{}, nil
	}
	if err != nil {
		return planner.Webroot{}, err
	}
	o, err := planner.Decode(b)
	if err != nil {
		return planner.Webroot{}, fmt.Errorf("record of webroot %s: %w", name, err)
	}
	w, ok := o.(planner.Webroot)
	if !ok || check(w) != nil || w.Name != name {
		return planner.Webroot{}, fmt.Errorf("record of webroot %s is of something else", name)
	}
	return w, nil
}

// remembered returns the names of all sites with a record, sorted.
func (m *Manager) remembered() ([]string, error) {
	entries, err := os.ReadDir(m.records())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name, ok := cutSuffix(e.Name()); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

func cutSuffix(file string) (string, bool) {
	name := file[:len(file)-len(filepath.Ext(file))]
	return name, filepath.Ext(file) == ".json" && file[0] != '.'
}
