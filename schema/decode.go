package schema

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"hostctl/schema/sops"
)

// entry is one resource as its blob declares it. Position.File and what comes from the folder (Tenant, Cluster) are
// filled in when the blob is found under a path.
type entry struct {
	meta   Meta
	body   any     // *Platform, *HostingPlan, … with the Meta of this entry not yet in it; *recordDraft for a ZoneRecord
	places []place // of the fields that later checks speak of, in document order
	short  string  // path of the short form that declares it, such as "spec.fqdns[2]"; "" for a document of its own
	twin   bool    // it follows from another entry of the document
	broken bool    // it has errors of its own: it is known by name, and not checked further
}

// place is where a field stands in the file.
type place struct {
	field        string
	line, column int32
}

// recordDraft is a ZoneRecord before its Zone is known.
type recordDraft struct {
	zone    string // name of the Zone resource
	name    string // as written
	unnamed bool   // its metadata.name follows from its content
	record  ZoneRecord
}

// provisional names an unnamed record in errors until its zone is known.
func (r *recordDraft) provisional() string { return r.name + "/" + r.record.Type }

// webrootDraft is a Webroot before the files of its content folder are known.
type webrootDraft struct {
	webroot Webroot
	content string // content.path, relative to the file
}

// parseBlob reads all resources of one file.
func parseBlob(data []byte) (p *Parsed) {
	defer func() {
		if r := recover(); r != nil { // one tenant's file must not take the program down
			p = &Parsed{size: int64(len(data)), yaml: true, errors: []*Error{{Line: 1, Column: 1, Text: fmt.Sprintf("can't be read: the parser gave up (%v)", r)}}}
		}
	}()
	p = &Parsed{size: int64(len(data)), yaml: true, pointer: bytes.HasPrefix(data, []byte(lfsPrefix))}
	if sops.Is(data) {
		p.secret = parseSecretFile(data)
		p.errors = p.secret.errors
		return p
	}
	roots, errs := parseYAML(data)
	errs = append(errs, plainSecrets(data)...)
	p.errors, p.unread = errs, len(errs) > 0 && len(roots) == 0
	for _, root := range roots {
		d := &decoder{root: root}
		d.document()
		p.entries = append(p.entries, d.entries...)
		p.unread = p.unread || len(d.entries) == 0
		p.errors = append(p.errors, slices.DeleteFunc(d.errors, func(e *Error) bool { return sameSpot(errs, e) })...)
	}
	for _, e := range p.entries {
		e.broken = e.broken || len(errs) > 0 // YAML with such faults may not say what its author meant
	}
	return p
}

// sameSpot reports whether an error is the consequence of one that is known.
func sameSpot(known []*Error, e *Error) bool {
	return slices.ContainsFunc(known, func(k *Error) bool { return k.Line == e.Line && k.Column == e.Column })
}

// decoder turns one document into entries.
type decoder struct {
	root    *yaml.Node
	kind    Kind
	meta    Meta
	places  []place
	entries []*entry
	errors  []*Error
	cut     bool // there are more errors than are told
}

// maxErrors is how many problems of one document are told at once.
const maxErrors = 200

// document decodes a document whose envelope and shape are right, and reports what is not.
func (d *decoder) document() {
	if !d.envelope() {
		return
	}
	d.errors = append(d.errors, checkShape(d.kind, d.root)...)
	d.metadata(child(d.root, "metadata"))
	decodeSpec := specDecoders[d.kind]
	body := decodeSpec(d, child(d.root, "spec"))
	if d.cut = d.cut || len(d.errors) > maxErrors; d.cut {
		d.errors = append(d.errors[:maxErrors], errorAt(d.root, "", "has more than %d problems; mend these first", maxErrors))
	}
	for _, e := range d.errors {
		e.Kind, e.Name = d.kind, d.meta.Name
	}
	own := &entry{meta: d.meta, body: body, places: d.places}
	d.entries = append([]*entry{own}, d.entries...)
	for _, e := range d.errors {
		d.entryOf(e.Field).broken = true
	}
	for _, e := range d.entries {
		e.broken = e.broken || d.cut || e.twin && len(d.errors) > 0
	}
}

