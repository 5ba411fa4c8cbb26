package generation

import (
	"context"
	"sync"
)

// Retiring ends what ran by generations that nobody is led to any more, each beside all else. The zero value is ready.
type Retiring struct {
	mu     sync.Mutex
	ending map[string]bool
	all    sync.WaitGroup
}

// Go calls end and doesn't wait for it. While one of this name is being ended, there is no second: it could end the one
// that gets the name after it.
func (r *Retiring) Go(name string, end func(context.Context)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ending[name] {
		return
	}
	if r.ending == nil {
		r.ending = map[string]bool{}
	}
	r.ending[name] = true
	r.all.Go(func() {
		defer r.done(name)
		end(context.Background())
	})
}

func (r *Retiring) done(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.ending, name)
}

// Wait returns when nothing is being ended.
func (r *Retiring) Wait() { r.all.Wait() }
