package schema

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Put returns the files of a repository that differ once the documents of data are in it: each in the place of the
// document of the same kind and name in its folder, and otherwise in a file of its own, named after both. A document goes
// into the folder of its tenant or cluster: of the last Tenant or Cluster above it in data, else of the owner given, which
// may be "". Comments stay with the document below them. Only kinds of the top folders given are taken.
//
// Errors are Errors with places in data, under the name given. What is in the documents isn't checked: Load the tree that
// With makes of it.
func Put(t Tree, name string, data []byte, owner string, tops ...string) (MapTree, error) {
	docs, errs := cut(data)
	if len(errs) > 0 {
		return nil, named(errs, name)
	}
	p := &putter{tree: t, read: map[string]bool{}, files: map[string]*putFile{}, at: map[putKey]string{}}
	for _, d := range docs {
		if d.kind == KindTenant || d.kind == KindCluster {
			owner = d.name
		}
		folder, e := folderFor(d, owner, tops)
		if e != nil {
			errs = append(errs, e)
			continue
		}
		if err := p.put(folder, d); err != nil {
			return nil, err
		}
	}
	if len(errs) > 0 {
		return nil, named(errs, name)
	}
	return p.changed(), nil
}

func named(errs []*Error, file string) Errors {
	for _, e := range errs {
		e.File = file
	}
	return errs
}

// folderFor is the folder that a document belongs into, of those whose top folders are asked for.
func folderFor(d document, owner string, tops []string) (string, *Error) {
	may := folders[d.kind]
	if len(may) == 0 {
		return "", &Error{Line: d.line, Column: 1, Text: fmt.Sprintf("%q isn't a kind; the kinds: 'hostctl explain'", d.kind)}
	}
	if CheckSlug(d.name) != nil {
		return "", &Error{Line: d.line, Column: 1, Text: fmt.Sprintf("a %s without a name to file it under; add metadata.name", d.kind)}
	}
	owned := CheckSlug(owner) == nil
	for _, top := range may {
		switch {
		case !slices.Contains(tops, top):
		case top == "platform":
			return top, nil
		case owned:
			return top + "/" + owner, nil
		}
	}
	if !slices.ContainsFunc(may, func(top string) bool { return slices.Contains(tops, top) }) {
		return "", &Error{Line: d.line, Column: 1, Text: fmt.Sprintf("a %s belongs below %s, and this takes what belongs below %s", d.kind, folderNames(may), folderNames(tops))}
	}
	return "", &Error{Line: d.line, Column: 1, Text: fmt.Sprintf("whose the %s %s is isn't said; put it below its Tenant or Cluster, or name that", d.kind, d.name)}
}

// With returns a tree in which some files are others, or are there besides.
func With(t Tree, files MapTree) Tree {
	o := &overlaid{Tree: t, files: map[string]BlobID{}, texts: map[BlobID]string{}}
	for p, text := range files {
		blob := GitBlobID([]byte(text))
		o.files[p], o.texts[blob] = blob, text
	}
	return o
}

type overlaid struct {
	Tree
	files map[string]BlobID
	texts map[BlobID]string
}

