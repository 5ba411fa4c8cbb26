package mysql

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hostctl/executors"
	"hostctl/planner"
)

// makeUser brings a user about: an account for each of its networks. Connections of before that would have rights that the
// user has no more are ended.
func (m *Manager) makeUser(ctx context.Context, have *server, o planner.DatabaseUser) error {
	accounts := have.accounts[o.Account]
	if _, known := have.records[o.Ref().Kind][o.Name]; len(accounts) > 0 && !known && !o.Adopt {
		return executors.Errorf(executors.Conflict, "a user %s is there, and nobody here has made it; take it over with metadata.adopt: true, or choose another name", o.Account)
	}
	hash, err := m.hashFor(accounts, o)
	if err != nil {
		return err
	}
	if err := m.remember(ctx, have, o); err != nil {
		return err
	}
	o.PasswordHash = hash
	changed := false
	for _, host := range sortedKeys(accounts) {
		if !slices.Contains(o.Hosts, cidrOf(host)) || accounts[host].extra {
			if err := m.exec(ctx, "DROP USER IF EXISTS "+account(o.Account, host)); err != nil {
				return err
			}
			changed = true
		}
	}
	for _, cidr := range o.Hosts {
		a, exists := accounts[hostOf(cidr)]
		exists = exists && !a.extra
		changed = changed || exists && a.loses(o)
		if err := m.makeAccount(ctx, o, hostOf(cidr), a, exists); err != nil {
			return err
		}
	}
	if changed {
		return m.disconnect(ctx, o.Account)
	}
	return nil
}

// loses reports whether somebody who is connected as the account may have more than its user will.
func (a access) loses(o planner.DatabaseUser) bool {
	return !o.Retains && (a.hash != o.PasswordHash || a.second) || o.Locked || a.schema != o.Schema || a.preset() != o.Privileges
}

// makeAccount brings one account about. Privileges are taken away only where they differ: between REVOKE and GRANT it has
// none.
func (m *Manager) makeAccount(ctx context.Context, o planner.DatabaseUser, host string, a access, exists bool) error {
	who := account(o.Account, host)
	if !exists {
		if err := m.execSecret(ctx, "create user "+o.Account, "CREATE USER IF NOT EXISTS "+who+attributes(o, "")); err != nil {
			return err
		}
		a = access{}
	} else if a.hash != o.PasswordHash || a.limits != o.Limits || a.locked != o.Locked || !a.tls || a.plugin != sha2 {
		before := ""
		if o.Retains && a.hash != o.PasswordHash && a.plugin == sha2 {
			before = " RETAIN CURRENT PASSWORD"
		}
		if err := m.execSecret(ctx, "alter user "+o.Account, "ALTER USER "+who+attributes(o, before)); err != nil {
			return err
		}
	}
	if a.second && !o.Retains {
		if err := m.exec(ctx, "ALTER USER "+who+" DISCARD OLD PASSWORD"); err != nil {
			return err
		}
	}
	if a.schema == o.Schema && a.preset() == o.Privileges {
		return nil
	}
	if len(a.privileges) > 0 {
		if err := m.exec(ctx, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM "+who); err != nil {
			return err
		}
	}
	return m.exec(ctx, "GRANT "+strings.Join(privileges[o.Privileges], ", ")+" ON "+grantPattern(o.Schema)+".* TO "+who)
}

const sha2 = "caching_sha2_password"

// attributes is the rest of CREATE USER and ALTER USER (reference manual 15.7.1.1 and 15.7.1.3); before is what becomes of the
// password of before.
func attributes(o planner.DatabaseUser, before string) string {
	lock := "UNLOCK"
	if o.Locked {
		lock = "LOCK"
	}
	l := o.Limits
	return " IDENTIFIED WITH " + sha2 + " AS 0x" + o.PasswordHash + before + " REQUIRE SSL WITH" +
		" MAX_USER_CONNECTIONS " + strconv.Itoa(l.Connections) + " MAX_QUERIES_PER_HOUR " + strconv.Itoa(l.QueriesPerHour) +
		" MAX_UPDATES_PER_HOUR " + strconv.Itoa(l.UpdatesPerHour) + " MAX_CONNECTIONS_PER_HOUR " + strconv.Itoa(l.ConnectionsPerHour) +
		" ACCOUNT " + lock
}

// dropUser removes a user and ends its connections, which outlive it else.
func (m *Manager) dropUser(ctx context.Context, have *server, o planner.DatabaseUser) error {
	accounts := have.accounts[o.Account]
	if _, known := have.records[o.Ref().Kind][o.Name]; len(accounts) > 0 && !known {
		return executors.Errorf(executors.Conflict, "a user %s is there, and nobody here has made it", o.Account)
	}
	for _, host := range sortedKeys(accounts) {
		if err := m.exec(ctx, "DROP USER IF EXISTS "+account(o.Account, host)); err != nil {
			return err
		}
	}
	if err := m.disconnect(ctx, o.Account); err != nil {
		return err
	}
	return m.forget(ctx, have, o.Ref())
}

// noSuchThread is the error of KILL where the connection has ended by itself.
const noSuchThread = 1094

// disconnect ends the connections of a user.
func (m *Manager) disconnect(ctx context.Context, name string) error {
	rows, err := m.db.QueryContext(ctx, "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = ?", name)
	if err != nil {
		return fmt.Errorf("connections of %s: %w", name, err)
	}
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return fmt.Errorf("connections of %s: %w", name, err)
		}
		ids = append(ids, id)
	}
	if err := closed(rows); err != nil {
		return fmt.Errorf("connections of %s: %w", name, err)
	}
	for _, id := range ids {
		if err := m.exec(ctx, "KILL CONNECTION "+strconv.FormatInt(id, 10)); err != nil && !isNumber(err, noSuchThread) {
			return err
		}
	}
	return nil
}