// entryOf is the entry whose field has a path: one of a short form, or the document's own.
func (d *decoder) entryOf(field string) *entry {
	for _, e := range d.entries[1:] {
		if rest, ok := strings.CutPrefix(field, e.short); ok && !e.twin && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return e
		}
	}
	return d.entries[0]
}

// envelope finds the kind, without which nothing else can be checked.
func (d *decoder) envelope() bool {
	if d.root.Kind != yaml.MappingNode {
		d.fail(d.root, "is a %s; a document is an object with apiVersion, kind, metadata and spec", nodeName(d.root))
		return false
	}
	version, kind := child(d.root, "apiVersion"), child(d.root, "kind")
	if version == nil || kind == nil {
		d.fail(d.root, "has no %s; begin with apiVersion: %s and kind", missingOf(version == nil, "apiVersion", "kind"), APIVersion)
		return false
	}
	if version.Value != APIVersion {
		d.fail(version, "is %q; this version of hostctl reads %s", shorten(version.Value), APIVersion)
		return false
	}
	d.kind = Kind(kind.Value)
	if specDecoders[d.kind] != nil && kind.Kind == yaml.ScalarNode {
		return true
	}
	d.fail(kind, "%s", unknownKind(kind.Value))
	return false
}

func missingOf(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// unknownKind says why a kind isn't one.
func unknownKind(kind string) string {
	if plannedKinds[kind] {
		return fmt.Sprintf("%s isn't supported by this version of hostctl; take the document out", kind)
	}
	var names []string
	for _, k := range kinds {
		names = append(names, string(k))
	}
	text := fmt.Sprintf("%q isn't a kind", shorten(kind))
	if near := nearest(kind, names); near != "" {
		return text + fmt.Sprintf("; did you mean %q?", near)
	}
	return text + "; kinds: " + strings.Join(names, ", ")
}

// metadata decodes what every resource has. A derived name is filled in later.
func (d *decoder) metadata(n *yaml.Node) {
	d.meta = Meta{
		Kind:        d.kind,
		Labels:      d.strings(child(n, "labels"), checkLabel),
		Annotations: d.strings(child(n, "annotations"), checkAnnotation),
		Protected:   d.flag(child(n, "protected"), false),
		FormerName:  d.formerName(child(n, "formerName")),
		Deletion:    d.deletionPolicy(child(n, "deletionPolicy")),
		Position:    Position{Line: d.root.Line, Column: d.root.Column},
	}
	name := child(n, "name")
	d.meta.Name = d.plain(name)
	if name == nil || d.meta.Name == "" && name.Kind != yaml.ScalarNode {
		return
	}
	d.mark("metadata.name", name)
	if d.kind != KindFQDN && d.kind != KindZoneRecord {
		d.value(name, CheckSlug)
	}
}

// labelKey is the grammar of the keys of labels and annotations.
var labelKey = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$`)

func checkLabel(key, value string) error {
	if !labelKey.MatchString(key) {
		return fmt.Errorf("%q isn't a label's name; use letters, digits and . _ - /, at most 63", shorten(key))
	}
	return CheckText(value, 255)
}

func checkAnnotation(key, value string) error {
	if !labelKey.MatchString(key) {
		return fmt.Errorf("%q isn't an annotation's name; use letters, digits and . _ - /, at most 63", shorten(key))
	}
	if len(value) > 4096 {
		return fmt.Errorf("has %d bytes; at most 4096 are allowed", len(value))
	}
	return nil
}

// fail reports a problem at a node.
func (d *decoder) fail(n *yaml.Node, text string, args ...any) {
	if d.cut = d.cut || len(d.errors) > maxErrors; !d.cut {
		d.errors = append(d.errors, errorAt(n, d.pathOf(n), text, args...))
	}
}

// leak is fail, of a secret that stands in clear.
func (d *decoder) leak(n *yaml.Node, text string, args ...any) {
	before := len(d.errors)
	if d.fail(n, text, args...); len(d.errors) > before {
		d.errors[before].Leak = true
	}
}

// mark remembers where a field stands.
func (d *decoder) mark(field string, n *yaml.Node) {
	if n != nil {
		d.places = append(d.places, place{field, int32(n.Line), int32(n.Column)})
	}
}

// placeOf is where a field of an entry in short form stands.
func placeOf(field string, n *yaml.Node) []place {
	if n == nil {
		return nil
	}
	return []place{{field, int32(n.Line), int32(n.Column)}}
}

// plain returns the string of a scalar; "" for anything else, of which the shape check has told.
func (d *decoder) plain(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		return ""
	}
	return n.Value
}

// value returns a string that passes a check.
func (d *decoder) value(n *yaml.Node, check func(string) error) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		return ""
	}
	if err := check(n.Value); err != nil {
		d.fail(n, "%s", err)
		return ""
	}
	return n.Value
}

// parsed returns a string as a value type reads it.
func parsed[T any](d *decoder, n *yaml.Node, parse func(string) (T, error)) T {
	var v T
	d.value(n, func(s string) (err error) {
		v, err = parse(s)
		return err
	})
	return v
}

// flag returns a boolean.
func (d *decoder) flag(n *yaml.Node, otherwise bool) bool {
	if n == nil || n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		return otherwise
	}
	return n.Value == "true"
}

// integer returns a whole number.
func (d *decoder) integer(n *yaml.Node, otherwise int) int {
	if n == nil || n.Kind != yaml.ScalarNode {
		return otherwise
	}
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(n.Value, 64) // 3.0 is an integer in JSON Schema
		if err != nil || f != float64(int64(f)) {
			return otherwise
		}
		i = int64(f)
	}
	return int(i)
}

// strings returns a mapping of strings whose entries pass a check.
func (d *decoder) strings(n *yaml.Node, check func(key, value string) error) map[string]string {
	if n == nil || n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		return nil
	}
	m := make(map[string]string, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if strings.HasPrefix(key.Value, "x-") || value.Kind != yaml.ScalarNode {
			continue
		}
		if err := check(key.Value, value.Value); err != nil {
			d.fail(value, "%s", err)
		}
		m[key.Value] = value.Value
	}
	return m
}

// items are the values of a list.
func items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// list returns the strings of a list, each as a value type reads it.
func list[T any](d *decoder, n *yaml.Node, parse func(string) (T, error)) []T {
	var out []T
	for _, item := range items(n) {
		out = append(out, parsed(d, item, parse))
	}
	return out
}

// checked makes a parser of a check.
func checked(check func(string) error) func(string) (string, error) {
	return func(s string) (string, error) { return s, check(s) }
}

// pathOf finds the path of a node in its document: "spec.fqdns[2].hostname".
func (d *decoder) pathOf(n *yaml.Node) string {
	path, _ := findPath(d.root, n)
	return path
}

func findPath(at, n *yaml.Node) (string, bool) {
	if at == n {
		return "", true
	}
	for i, c := range at.Content {
		if at.Kind == yaml.MappingNode && i%2 == 0 {
			continue
		}
		rest, ok := findPath(c, n)
		if !ok {
			continue
		}
		step := "[" + strconv.Itoa(i) + "]"
		if at.Kind == yaml.MappingNode {
			step = at.Content[i-1].Value
		}
		if rest != "" && rest[0] != '[' {
			step += "."
		}
		return step + rest, true
	}
	return "", false
}

func nodeName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "list"
	case yaml.MappingNode:
		return "object"
	}
	return scalarName(n)
}

// sortedKeys are the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
