package sops

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// formatVersion is that of the sops whose format is written.
const formatVersion = "3.9.4"

// New returns an empty file for recipients, at least one.
func New(recipients ...string) (*Opened, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	f := &File{doc: &yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{root}}, root: root}
	f.meta.UnencryptedSuffix = defaultSuffix
	o := &Opened{File: f, values: map[*leaf]value{}}
	o.newKey()
	return o, o.SetRecipients(recipients)
}

func (o *Opened) newKey() {
	o.key = make([]byte, keySize)
	_, _ = rand.Read(o.key) // never fails: crypto/rand
}

// SetRecipients encrypts the data key to others. Those who leave still know the values: Rotate, and change them.
func (o *Opened) SetRecipients(recipients []string) error {
	if len(recipients) == 0 {
		return errors.New("nobody could open the file any more; keep a recipient")
	}
	var all []recipient
	for _, to := range recipients {
		if slices.ContainsFunc(all, func(r recipient) bool { return r.Recipient == to }) {
			continue
		}
		r, err := wrap(o.key, to)
		if err != nil {
			return err
		}
		all = append(all, r)
	}
	o.meta.Age = all
	return nil
}

// Rotate encrypts every value with a new data key, for the same recipients.
func (o *Opened) Rotate() error {
	was := o.key
	o.newKey()
	o.resealComments(o.doc, nil, was)
	for _, l := range o.leafs {
		if !l.sealed {
			continue
		}
		if err := o.seal(l); err != nil {
			return err
		}
	}
	return o.SetRecipients(o.Recipients())
}

// seal writes a leaf's value encrypted.
func (o *Opened) seal(l *leaf) error {
	v := o.values[l]
	text, err := seal(v.plain, v.kind, o.key, additional(l.path))
	l.node.Value, l.node.Style, l.node.Tag, l.sealed = text, 0, "!!str", text != ""
	return err
}

// Set gives a key, a path with dots, a value, and makes the key where there is none. One whose name keeps values in clear
// is refused. The same value stays the same ciphertext.
func (o *Opened) Set(key string, plain []byte) error {
	path := strings.Split(key, ".")
	if err := CheckKey(key); err != nil {
		return err
	}
	if !o.meta.encrypts(path) {
		return fmt.Errorf("the file's rules keep the value of %s in clear; take another key", key)
	}
	if len(plain) == 0 {
		return fmt.Errorf("the value of %s is empty; give it one on standard input", key)
	}
	if l := o.find(key); l != nil {
		if bytes.Equal(o.values[l].plain, plain) {
			return nil
		}
		o.values[l] = value{plain, "str"}
		return o.seal(l)
	}
	node, err := o.make(path)
	if err != nil {
		return err
	}
	return o.added(node, plain)
}

// added takes a new leaf in, in the order of the document.
func (o *Opened) added(node *yaml.Node, plain []byte) error {
	was := o.values
	nodes := map[*yaml.Node]value{node: {plain, "str"}}
	for l, v := range was {
		nodes[l.node] = v
	}
	node.Value = "new" // so that the walk finds it
	o.leafs, o.values = nil, map[*leaf]value{}
	if err := o.walk(o.root, nil, false, 0); err != nil {
		return err
	}
	for _, l := range o.leafs {
		o.values[l] = nodes[l.node]
		if l.node == node {
			if err := o.seal(l); err != nil {
				return err
			}
		}
	}
	return nil
}

// make returns the node of a new key.
func (o *Opened) make(path []string) (*yaml.Node, error) {
	at := o.root
	for i, key := range path {
		next := childOf(at, key)
		last := i == len(path)-1
		switch {
		case next == nil:
			next = &yaml.Node{Kind: yaml.MappingNode}
			if last {
				next = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str"}
			}
			at.Style = 0
			at.Content = append(at.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, next)
		case last || next.Kind != yaml.MappingNode:
			return nil, fmt.Errorf("%s holds something else already; take another key", strings.Join(path[:i+1], "."))
		}
		at = next
	}
	return at, nil
}

