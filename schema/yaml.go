package schema

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	yamlv4 "go.yaml.in/yaml/v4"
	"gopkg.in/yaml.v3"
)

// Budgets of one YAML file. They stop a file of a few lines from becoming gigabytes ("billion laughs").
const (
	maxNodes   = 400_000  // values of a file, aliases counted as often as they are used
	maxAliases = 100      // uses of anchors in a file
	maxCopied  = 10_000   // values that uses of anchors stand for
	maxDepth   = 40       // nesting
	maxScalar  = 64 << 10 // bytes of one value
)

// parseYAML reads the documents of a file as node trees in which each mapping has unique string keys, each scalar means
// what it looks like, and no alias is left. Empty documents are dropped. There are no documents beside an error after which
// nothing can be made of the file.
func parseYAML(data []byte) ([]*yaml.Node, []*Error) {
	if e := scanBytes(data); e != nil {
		return nil, []*Error{e}
	}
	var roots []*yaml.Node
	w := &walker{}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return roots, w.errors
		}
		if err != nil {
			return nil, append(w.errors, syntaxError(data, err))
		}
		if root := doc.Content[0]; !isNull(root) {
			roots = append(roots, w.resolve(root, 0))
		}
		if w.spent {
			return nil, w.errors
		}
	}
}

// isNull tells a document or value without content.
func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntaxError gives a parser's complaint its place. yaml.v3 names no column, and no line at all on the first one, so the
// file is parsed once more by yaml/v4, which names both.
func syntaxError(data []byte, err error) *Error {
	e := &Error{Line: 1, Column: 1}
	m := yamlLine.FindStringSubmatch(err.Error())
	e.Text = "isn't YAML: " + strings.TrimPrefix(err.Error(), m[0])
	if line, convErr := strconv.Atoi(m[1]); convErr == nil {
		e.Line = line
	}
	dec := yamlv4.NewDecoder(bytes.NewReader(data))
	for {
		var doc yamlv4.Node
		err := dec.Decode(&doc)
		var load *yamlv4.LoadError
		if errors.As(err, &load) && load.Mark.Line > 0 {
			e.Line, e.Column = load.Mark.Line, load.Mark.Column
			e.Text = "isn't YAML: " + load.Message
		}
		if err != nil {
			return e
		}
	}
}

// walker checks the nodes of one file.
type walker struct {
	nodes   int
	aliases int
	copied  int
	spent   bool // a budget is used up: nothing more is read
	errors  []*Error
	open    []*yaml.Node // anchored nodes being resolved, against cycles
}

func (w *walker) fail(n *yaml.Node, text string, args ...any) {
	w.errors = append(w.errors, &Error{Line: n.Line, Column: n.Column, Text: fmt.Sprintf(text, args...)})
}

// stop reports a used-up budget, once.
func (w *walker) stop(n *yaml.Node, text string, args ...any) {
	if !w.spent {
		w.fail(n, text, args...)
	}
	w.spent = true
}

// resolve returns n with its aliases replaced by what they stand for.
func (w *walker) resolve(n *yaml.Node, depth int) *yaml.Node {
	w.nodes++
	if w.nodes > maxNodes {
		w.stop(n, "the file has more than %d values (aliases counted as often as used); split it into several files", maxNodes)
	}
	if depth > maxDepth {
		w.stop(n, "is nested more than %d levels deep", maxDepth)
	}
	if w.spent {
		return n
	}
	if n.Style&yaml.TaggedStyle != 0 {
		w.fail(n, "carries the tag %s; tags aren't allowed, write the plain value", n.Tag)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return w.alias(n, depth)
	case yaml.MappingNode:
		w.mapping(n, depth)
	case yaml.SequenceNode:
		for i, c := range n.Content {
			n.Content[i] = w.resolve(c, depth+1)
		}
	case yaml.ScalarNode:
		w.scalar(n)
	}
	return n
}

// alias copies what an alias stands for, so that each use has its own place in the file.
func (w *walker) alias(n *yaml.Node, depth int) *yaml.Node {
	w.aliases++
	if w.aliases > maxAliases {
		w.stop(n, "is the %dth use of an anchor in this file; write the value out", w.aliases)
		return n
	}
	for _, o := range w.open {
		if o == n.Alias {
			w.stop(n, "the anchor &%s contains itself", n.Value)
			return n
		}
	}
	w.open = append(w.open, n.Alias)
	defer func() { w.open = w.open[:len(w.open)-1] }()
	return w.resolve(w.copyAt(n.Alias, n, depth), depth)
}

