package beneath_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"hostctl/agent/beneath"
)

// A group goes through a folder beside those whom its mode names, and nobody else does. Where the filesystem has no lists for that
// (ramfs has none), everybody goes through, and all the same nobody else lists it. Asked for again, both stay as they are.
func TestPass(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("folders belong to users of their own, and a filesystem is mounted: run this as root")
	}
	bare := t.TempDir()
	if err := unix.Mount("none", bare, "ramfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(bare, unix.MNT_DETACH) })
	for _, c := range []struct {
		what, dir string
		list      bool
		mode      os.FileMode
	}{
		{"with lists", t.TempDir(), true, 0o750},
		{"without lists", bare, false, 0o751},
	} {
		path := filepath.Join(c.dir, "site")
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		d := open(t, path)
		for range 2 {
			if err := d.Own(beneath.Owner{UID: 20001, GID: 20001, DirMode: 0o750, Pass: 33}); err != nil {
				t.Fatalf("%s: %v", c.what, err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != c.mode {
				t.Errorf("%s: %v, %v; want %o", c.what, info.Mode(), err, c.mode)
			}
			list := make([]byte, 100)
			if _, err := unix.Getxattr(path, "system.posix_acl_access", list); (err == nil) != c.list {
				t.Errorf("%s: its list: %v", c.what, err)
			}
		}
	}
}
