// Package schema reads the config repository: it knows the resource kinds a person can declare, loads all of them from
// one commit, and checks them.
//
// The way through it is Load: a Tree (the repository at one commit, or a folder on disk) goes in, a Manifest or every
// problem at once comes out, each an *Error that names file, line, column, field and the way out. Nothing else in the
// program parses YAML.
//
// The folder of a file is its authorisation: what stands below tenants/acme/ belongs to tenant acme and may name only
// what is acme's. See docs/config-repository.md.
//
//	platform/            Platform (exactly one), HostingPlan, Region, NodeProfile, and the platform's own Zone, ZoneRecord, and the e-mail kinds
//	clusters/<cluster>/  Cluster, LBAddress, Host, Shard, NodeProfile
//	tenants/<tenant>/    Tenant, Webroot, FQDN, Certificate, Database, DatabaseUser, ValkeyInstance, ValkeyUser, CronJob, Zone, ZoneRecord
//
// What stands beside these three folders isn't read. Below them every *.yaml and *.yml file is, unless it lies in a folder
// that a Webroot names as its content.path. Names are unique within tenant and kind; those of Clusters, NodeProfiles,
// Hosts and Shards over the whole platform.
//
// # Names that follow from content
//
// The name of an FQDN is its normalised host name ("shop.acme.test"), that of a ZoneRecord its full name and type
// ("www.acme.test/A"), where metadata.name is left out, as it is in the short forms: entries of Webroot.spec.fqdns and
// Zone.spec.records. So an entry and a document of its own are the same resource. A document may carry a plain name
// instead; a name with a dot in it must be the derived one.
//
// # Values
//
// Strings are checked by value types (ParseHostname, CheckSlug, ParseRData, …): allow-lists, normalising, and an error
// that says what is wrong and the way out. Agents and APIs use the same ones. The JSON Schema of a kind says which fields
// there are and of which type; the patterns in it are for editors.
//
// YAML is read as its plain subset: no duplicate or merge keys, no tags, no tabs, no scalars that versions of YAML read
// differently (yes, 0755, 2026-01-01), few anchors, bounded sizes. Empty documents between --- are allowed and declare
// nothing. Names in RDATA end with a dot; a name without one is refused, since tools disagree on what it means.
package schema
