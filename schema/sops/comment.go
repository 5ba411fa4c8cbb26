package sops

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// resealComments encrypts the encrypted comments below a node with the file's key, where was opens them. A comment's
// additional data is the path of what it stands in; where that is, YAML's reader can't always tell, so those around are
// tried.
func (o *Opened) resealComments(n *yaml.Node, path []string, was []byte) {
	for _, text := range []*string{&n.HeadComment, &n.LineComment, &n.FootComment} {
		lines := strings.Split(*text, "\n")
		for i, line := range lines {
			lines[i] = o.resealComment(line, path, was)
		}
		*text = strings.Join(lines, "\n")
	}
	for i, c := range n.Content {
		below := path
		if n.Kind == yaml.MappingNode {
			key := n.Content[i-i%2].Value
			if n == o.root && key == MetadataKey {
				continue
			}
			below = slices.Concat(path, []string{key})
		}
		o.resealComments(c, below, was)
	}
}

func (o *Opened) resealComment(line string, path []string, was []byte) string {
	text, ok := strings.CutPrefix(line, "#")
	if !ok || !sealedForm.MatchString(text) {
		return line
	}
	for n := len(path); n >= 0; n-- {
		context := additional(path[:n])
		plain, kind, err := open(text, was, context)
		if err != nil {
			continue
		}
		if sealed, err := seal(plain, kind, o.key, context); err == nil {
			return "#" + sealed
		}
	}
	return line
}