func childOf(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// Remove takes a key away.
func (o *Opened) Remove(key string) bool {
	l := o.find(key)
	if l == nil {
		return false
	}
	remove(o.root, l.node)
	o.leafs = slices.DeleteFunc(o.leafs, func(other *leaf) bool { return other == l })
	delete(o.values, l)
	return true
}

func remove(from, node *yaml.Node) {
	for i := 1; from.Kind == yaml.MappingNode && i < len(from.Content); i += 2 {
		if from.Content[i] == node {
			from.Content = slices.Delete(from.Content, i-1, i+1)
			return
		}
		remove(from.Content[i], node)
	}
}

// CheckKey refuses what can't be the path of a value: names of letters, digits, _ and -, with dots between them.
func CheckKey(key string) error {
	for name := range strings.SplitSeq(key, ".") {
		ok := name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
		if !ok || len(key) > 256 || key == MetadataKey || strings.HasPrefix(key, MetadataKey+".") {
			return errors.New("isn't the key of a value; write names of letters, digits, _ and -, with dots between nested ones, such as database.password")
		}
	}
	return nil
}

// Encode returns the file, its MAC made at a time. Keys keep their order, comments their place.
func (o *Opened) Encode(now time.Time) ([]byte, error) {
	o.meta.LastModified = now.UTC().Format(time.RFC3339)
	o.meta.Version = formatVersion
	var err error
	if o.meta.MAC, err = seal([]byte(o.mac()), "str", o.key, o.meta.LastModified); err != nil {
		return nil, err
	}
	var meta yaml.Node
	if err := meta.Encode(o.meta); err != nil {
		return nil, err
	}
	o.root.Content = slices.Clone(o.root.Content)
	if i := slices.IndexFunc(o.root.Content, func(n *yaml.Node) bool { return n.Value == MetadataKey }); i >= 0 && i%2 == 0 {
		o.root.Content = slices.Delete(o.root.Content, i, i+2)
	}
	o.root.Content = append(o.root.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: MetadataKey}, &meta)
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(4)
	if err := e.Encode(o.doc); err != nil {
		return nil, err
	}
	return out.Bytes(), e.Close()
}

// Clear returns the values in clear, as YAML without the metadata, for a person to edit.
func (o *Opened) Clear() ([]byte, error) {
	data, err := o.Encode(time.Unix(0, 0))
	if err != nil {
		return nil, err
	}
	doc, err := document(data)
	if err != nil {
		return nil, err
	}
	c := &File{doc: doc, root: doc.Content[0]}
	at := slices.IndexFunc(c.root.Content, func(n *yaml.Node) bool { return n.Value == MetadataKey })
	c.root.Content = slices.Delete(c.root.Content, at, at+2)
	if err := c.walk(c.root, nil, false, 0); err != nil {
		return nil, err
	}
	for i, l := range c.leafs {
		clear(l.node, o.values[o.leafs[i]])
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(4)
	if err := e.Encode(doc); err != nil {
		return nil, err
	}
	return out.Bytes(), e.Close()
}

// clear writes a value as it was before it was encrypted.
func clear(n *yaml.Node, v value) {
	tags := map[string]string{"int": "!!int", "float": "!!float", "bool": "!!bool"}
	n.Value, n.Style, n.Tag = string(v.plain), 0, "!!str"
	if tag, ok := tags[v.kind]; ok {
		n.Tag = tag
		if v.kind == "bool" {
			n.Value = strings.ToLower(n.Value)
		}
	}
	if n.Tag == "!!str" {
		n.SetString(string(v.plain))
	}
}

// SetClear takes over values that a person has edited, as Clear has written them. Values that stayed keep their ciphertext.
func (o *Opened) SetClear(data []byte) error {
	doc, err := document(data)
	if err != nil {
		return err
	}
	f := &File{doc: doc, root: doc.Content[0], meta: o.meta}
	if childOf(f.root, MetadataKey) != nil {
		return fmt.Errorf("the key %s is the format's own; take another", MetadataKey)
	}
	if err := f.walk(f.root, nil, false, 0); err != nil {
		return err
	}
	next := &Opened{File: f, key: o.key, values: map[*leaf]value{}}
	for _, l := range f.leafs {
		v := plainValue(l.node)
		next.values[l], l.sealed = v, false
		if !f.meta.encrypts(l.path) || len(v.plain) == 0 {
			continue
		}
		if same := o.same(l, v); same != nil {
			l.node.Value, l.node.Style, l.node.Tag, l.sealed = same.node.Value, 0, "!!str", true
			continue
		}
		if err := next.seal(l); err != nil {
			return err
		}
	}
	*o = *next
	return nil
}

// same finds the leaf of the same path and value.
func (o *Opened) same(l *leaf, v value) *leaf {
	for _, old := range o.leafs {
		w := o.values[old]
		if old.sealed && old.inList == l.inList && w.kind == v.kind && slices.Equal(old.path, l.path) && bytes.Equal(w.plain, v.plain) {
			return old
		}
	}
	return nil
}
