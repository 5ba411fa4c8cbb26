// Package schema reads the config repository: it knows the resource kinds a person can declare, loads all of them from
// one commit, and checks them.
//
// The way through it is Load: a Tree (the repository at one commit, or a folder on disk) goes in, a Manifest or every
// problem at once comes out, each an *Error that names file, line, column, field and the way out. Nothing else in the
// program parses YAML.
//
// The folder of a file is its authorisation: what stands below tenants/acme/ belongs to tenant acme and may name only
// what is acme's. See docs/config-repository.md.
package schema
