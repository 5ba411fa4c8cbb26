package schema

import "sync"

// Cache keeps what was read from a blob, so that a blob is parsed and checked once however many commits hold it. It must
// be safe for concurrent use. What it returns must be what was put, or nothing: forgetting is allowed.
type Cache interface {
	Get(id BlobID) (*Parsed, bool)
	Put(id BlobID, p *Parsed)
}

// Parsed is what one blob declares: it doesn't depend on the file's path or on any other file. It is not changed once
// it was put into a Cache.
type Parsed struct {
	entries []*entry
	errors  []*Error    // without File
	size    int64       // bytes of the blob
	yaml    bool        // entries and errors were read; otherwise only size is known
	unread  bool        // the file declares more than entries tell
	secret  *secretFile // the blob is a file in the SOPS format, which declares nothing
	pointer bool        // the blob is a git LFS pointer, not the file
}

// NewCache returns a Cache in memory.
func NewCache() *MemoryCache {
	return &MemoryCache{parsed: map[BlobID]*Parsed{}, used: map[BlobID]bool{}}
}

// MemoryCache is a Cache in memory.
type MemoryCache struct {
	mu     sync.Mutex
	parsed map[BlobID]*Parsed
	used   map[BlobID]bool // since the last Forget
	last   *linked         // of the last Load without an error
	fresh  int             // blobs that were put
	begin  func() []byte   // what Save returned, nil once it was read
}

func (c *MemoryCache) takeLinked() *linked {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.last
	c.last = nil
	return last
}

func (c *MemoryCache) putLinked(last *linked) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = last
}

// Get returns what was put for the blob.
func (c *MemoryCache) Get(id BlobID) (*Parsed, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begin != nil {
		c.beginLocked()
	}
	p, ok := c.parsed[id]
	if ok {
		c.used[id] = true
	}
	return p, ok
}

// Put keeps p for the blob.
func (c *MemoryCache) Put(id BlobID, p *Parsed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parsed[id] = p
	c.used[id] = true
	c.fresh++
}

// Forget drops every blob that nothing asked for since the last Forget, so that a long-lived cache stays as big as the
// repository is.
func (c *MemoryCache) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.parsed {
		if !c.used[id] {
			delete(c.parsed, id)
		}
	}
	clear(c.used)
}
