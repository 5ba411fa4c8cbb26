package schema

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"maps"
	"slices"
	"sync"
)

// saved is what is kept of blobs between processes, as gob writes it. Reading it takes a sixth of the time that parsing
// takes. Only what tenants declare is kept, and only where nothing is wrong with it: that is nearly all there is.
type saved struct {
	ID      BlobID
	Size    int64
	Entries []savedEntry
}

// savedEntry is an entry. Of the bodies it has the one of its kind.
type savedEntry struct {
	Meta    Meta
	Places  []savedPlace
	Short   string
	Tenant  *Tenant
	Webroot *Webroot
	FQDN    *FQDN
	Base    *Database
	User    *DatabaseUser
	Valkey  *ValkeyInstance
	Login   *ValkeyUser
	Job     *CronJob
	Zone    *Zone
	Record  *ZoneRecord

	Content         string // of a webrootDraft
	InZone, Written string // of a recordDraft
	Unnamed         bool
}

type savedPlace struct {
	Field        string
	Line, Column int32
}

// save returns what is kept of a blob, false where it is to be parsed again.
func save(id BlobID, p *Parsed) (saved, bool) {
	if !p.yaml || p.unread || p.pointer || p.secret != nil || len(p.errors) > 0 {
		return saved{}, false
	}
	out := saved{ID: id, Size: p.size, Entries: make([]savedEntry, len(p.entries))}
	for i, e := range p.entries {
		s := savedEntry{Meta: e.meta, Short: e.short, Places: make([]savedPlace, len(e.places))}
		for j, at := range e.places {
			s.Places[j] = savedPlace{at.field, at.line, at.column}
		}
		switch b := e.body.(type) {
		case *Tenant:
			s.Tenant = b
		case *webrootDraft:
			s.Webroot, s.Content = &b.webroot, b.content
		case *FQDN:
			s.FQDN = b
		case *Database:
			s.Base = b
		case *DatabaseUser:
			s.User = b
		case *ValkeyInstance:
			s.Valkey = b
		case *ValkeyUser:
			s.Login = b
		case *CronJob:
			s.Job = b
		case *Zone:
			s.Zone = b
		case *recordDraft:
			s.Record, s.InZone, s.Written, s.Unnamed = &b.record, b.zone, b.name, b.unnamed
		default:
			return saved{}, false
		}
		if e.broken {
			return saved{}, false
		}
		out.Entries[i] = s
	}
	return out, true
}

// parsed returns what was saved.
func (s *saved) parsed() *Parsed {
	p := &Parsed{size: s.Size, yaml: true}
	for i := range s.Entries {
		p.entries = append(p.entries, s.Entries[i].entry())
	}
	return p
}

func (s *savedEntry) entry() *entry {
	e := &entry{meta: s.Meta, short: s.Short}
	for _, at := range s.Places {
		e.places = append(e.places, place{at.Field, at.Line, at.Column})
	}
	switch {
	case s.Tenant != nil:
		e.body = s.Tenant
	case s.Webroot != nil:
		e.body = &webrootDraft{*s.Webroot, s.Content}
	case s.FQDN != nil:
		e.body = s.FQDN
	case s.Base != nil:
		e.body = s.Base
	case s.User != nil:
		e.body = s.User
	case s.Valkey != nil:
		e.body = s.Valkey
	case s.Login != nil:
		e.body = s.Login
	case s.Job != nil:
		e.body = s.Job
	case s.Zone != nil:
		e.body = s.Zone
	case s.Record != nil:
		e.body = &recordDraft{zone: s.InZone, name: s.Written, unnamed: s.Unnamed, record: *s.Record}
	}
	return e
}

// savedTogether is how many blobs are in one part of what Save returns: parts are read side by side.
const savedTogether = 512

// Save returns what was asked for or put since the last Forget, for NewCacheOf, and whether that is worth keeping in place
// of what the cache began with: whether more than a fiftieth of it is new.
func (c *MemoryCache) Save() ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fresh <= 64+len(c.used)/50 {
		return nil, false
	}
	var all []saved
	for _, id := range slices.Sorted(maps.Keys(c.used)) {
		if s, ok := save(id, c.parsed[id]); ok {
			all = append(all, s)
		}
	}
	var out []byte
	for part := range slices.Chunk(all, savedTogether) {
		var b bytes.Buffer
		if gob.NewEncoder(&b).Encode(part) != nil {
			return nil, false
		}
		out = binary.BigEndian.AppendUint64(out, uint64(b.Len()))
		out = append(out, b.Bytes()...)
	}
	sum := sha256.Sum256(out)
	return append(sum[:], out...), true
}

// NewCacheOf returns a Cache in memory that begins with what Save returned, of this very version of the program; read is
// called when the first blob is asked for. Anything else is as good as nothing.
func NewCacheOf(read func() []byte) *MemoryCache {
	c := NewCache()
	c.begin = read
	return c
}

// beginLocked reads what the cache begins with.
func (c *MemoryCache) beginLocked() {
	read := c.begin
	c.begin = nil
	b := read()
	if len(b) < sha256.Size || sha256.Sum256(b[sha256.Size:]) != [sha256.Size]byte(b) {
		return
	}
	var parts [][]byte
	for b = b[sha256.Size:]; len(b) >= 8; {
		n := binary.BigEndian.Uint64(b)
		if b = b[8:]; n > uint64(len(b)) {
			return
		}
		parts, b = append(parts, b[:n]), b[n:]
	}
	decoded := make([][]saved, len(parts))
	var readers sync.WaitGroup
	for i, part := range parts {
		readers.Go(func() {
			if gob.NewDecoder(bytes.NewReader(part)).Decode(&decoded[i]) != nil {
				decoded[i] = nil
			}
		})
	}
	readers.Wait()
	for _, part := range decoded {
		for i := range part {
			c.parsed[part[i].ID] = part[i].parsed()
		}
	}
}