// Walk implements Tree.
func (o *overlaid) Walk(fn func(path string, blob BlobID, mode fs.FileMode) error) error {
	var all []treeFile
	for p, blob := range o.files {
		all = append(all, treeFile{p, blob, 0})
	}
	err := o.Tree.Walk(func(p string, blob BlobID, mode fs.FileMode) error {
		if _, ok := o.files[p]; !ok {
			all = append(all, treeFile{p, blob, mode})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return inOrder(all, fn)
}

// Read implements Tree.
func (o *overlaid) Read(blob BlobID) ([]byte, error) {
	if text, ok := o.texts[blob]; ok {
		return []byte(text), nil
	}
	return o.Tree.Read(blob)
}

// document is one document of a file, as it is written.
type document struct {
	kind Kind
	name string
	text string // with the comments above it, ending in a line break, without separators
	line int    // where it begins in its file
}

var separator = regexp.MustCompile(`(?m)^---[ \t\r]*(#.*)?$`)

// cut cuts a file into its documents, leaving out those that hold comments only.
func cut(data []byte) ([]document, []*Error) {
	whole, errs := parseYAML(data)
	if len(errs) > 0 {
		return nil, errs
	}
	var docs []document
	line := 1
	for _, text := range separator.Split(string(data), -1) {
		roots, _ := parseYAML([]byte(text))
		if len(roots) > 0 {
			d := document{kind: Kind(scalarAt(roots[0], "kind")), name: scalarAt(roots[0], "metadata", "name"), text: tidy(text), line: line + roots[0].Line - 1}
			docs = append(docs, d)
		}
		line += strings.Count(text, "\n")
	}
	if len(docs) != len(whole) {
		return nil, []*Error{{Line: 1, Column: 1, Text: "can't be cut into its documents; write each below a line of its own that says ---"}}
	}
	return docs, nil
}

func tidy(text string) string { return strings.Trim(text, "\r\n") + "\n" }

func scalarAt(n *yaml.Node, keys ...string) string {
	for _, key := range keys {
		if n.Kind != yaml.MappingNode {
			return ""
		}
		i := 0
		for ; i < len(n.Content) && n.Content[i].Value != key; i += 2 {
		}
		if i >= len(n.Content) {
			return ""
		}
		n = n.Content[i+1]
	}
	if n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// putter holds the files that documents were put into.
type putter struct {
	tree  Tree
	below map[string][]treeFile // the tree's YAML, by folder; nil until it was walked
	read  map[string]bool       // folders whose files are known
	files map[string]*putFile
	at    map[putKey]string // the file that has a document
}

// putFile is a file, cut into its documents.
type putFile struct{ were, docs []document }

type putKey struct {
	folder string
	kind   Kind
	name   string
}

func (p *putter) put(folder string, d document) error {
	if err := p.know(folder); err != nil {
		return err
	}
	key := putKey{folder, d.kind, d.name}
	file, ok := p.at[key]
	if !ok {
		file = path.Join(folder, strings.ToLower(string(d.kind))+"-"+d.name+".yaml")
		p.at[key] = file
	}
	f := p.files[file]
	if f == nil {
		f = &putFile{}
		p.files[file] = f
	}
	i := slices.IndexFunc(f.docs, func(o document) bool { return o.kind == d.kind && o.name == d.name })
	if i < 0 {
		f.docs = append(f.docs, d)
	} else {
		f.docs[i].text = d.text
	}
	return nil
}

// know reads a folder's YAML once. A file that can't be cut is one document that is none of those put.
func (p *putter) know(folder string) error {
	if p.read[folder] {
		return nil
	}
	p.read[folder] = true
	if err := p.walk(); err != nil {
		return err
	}
	for _, f := range p.below[folder] {
		data, err := p.tree.Read(f.blob)
		if err != nil {
			return err
		}
		docs, errs := cut(data)
		if len(errs) > 0 {
			docs = []document{{text: tidy(string(data))}}
		}
		p.files[f.path] = &putFile{were: docs, docs: slices.Clone(docs)}
		for _, d := range docs {
			if key := (putKey{folder, d.kind, d.name}); p.at[key] == "" {
				p.at[key] = f.path
			}
		}
	}
	return nil
}

// walk sorts the tree's YAML by folder, once.
func (p *putter) walk() error {
	if p.below != nil {
		return nil
	}
	p.below = map[string][]treeFile{}
	return p.tree.Walk(func(name string, blob BlobID, mode fs.FileMode) error {
		if isYAML(name) && mode.IsRegular() && blob != "" {
			folder := putFolder(name)
			p.below[folder] = append(p.below[folder], treeFile{name, blob, mode})
		}
		return nil
	})
}

// putFolder is the folder that a file belongs to, as folderFor names it: "platform", or its tenant's or cluster's.
func putFolder(file string) string {
	top, rest, _ := strings.Cut(file, "/")
	if owner, _, below := strings.Cut(rest, "/"); below && top != "platform" {
		return top + "/" + owner
	}
	return top
}

// changed returns the files that aren't as they were.
func (p *putter) changed() MapTree {
	out := MapTree{}
	for name, f := range p.files {
		if now := texts(f.docs); !slices.Equal(now, texts(f.were)) {
			out[name] = strings.Join(now, "---\n")
		}
	}
	return out
}

func texts(docs []document) []string {
	all := make([]string, len(docs))
	for i, d := range docs {
		all[i] = d.text
	}
	return all
}
