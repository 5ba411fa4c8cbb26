package beneath

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// What an access control list is made of (acl(5); include/uapi/linux/posix_acl.h and posix_acl_xattr.h of the kernel).
const (
	aclName    = "system.posix_acl_access"
	aclVersion = 2

	aclUserObj  = 0x01
	aclGroupObj = 0x04
	aclGroup    = 0x08
	aclMask     = 0x10
	aclOther    = 0x20

	aclPass = 1 // x: of a folder, to go through it
	nobody  = ^uint32(0)
)

// pass lets a group through a folder, beside those that its mode names. Where the filesystem has no such lists, everybody is.
func pass(f *os.File, gid int, mode uint32) error {
	want := passList(uint32(gid), mode)
	have := make([]byte, len(want)+1)
	fd := int(f.Fd())
	if n, err := unix.Fgetxattr(fd, aclName, have); err == nil && bytes.Equal(have[:n], want) {
		return nil
	}
	err := unix.Fsetxattr(fd, aclName, want, 0)
	if errors.Is(err, unix.ENOTSUP) {
		err = unix.Fchmod(fd, mode|0o001)
	}
	if err != nil {
		return fmt.Errorf("let a group through %s: %w", f.Name(), err)
	}
	return nil
}

func passList(gid, mode uint32) []byte {
	type entry struct {
		Tag, Perm uint16
		ID        uint32
	}
	bits := func(shift int) uint16 { return uint16(mode>>shift) & 7 }
	var b bytes.Buffer
	for _, part := range []any{uint32(aclVersion), []entry{
		{aclUserObj, bits(6), nobody}, {aclGroupObj, bits(3), nobody}, {aclGroup, aclPass, gid}, {aclMask, bits(3) | aclPass, nobody}, {aclOther, bits(0), nobody},
	}} {
		_ = binary.Write(&b, binary.LittleEndian, part) // a buffer takes all
	}
	return b.Bytes()
}
