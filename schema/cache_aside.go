package schema

// Aside returns a view of the cache for one caller of Load whose trees may never come again, as that of a push that is not
// accepted yet. It knows what the cache knows; but where such a tree has to be loaded as a whole, what the cache remembers
// of the last whole tree stays.
func (c *MemoryCache) Aside() Cache { return &aside{MemoryCache: c} }

type aside struct {
	*MemoryCache
	taken *linked
}

func (a *aside) takeLinked() *linked {
	a.taken = a.MemoryCache.takeLinked()
	return a.taken
}

func (a *aside) putLinked(last *linked) {
	if a.taken != nil {
		last = a.taken
	}
	a.MemoryCache.putLinked(last)
}
