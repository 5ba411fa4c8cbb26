package valkey

import (
	"path/filepath"
	"strconv"
	"strings"

	"hostctl/planner"
	"hostctl/schema"
)

// snapshots is when a snapshot is written (valkey.conf, "save"): an hour after one write, five minutes after a hundred, one
// after ten thousand.
const snapshots = "3600 1 300 100 60 10000"

// settings are all that an instance is started with, as valkey.conf and CONFIG GET have them, in the order of the file.
func (m *Manager) settings(o planner.Valkey) [][2]string {
	save, appendOnly, closed := "", "no", "0"
	switch o.Persistence {
	case schema.PersistRDB:
		save = snapshots
	case schema.PersistAOF:
		appendOnly = "yes"
	case schema.PersistNone:
	}
	if o.MovedTo != "" || o.Source != nil {
		closed = "1"
	}
	run := m.run(o.Name)
	return [][2]string{
		{"maxmemory", strconv.FormatInt(o.MaxMemory, 10)},
		{"maxmemory-policy", string(o.Policy)},
		{"save", save},
		{"appendonly", appendOnly},

		// Whoever comes by the network speaks TLS and logs in: the default user is off.
		{"port", "0"},
		{"tls-port", strconv.Itoa(o.Port)},
		{"bind", "0.0.0.0"},
		{"protected-mode", "yes"},
		{"tls-cert-file", filepath.Join(run, certFile)},
		{"tls-key-file", filepath.Join(run, keyFile)},
		{"tls-ca-cert-file", filepath.Join(run, caFile)},
		{"tls-auth-clients", "no"},
		{"tls-protocols", "TLSv1.2 TLSv1.3"},
		{"unixsocket", m.socket(o.Name)},
		{"unixsocketperm", "700"},
		{"aclfile", m.acl(o.Name)},
		{"acl-pubsub-default", "resetchannels"},

		// Nothing leads out of the data folder, nothing is loaded, and nobody follows another server.
		{"dir", m.data(o.Name)},
		{"dbfilename", snapshotFile},
		{"appenddirname", appendFolder},
		{"appendfsync", "everysec"},
		{"replicaof", ""},
		{"min-replicas-to-write", closed}, // there are none, so with 1 all can be read and nothing be written, by whomever
		{"enable-protected-configs", "no"},
		{"enable-debug-command", "no"},
		{"enable-module-command", "no"},

		// Memory beside that of keys: what clients have asked for and not read yet.
		{"maxmemory-clients", "50%"},
		{"maxclients", "500"},
		{"tcp-keepalive", "300"},
		{"hide-user-data-from-log", "yes"},
		{"daemonize", "no"},
	}
}

// Files of an instance.
const (
	caFile, certFile, keyFile = "ca.crt", "node.crt", "node.key"
	snapshotFile              = "dump.rdb"
	appendFolder              = "appendonlydir"
)

// unread are settings that CONFIG GET shows in another form, or as what the system allows.
var unread = map[string]bool{"maxclients": true, "maxmemory-clients": true}

// configuration is the text of valkey.conf. No value holds a quote or a line break: what isn't ours is a number or from a list.
func (m *Manager) configuration(o planner.Valkey) string {
	var b strings.Builder
	b.WriteString("# hostctl writes this file.\n")
	for _, s := range m.settings(o) {
		switch {
		case s[0] == "replicaof":
		case strings.Contains(s[1], " ") && s[0] != "tls-protocols":
			b.WriteString(s[0] + " " + s[1] + "\n") // several words
		default:
			b.WriteString(s[0] + " \"" + s[1] + "\"\n")
		}
	}
	return b.String()
}

// agentUser is the agent's own. No resource can be called so.
const agentUser = "_hostctl"

// aclFile is the text of users.acl, one user a line, each beginning from nothing. The lines are in the very form in which ACL
// LIST shows them, so that the two can be compared.
func aclFile(admin string, users []user) string {
	var b strings.Builder
	for _, line := range aclLines(admin, users) {
		b.WriteString(line + "\n")
	}
	return b.String()
}

func aclLines(admin string, users []user) []string {
	lines := []string{
		"user default off sanitize-payload resetchannels -@all",
		"user " + agentUser + " on sanitize-payload #" + hashOf([]byte(admin)) + " ~* &* +@all",
	}
	for _, u := range users {
		lines = append(lines, aclLine(u))
	}
	return lines
}

func aclLine(u user) string {
	words := []string{"user", u.User, "on", "sanitize-payload", "#" + u.hash}
	if u.Locked {
		words[2] = "off"
	}
	if u.before != "" {
		words = append(words, "#"+u.before)
	}
	for _, k := range u.Keys {
		words = append(words, "~"+k)
	}
	if !schema.SeesAllKeys(u.Channels) {
		words = append(words, "resetchannels")
	}
	for _, c := range u.Channels {
		words = append(words, "&"+c)
	}
	return strings.Join(append(words, schema.CommandRules(u.Commands, u.Keys)...), " ")
}
