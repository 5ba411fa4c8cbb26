package nginx

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"

	"hostctl/agent/logs"
	"hostctl/planner"
)

// makeLogs makes the logs of vhosts, for their tenants to read, before nginx opens them as root.
func (m *Manager) makeLogs(vhosts []planner.Vhost) error {
	for _, v := range vhosts {
		// A site's folder is its tenant's, and a user's group has the user's id. A vhost without one waits for it.
		var site unix.Stat_t
		gid := 0
		if err := unix.Lstat(filepath.Join(m.o.Tenants, v.Tenant, v.Site), &site); err == nil {
			gid = int(site.Uid)
		}
		access, wrong := m.paths().logsOf(v)
		if err := errors.Join(logs.Make(access, gid), logs.Make(wrong, gid)); err != nil {
			return err
		}
	}
	return nil
}