// copyAt copies a node tree, aliases left as they are, to the place of another node.
func (w *walker) copyAt(n, at *yaml.Node, depth int) *yaml.Node {
	c := *n
	c.Line, c.Column, c.Anchor = at.Line, at.Column, ""
	if depth > maxDepth || len(n.Content) == 0 {
		return &c
	}
	c.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		w.copied++
		if w.copied > maxCopied {
			w.stop(at, "the anchors of this file stand for more than %d values; write them out", maxCopied)
			return &c
		}
		c.Content[i] = w.copyAt(child, at, depth+1)
	}
	return &c
}

// mapping checks the keys of a mapping and resolves its values.
func (w *walker) mapping(n *yaml.Node, depth int) {
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		if w.key(key) {
			w.duplicate(n.Content[:i], key)
		}
		n.Content[i+1] = w.resolve(n.Content[i+1], depth+1)
	}
}

// key reports whether a mapping key is a string.
func (w *walker) key(key *yaml.Node) bool {
	switch {
	case key.Kind == yaml.ScalarNode && key.Value == "<<" && key.Style == 0:
		w.fail(key, "merge keys (<<) aren't allowed; write the keys out")
	case key.Kind == yaml.AliasNode:
		w.fail(key, "an alias can't be a key; write the key out")
	case key.Kind != yaml.ScalarNode:
		w.fail(key, "a key must be a string, not a list or an object")
	case key.Style&yaml.TaggedStyle != 0:
		w.fail(key, "carries the tag %s; tags aren't allowed, write the plain value", key.Tag)
	default:
		w.scalar(key)
		return true
	}
	return false
}

// duplicate refuses a key that stands in the mapping before it. Mappings of more than a few keys are rare.
func (w *walker) duplicate(before []*yaml.Node, key *yaml.Node) {
	for i := 0; i < len(before); i += 2 {
		w.nodes += i >> 6 // a mapping of many keys uses up the budget rather than quadratic time
		if before[i].Kind == yaml.ScalarNode && before[i].Value == key.Value {
			w.fail(key, "the key %q stands twice in this object, first on line %d; keep one", key.Value, before[i].Line)
			return
		}
	}
}

// scalar refuses plain scalars that YAML versions read differently, or that turn into something they don't look like.
func (w *walker) scalar(n *yaml.Node) {
	if len(n.Value) > maxScalar {
		w.fail(n, "is a value of %d bytes; at most %d are allowed", len(n.Value), maxScalar)
		return
	}
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) != 0 {
		return
	}
	if text := surprise(n); text != "" {
		w.fail(n, "%s", text)
	}
}

// surprise says what is wrong with a plain scalar, or "".
func surprise(n *yaml.Node) string {
	switch v := n.Value; n.ShortTag() {
	case "!!timestamp":
		return fmt.Sprintf("%s is a date in YAML; write it in quotes: %q", v, v)
	case "!!int":
		if !plainInt.MatchString(v) {
			return fmt.Sprintf("%s is an octal, hexadecimal or otherwise unusual number in YAML; write a decimal number, or quotes: %q", v, v)
		}
	case "!!float":
		if !plainFloat.MatchString(v) {
			return fmt.Sprintf("%s is an unusual number in YAML; write a decimal number, or quotes: %q", v, v)
		}
	case "!!bool", "!!str":
		if v != "true" && v != "false" && oldBool[strings.ToLower(v)] {
			return fmt.Sprintf("%s is a boolean in YAML 1.1 and a string in YAML 1.2; write true or false, or quotes: %q", v, v)
		}
		if leadingZero.MatchString(v) {
			return fmt.Sprintf("%s begins with 0 and may be read as octal; write it in quotes: %q", v, v)
		}
	}
	return ""
}

var (
	plainInt    = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	plainFloat  = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
	leadingZero = regexp.MustCompile(`^-?0[0-9_]+$`)
	oldBool     = map[string]bool{"y": true, "n": true, "yes": true, "no": true, "on": true, "off": true, "true": true, "false": true}
)
