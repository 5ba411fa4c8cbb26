// Package sops reads and writes YAML files in the SOPS format, encrypted to age recipients: keys stand in clear, values are
// encrypted one by one, and a MAC holds them together. It exchanges files with the sops program
// (https://getsops.io/docs/#encryption-protocol) and serves of that format what hostctl needs: YAML files of one document,
// whose data key is encrypted to age recipients and to nothing else.
//
// Parse tells what a file holds without any key: which values there are, and that those which must be encrypted are.
// Opening one (File.Open) needs an age identity and checks the MAC. No error holds a value.
package sops

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// MetadataKey is the key of a document that makes it a file of this format.
const MetadataKey = "sops"

// MaxSize is the most bytes that a file may have.
const MaxSize = 1 << 20

// Error is a problem of a file at its place.
type Error struct {
	Line, Column int // from 1
	Text         string
	Leak         bool // a value stands in clear
}

func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Text) }

// File is a parsed file.
type File struct {
	doc   *yaml.Node // the document
	root  *yaml.Node // its mapping
	meta  metadata
	leafs []*leaf
}

// leaf is a value of a file, in the order of the document.
type leaf struct {
	path   []string // keys from the root; what is in a list has the list's path
	inList bool
	node   *yaml.Node
	sealed bool // its text is a ciphertext
}

// metadata is what stands under MetadataKey, as far as it is used.
type metadata struct {
	Age               []recipient `yaml:"age"`
	LastModified      string      `yaml:"lastmodified"`
	MAC               string      `yaml:"mac"`
	UnencryptedSuffix string      `yaml:"unencrypted_suffix,omitempty"`
	EncryptedSuffix   string      `yaml:"encrypted_suffix,omitempty"`
	UnencryptedRegex  string      `yaml:"unencrypted_regex,omitempty"`
	EncryptedRegex    string      `yaml:"encrypted_regex,omitempty"`
	MACOnlyEncrypted  bool        `yaml:"mac_only_encrypted,omitempty"`
	Version           string      `yaml:"version"`
}

// recipient is who can open a file: an age recipient, and the data key encrypted to it, armored.
type recipient struct {
	Recipient string `yaml:"recipient"`
	Enc       string `yaml:"enc"`
}

// others are kinds of keys and settings that are not served.
var others = []string{"kms", "gcp_kms", "azure_kv", "hc_vault", "hckms", "pgp", "key_groups"}

// unserved are settings that change which comments or values are encrypted in ways that are not served.
var unserved = []string{"unencrypted_comment_regex", "encrypted_comment_regex"}

// Is reports whether a YAML file is one of this format, without parsing it: it has the key at its left margin.
func Is(data []byte) bool {
	return bytes.HasPrefix(data, []byte(MetadataKey+":")) || bytes.Contains(data, []byte("\n"+MetadataKey+":"))
}

// Parse reads a file. What is wrong with it is an *Error, or several joined.
func Parse(data []byte) (*File, error) {
	if len(data) > MaxSize {
		return nil, &Error{Line: 1, Column: 1, Text: fmt.Sprintf("has %d bytes; at most %d are allowed", len(data), MaxSize)}
	}
	doc, err := document(data)
	if err != nil {
		return nil, err
	}
	f := &File{doc: doc, root: doc.Content[0]}
	if err := f.readMetadata(); err != nil {
		return nil, err
	}
	if err := f.walk(f.root, nil, false, 0); err != nil {
		return nil, err
	}
	return f, f.check()
}

// document decodes the one document of a file.
func document(data []byte) (*yaml.Node, error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := d.Decode(&doc); err != nil || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, &Error{Line: 1, Column: 1, Text: "isn't YAML that maps keys to values, or was cut off; put it back from git, or write it anew with 'hostctl secret set'"}
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, &Error{Line: 1, Column: 1, Text: "holds several documents; keep one to a file"}
	}
	return &doc, nil
}

// readMetadata takes the metadata out of the root.
func (f *File) readMetadata() error {
	at := slices.IndexFunc(f.root.Content, func(n *yaml.Node) bool { return n.Value == MetadataKey })
	if at < 0 || at%2 != 0 {
		return &Error{Line: f.root.Line, Column: f.root.Column, Text: "isn't encrypted: it has no sops: section; 'hostctl secret set' writes an encrypted file"}
	}
	node := f.root.Content[at+1]
	fail := func(text string, args ...any) error {
		return &Error{Line: f.root.Content[at].Line, Column: f.root.Content[at].Column, Text: fmt.Sprintf(text, args...)}
	}
	if err := node.Decode(&f.meta); err != nil {
		return fail("the sops: section can't be read; put the file back from git")
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i].Value, node.Content[i+1]
		empty := len(value.Content) == 0 && (value.Kind != yaml.ScalarNode || value.ShortTag() == "!!null" || value.Value == "")
		if slices.Contains(others, key) && !empty {
			return fail("is encrypted with %s too; hostctl reads files that are encrypted to age recipients alone: sops rotate with the others removed", key)
		}
		if slices.Contains(unserved, key) && !empty {
			return fail("has %s, which hostctl doesn't serve; take it out of .sops.yaml and encrypt the file again", key)
		}
	}
	return f.checkMetadata(fail)
}

