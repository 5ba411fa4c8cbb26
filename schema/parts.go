package schema

import (
	"crypto/sha256"
	"encoding/binary"
)

// parts returns the Part of each tenant, and of the platform's own folders under "".
func (l *layout) parts() map[string]Part {
	out := map[string]Part{}
	for begin := 0; begin < len(l.all); {
		tenant := tenantOf(l.all[begin].path)
		end := begin + 1
		for end < len(l.all) && tenantOf(l.all[end].path) == tenant {
			end++
		}
		out[tenant] = partOf(out[tenant], l.all[begin:end])
		begin = end
	}
	return out
}

// partOf continues the Part of files that come before.
func partOf(before Part, files []file) Part {
	b := before[:]
	for _, f := range files {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f.path)))
		b = append(b, f.path...)
		b = binary.BigEndian.AppendUint32(b, uint32(f.mode))
		b = binary.BigEndian.AppendUint32(b, uint32(len(f.blob)))
		b = append(b, f.blob...)
	}
	return sha256.Sum256(b)
}
