package schema

import (
	"cmp"
	"slices"
	"strconv"

	"gopkg.in/yaml.v3"
)

func decodeValkeyInstance(d *decoder, spec *yaml.Node) any {
	memory := child(spec, "maxMemory")
	d.mark("spec.shard", child(spec, "shard"))
	d.mark("spec.maxMemory", memory)
	v := &ValkeyInstance{
		Shard:       d.value(child(spec, "shard"), CheckSlug),
		MaxMemory:   parsed(d, memory, ParseQuantity),
		Policy:      cmp.Or(EvictionPolicy(d.plain(child(spec, "policy"))), DefaultPolicy),
		Persistence: cmp.Or(Persistence(d.plain(child(spec, "persistence"))), PersistRDB),
		Adopt:       d.adopts(),
	}
	if v.MaxMemory != 0 && v.MaxMemory < MinValkeyMemory {
		d.fail(memory, "is less than the %dMi that an instance needs; raise it", MinValkeyMemory>>20)
	}
	for i, n := range items(child(spec, "users")) {
		d.shortValkeyUser(i, n)
	}
	return v
}

// shortValkeyUser decodes an entry of a ValkeyInstance's users to the ValkeyUser it stands for.
func (d *decoder) shortValkeyUser(i int, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return // the shape check has told
	}
	u := d.valkeyUser(n)
	u.Instance, u.Adopt = d.meta.Name, d.adopts()
	d.entries = append(d.entries, &entry{
		meta:   Meta{Kind: KindValkeyUser, Name: d.value(child(n, "name"), CheckSlug), Position: Position{Line: n.Line, Column: n.Column}},
		body:   u,
		places: placeOf("spec.password", child(n, "password")),
		short:  "spec.users[" + strconv.Itoa(i) + "]",
	})
}

func decodeValkeyUser(d *decoder, spec *yaml.Node) any {
	d.mark("spec.instance", child(spec, "instance"))
	u := d.valkeyUser(spec)
	u.Instance, u.Adopt = d.value(child(spec, "instance"), CheckSlug), d.adopts()
	return u
}

// valkeyUser decodes what both forms have.
func (d *decoder) valkeyUser(n *yaml.Node) *ValkeyUser {
	keys, channels, commands := child(n, "keys"), child(n, "channels"), child(n, "commands")
	password, hash := child(n, "password"), child(n, "passwordHash")
	if n != nil && n.Kind == yaml.MappingNode && (password == nil) == (hash == nil) {
		d.fail(n, "must have exactly one of password and passwordHash")
	}
	u := &ValkeyUser{
		Keys: d.patterns(keys), Channels: d.patterns(channels), Commands: d.commandRules(commands),
		PasswordHash: parsed(d, hash, ParseValkeyHash), Password: d.secret(password),
	}
	if keys == nil {
		u.Keys = []string{AllKeys}
	}
	if err := CheckAllKeys(u.Commands, u.Keys); err != nil {
		d.fail(commands, "%s", err)
	}
	return u
}

// patterns decodes patterns of keys or channels, sorted.
func (d *decoder) patterns(n *yaml.Node) []string {
	out := list(d, n, checked(CheckKeyPattern))
	d.unique(n, out)
	if err := CheckPatterns(out); err != nil {
		d.fail(n, "%s", err)
	}
	slices.Sort(out)
	return out
}

// commandRules decodes rules of commands, whose order counts.
func (d *decoder) commandRules(n *yaml.Node) []string {
	out := list(d, n, checked(CheckCommandRule))
	d.unique(n, out)
	return out
}