func (f *File) checkMetadata(fail func(string, ...any) error) error {
	m := f.meta
	if len(m.Age) == 0 {
		return fail("is encrypted to no age recipient; 'hostctl secret recipients add' names one")
	}
	for _, r := range m.Age {
		if !strings.HasPrefix(r.Enc, armorHeader) || !strings.Contains(r.Enc, armorFooter) {
			return fail("the data key for %s was cut off; put the file back from git", shown(r.Recipient))
		}
	}
	if _, err := time.Parse(time.RFC3339, m.LastModified); err != nil || !sealedForm.MatchString(m.MAC) {
		return fail("has no MAC, or it was cut off; put the file back from git")
	}
	rules := 0
	for _, rule := range []string{m.UnencryptedSuffix, m.EncryptedSuffix, m.UnencryptedRegex, m.EncryptedRegex} {
		if rule != "" {
			rules++
		}
	}
	if rules > 1 {
		return fail("has %d rules on what is encrypted; sops takes one", rules)
	}
	for _, r := range []string{m.UnencryptedRegex, m.EncryptedRegex} {
		if _, err := regexp.Compile(r); err != nil {
			return fail("has a rule on what is encrypted that is no regular expression")
		}
	}
	return nil
}

// shown is a recipient for people.
func shown(recipient string) string {
	if len(recipient) > 24 {
		return recipient[:24] + "…"
	}
	return recipient
}

const maxDepth = 40

// walk collects the leafs below a node.
func (f *File) walk(n *yaml.Node, path []string, inList bool, depth int) error {
	if depth > maxDepth {
		return &Error{Line: n.Line, Column: n.Column, Text: "is nested too deep"}
	}
	switch n.Kind {
	case yaml.MappingNode:
		seen := map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if n == f.root && key.Value == MetadataKey {
				continue
			}
			if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" || seen[key.Value] {
				return &Error{Line: key.Line, Column: key.Column, Text: "is a key that stands twice or isn't plain; keep one"}
			}
			seen[key.Value] = true
			if err := f.walk(n.Content[i+1], append(slices.Clone(path), key.Value), inList, depth+1); err != nil {
				return err
			}
		}
	case yaml.SequenceNode:
		for _, c := range n.Content {
			if err := f.walk(c, path, true, depth+1); err != nil {
				return err
			}
		}
	case yaml.ScalarNode:
		if n.ShortTag() != "!!null" {
			f.leafs = append(f.leafs, &leaf{path: path, inList: inList, node: n, sealed: f.meta.encrypts(path) && sealedForm.MatchString(n.Value)})
		}
	default:
		return &Error{Line: n.Line, Column: n.Column, Text: "uses an anchor; write the value out"}
	}
	return nil
}

// check refuses values that must be encrypted and aren't. An empty value is the same encrypted.
func (f *File) check() error {
	var errs []error
	for _, l := range f.leafs {
		switch {
		case l.sealed || l.node.Value == "" || !f.meta.encrypts(l.path):
		case strings.HasPrefix(l.node.Value, "ENC["):
			errs = append(errs, &Error{Line: l.node.Line, Column: l.node.Column, Text: fmt.Sprintf("the value of %s was cut off; put the file back from git", l.name())})
		default:
			errs = append(errs, &Error{Line: l.node.Line, Column: l.node.Column, Leak: true, Text: fmt.Sprintf(
				"the value of %s stands in clear; whoever reads the repository knows it now: change it where it is used, then 'hostctl secret set' it", l.name())})
		}
	}
	return errors.Join(errs...)
}

func (l *leaf) name() string { return strings.Join(l.path, ".") }

// defaultSuffix is that of keys whose values stay in clear where a file has no rule.
const defaultSuffix = "_unencrypted"

// encrypts reports whether the value at a path is to be encrypted: the rules hold for a key and all below it.
func (m metadata) encrypts(path []string) bool {
	any := func(match func(string) bool) bool { return slices.ContainsFunc(path, match) }
	switch {
	case m.EncryptedSuffix != "":
		return any(func(k string) bool { return strings.HasSuffix(k, m.EncryptedSuffix) })
	case m.EncryptedRegex != "":
		return any(regexp.MustCompile(m.EncryptedRegex).MatchString)
	case m.UnencryptedRegex != "":
		return !any(regexp.MustCompile(m.UnencryptedRegex).MatchString)
	case m.UnencryptedSuffix != "":
		return !any(func(k string) bool { return strings.HasSuffix(k, m.UnencryptedSuffix) })
	}
	return !any(func(k string) bool { return strings.HasSuffix(k, defaultSuffix) })
}

// Value is an encrypted value of a file.
type Value struct {
	Key    string // path with dots
	Cipher string // SHA-256 of the ciphertext as it stands in the file, hex
	Line   int
	Column int
}

// Values returns the encrypted values that have a key of their own (those of lists have none), in their order. A key that
// holds a dot can't be told from a path; it isn't among them.
func (f *File) Values() []Value {
	var out []Value
	for _, l := range f.leafs {
		if !l.sealed || l.inList || slices.ContainsFunc(l.path, func(k string) bool { return k == "" || strings.Contains(k, ".") }) {
			continue
		}
		sum := sha256.Sum256([]byte(l.node.Value))
		out = append(out, Value{Key: l.name(), Cipher: hex.EncodeToString(sum[:]), Line: l.node.Line, Column: l.node.Column})
	}
	return out
}

// Keys returns the paths of all values, encrypted or not, in their order.
func (f *File) Keys() []string {
	var out []string
	for _, l := range f.leafs {
		if !slices.Contains(out, l.name()) {
			out = append(out, l.name())
		}
	}
	return out
}

// Recipients returns whom the file is encrypted to, in their order.
func (f *File) Recipients() []string {
	out := make([]string, len(f.meta.Age))
	for i, r := range f.meta.Age {
		out[i] = r.Recipient
	}
	return out
}
