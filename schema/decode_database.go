package schema

import (
	"slices"
	"strconv"

	"gopkg.in/yaml.v3"
)

func decodeDatabase(d *decoder, spec *yaml.Node) any {
	charset, collation := child(spec, "charset"), child(spec, "collation")
	d.plainName(CheckDatabaseName)
	d.mark("spec.shard", child(spec, "shard"))
	db := &Database{Adopt: d.adopts(), Shard: d.value(child(spec, "shard"), CheckSlug), Charset: d.plain(charset), Collation: d.plain(collation)}
	if db.Charset == "" {
		db.Charset = DefaultCharset
	}
	if of := collations[db.Charset]; db.Collation == "" && len(of) > 0 {
		db.Collation = of[0]
	}
	if err := CheckCollation(db.Charset, db.Collation); err != nil && collations[db.Charset] != nil { // else the shape check has told
		d.fail(collation, "%s", err)
	}
	for i, n := range items(child(spec, "users")) {
		d.shortUser(i, n)
	}
	return db
}

// plainName checks the name of a resource more strictly than a slug.
func (d *decoder) plainName(check func(string) error) {
	if CheckSlug(d.meta.Name) == nil {
		d.value(child(child(d.root, "metadata"), "name"), check)
	}
}

// shortUser decodes an entry of a Database's users to the DatabaseUser it stands for.
func (d *decoder) shortUser(i int, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return // the shape check has told
	}
	u := d.databaseUser(n)
	u.Database, u.Adopt = d.meta.Name, d.adopts()
	name := d.value(child(n, "name"), CheckSlug)
	if name != "" {
		name = d.value(child(n, "name"), CheckDatabaseUser)
	}
	d.entries = append(d.entries, &entry{
		meta:   Meta{Kind: KindDatabaseUser, Name: name, Position: Position{Line: n.Line, Column: n.Column}},
		body:   u,
		places: placeOf("spec.password", child(n, "password")),
		short:  "spec.users[" + strconv.Itoa(i) + "]",
	})
}

func decodeDatabaseUser(d *decoder, spec *yaml.Node) any {
	d.plainName(CheckDatabaseUser)
	d.mark("spec.database", child(spec, "database"))
	u := d.databaseUser(spec)
	u.Database, u.Adopt = d.value(child(spec, "database"), CheckSlug), d.adopts()
	return u
}

// adopts decodes metadata.adopt of the kinds that have it.
func (d *decoder) adopts() bool { return d.flag(child(child(d.root, "metadata"), "adopt"), false) }

// databaseUser decodes what both forms have.
func (d *decoder) databaseUser(n *yaml.Node) *DatabaseUser {
	limits, password, hash := child(n, "limits"), child(n, "password"), child(n, "passwordHash")
	if n != nil && n.Kind == yaml.MappingNode && (password == nil) == (hash == nil) {
		d.fail(n, "must have exactly one of password and passwordHash")
	}
	u := &DatabaseUser{
		Privileges:   Privileges(d.plain(child(n, "privileges"))),
		Hosts:        list(d, child(n, "hosts"), ParseUserHost),
		PasswordHash: parsed(d, hash, ParsePasswordHash),
		Password:     d.secret(password),
		Limits: UserLimits{
			Connections:        d.integer(child(limits, "connections"), 0),
			QueriesPerHour:     d.integer(child(limits, "queriesPerHour"), 0),
			UpdatesPerHour:     d.integer(child(limits, "updatesPerHour"), 0),
			ConnectionsPerHour: d.integer(child(limits, "connectionsPerHour"), 0),
		},
	}
	d.unique(child(n, "hosts"), u.Hosts)
	slices.Sort(u.Hosts)
	return u
}
