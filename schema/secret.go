package schema

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"hostctl/schema/sops"
)

// Secret is a value that the repository doesn't hold in clear. Exactly one of Ref and Generate is set.
type Secret struct {
	Ref      *SecretRef
	Generate bool   // made once, when it is first needed, and kept encrypted in the inventory
	Name     string // of a generated one: fields of one tenant that name the same have the same value; "" is a name of its own
}

// SecretRef is a value of a file in the SOPS format (package schema/sops).
type SecretRef struct {
	File string // as written: relative to the folder of the file that refers to it
	Key  string // path of the value, with dots

	// What it leads to. Set in a Manifest.
	Path   string // of the file in the repository
	Blob   BlobID // of the file
	Cipher string // SHA-256 of the value's ciphertext, hex
}

// GeneratedName is the name of a generated secret within its tenant: its own one, or that of its field.
func (s Secret) GeneratedName(kind Kind, name, field string) string {
	if s.Name != "" {
		return s.Name
	}
	return strings.ToLower(string(kind)) + "/" + name + "/" + field
}

// secret decodes the secret of a field. It marks the field, for resolveSecret.
func (d *decoder) secret(n *yaml.Node) *Secret {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	d.mark(d.pathOf(n), n)
	ref, generate, name := child(n, "secretRef"), child(n, "generate"), child(n, "name")
	s := &Secret{Generate: d.flag(generate, false), Name: d.value(name, CheckSlug)}
	if generate != nil && !s.Generate {
		d.fail(generate, "is false; write generate: true, or take it out")
	}
	switch {
	case (ref == nil) == (generate == nil):
		d.fail(n, "must have exactly one of secretRef and generate: true")
	case name != nil && ref != nil:
		d.fail(name, "is for generated secrets; take it out, the value of secretRef is named by its file and key")
	}
	if ref != nil {
		s.Ref = &SecretRef{File: d.value(child(ref, "file"), CheckRelPath), Key: d.value(child(ref, "key"), sops.CheckKey)}
	}
	return s
}

// secretEnv decodes those of environment variables that are secrets.
func (d *decoder) secretEnv(n *yaml.Node) map[string]Secret {
	var m map[string]Secret
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if strings.HasPrefix(key.Value, "x-") {
			continue
		}
		if value.Kind == yaml.ScalarNode {
			if looksSecret(key.Value) && value.Value != "" {
				d.leak(value, "stands in clear, and %s is the name of a secret; use secretRef or generate: true (docs/secrets.md), and change the value where it is known", key.Value)
			}
			continue
		}
		s := d.secret(value)
		if s == nil {
			continue
		}
		if err := CheckEnvName(key.Value); err != nil {
			d.fail(key, "%s", err)
		}
		if m == nil {
			m = map[string]Secret{}
		}
		m[key.Value] = *s
	}
	return m
}

// secretName is what the names of secrets end with.
var secretName = regexp.MustCompile(`(^|_)(PASS|PASSWD|PASSWORD|PASSPHRASE|SECRET|SECRET_KEY|TOKEN|API_KEY|APIKEY|ACCESS_KEY|PRIVATE_KEY|ENCRYPTION_KEY)$`)

func looksSecret(env string) bool { return secretName.MatchString(env) }

// secretFile is what a file in the SOPS format holds, as far as one can know without its key.
type secretFile struct {
	values []sops.Value
	keys   []string
	errors []*Error
}

// parseSecretFile reads a file in the SOPS format.
func parseSecretFile(data []byte) *secretFile {
	f, err := sops.Parse(data)
	if err == nil {
		return &secretFile{values: f.Values(), keys: f.Keys()}
	}
	out := &secretFile{}
	for _, e := range flat(err) {
		at := &Error{Line: 1, Column: 1, Text: e.Error()}
		var s *sops.Error
		if errors.As(e, &s) {
			at.Line, at.Column, at.Text, at.Leak = s.Line, s.Column, s.Text, s.Leak
		}
		out.errors = append(out.errors, at)
	}
	return out
}

// flat returns the errors that were joined to one.
func flat(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // what errors.Join has made, not what wraps it
		return j.Unwrap()
	}
	return []error{err}
}

// isSecretFile reports whether a file must be in the SOPS format, whatever is in it. .sops.yaml itself is the configuration
// of the sops program, and in clear.
func isSecretFile(p string) bool {
	return path.Base(p) != ".sops.yaml" && (strings.HasSuffix(p, ".sops.yaml") || strings.HasSuffix(p, ".sops.yml"))
}

// secrets resolves every secretRef.
func (l *loader) secrets(c *catalog) {
	for _, w := range c.webroots.list {
		w.v.SecretEnv = l.resolveAll(c, &w.origin, "spec.env.", w.v.SecretEnv)
	}
	for _, u := range c.users.list {
		if u.v.Password != nil {
			s := l.resolve(c, &u.origin, "spec.password", *u.v.Password)
			u.v.Password = &s // the one that was decoded belongs to the cache
		}
	}
	l.linkExternal(c)
	for _, u := range c.valkeyUsers.list {
		if u.v.Password != nil {
			s := l.resolve(c, &u.origin, "spec.password", *u.v.Password)
			u.v.Password = &s
		}
	}
	l.linkTransfers(c)
	l.linkNotifications(c)
	for _, d := range c.certificates.list {
		d.v.Key = l.resolve(c, &d.origin, "spec.custom.keyRef", d.v.Key)
	}
}

// resolveAll resolves the secrets of a map whose keys end their fields' paths. The map itself belongs to the cache.
func (l *loader) resolveAll(c *catalog, o *origin, field string, all map[string]Secret) map[string]Secret {
	if len(all) == 0 {
		return nil
	}
	out := make(map[string]Secret, len(all))
	for _, k := range sortedKeys(all) {
		out[k] = l.resolve(c, o, field+k, all[k])
	}
	return out
}

// resolve finds the ciphertext that a secret refers to. The file stands beside the one that names it or below, so in the
// same tenant's folder.
func (l *loader) resolve(c *catalog, o *origin, field string, s Secret) Secret {
	if s.Ref == nil || s.Ref.File == "" || s.Ref.Key == "" || o.broken {
		return s // reported
	}
	ref := *s.Ref
	s.Ref = &ref
	ref.Path = path.Join(path.Dir(o.meta.Position.File), ref.File)
	i, ok := slices.BinarySearchFunc(l.layout.yaml, ref.Path, func(f file, p string) int { return strings.Compare(f.path, p) })
	if !ok {
		c.fail(o, field, "%s", l.noSecretFile(ref.Path))
		return s
	}
	p := l.parsed[i]
	if p.secret == nil {
		c.fail(o, field, "the file %s isn't in the SOPS format; name one that is: 'hostctl secret set' writes them, their names end in .sops.yaml", ref.Path)
		return s
	}
	if len(p.secret.errors) > 0 {
		return s // reported there
	}
	at := slices.IndexFunc(p.secret.values, func(v sops.Value) bool { return v.Key == ref.Key })
	if at < 0 {
		c.fail(o, field, "%s", p.secret.lacks(ref.Path, ref.Key))
		return s
	}
	ref.Blob, ref.Cipher = l.layout.yaml[i].blob, p.secret.values[at].Cipher
	return s
}

func (l *loader) noSecretFile(p string) string {
	if !isYAML(p) {
		return fmt.Sprintf("%s isn't a YAML file; name one that ends in .sops.yaml", p)
	}
	return fmt.Sprintf("there is no file %s; 'hostctl secret set' writes it", p)
}

// lacks says why a key of the file is no secret.
func (f *secretFile) lacks(p, key string) string {
	if slices.Contains(f.keys, key) {
		return fmt.Sprintf("%s in %s is a value in clear, or a list; 'hostctl secret set %s' gives another key one that is encrypted", key, p, p)
	}
	text := fmt.Sprintf("%s has no value %q", p, key)
	var names []string
	for _, v := range f.values {
		names = append(names, v.Key)
	}
	if near := nearest(key, names); near != "" {
		return text + fmt.Sprintf("; did you mean %q?", near)
	}
	return text + fmt.Sprintf("; 'hostctl secret set %s %s' adds it", p, key)
}
