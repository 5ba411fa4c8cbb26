package api

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"hostctl/planner"
	"hostctl/reconciler"
)

// Event is something that happened on the way of a commit. A tenant is told of changes of its own objects.
type Event struct {
	Time   time.Time            `json:"time"`
	Commit string               `json:"commit"`
	Run    int64                `json:"run,omitempty"`
	Kind   reconciler.EventKind `json:"kind"`
	Text   string               `json:"text,omitempty"`
	Change *EventChange         `json:"change,omitempty"`
	Frozen []string             `json:"frozen,omitempty"` // of a refusal: tenants that were left out
}

// EventChange is one step of one change.
type EventChange struct {
	Ref    planner.Ref    `json:"ref"`
	Action planner.Action `json:"action"`
	Tenant string         `json:"tenant,omitempty"`
	Phase  string         `json:"phase"` // started, finished, blocked, canceled
	Error  string         `json:"error,omitempty"`
	ID     int            `json:"id,omitempty"` // in the plan
	Of     int            `json:"of,omitempty"` // changes in the plan
}

// The bounds of streams.
const (
	streamsOfToken = 4
	streamsOfAll   = 64
	heartbeat      = 15 * time.Second // a comment is sent that often where there is nothing else
)

// streams counts who listens.
type streams struct {
	mu  sync.Mutex
	of  map[string]int
	all int
}

func (s *streams) take(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[string]int{}
	}
	if s.of[token] >= streamsOfToken || s.all >= streamsOfAll {
		return false
	}
	s.of[token]++
	s.all++
	return true
}

func (s *streams) give(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.of[token]--; s.of[token] == 0 {
		delete(s.of, token)
	}
}

// marks makes the ids of events. They are encrypted with a key of this process: how many events others have isn't told, and
// an id of another process, which counts otherwise, is known as such.
type marks struct {
	once  sync.Once
	block cipher.Block
}

func (m *marks) cipher() cipher.Block {
	m.once.Do(func() {
		key := make([]byte, 16)
		_, err := rand.Read(key)
		if err == nil {
			m.block, err = aes.NewCipher(key)
		}
		if err != nil {
			panic("api: no randomness: " + err.Error()) // crypto/rand never fails
		}
	})
	return m.block
}

// idOf names the place after the first n events.
func (m *marks) idOf(n int64) string {
	var b [aes.BlockSize]byte
	binary.BigEndian.PutUint64(b[8:], uint64(n))
	m.cipher().Encrypt(b[:], b[:])
	return hex.EncodeToString(b[:])
}

// read returns the place that an id names; false where this process hasn't made it.
func (m *marks) read(id string) (int64, bool) {
	b, err := hex.DecodeString(id)
	if err != nil || len(b) != aes.BlockSize {
		return 0, false
	}
	m.cipher().Decrypt(b, b)
	n := int64(binary.BigEndian.Uint64(b[8:]))
	return n, binary.BigEndian.Uint64(b[:8]) == 0 && n >= 0
}

// events tells what happens from now on, or from the event on that the one who asks has had last (Last-Event-ID). What is
// no longer remembered is told as a gap.
func events(c *call) error {
	last, seen := c.r.Header.Get("Last-Event-ID"), int64(-1)
	gap := false
	if last != "" {
		n, ok := c.marks.read(last)
		if !ok { // of another process: all that this one knows may be new
			n = 0
		}
		seen, gap = n, !ok
	}
	return c.stream(seen, gap, func(reconciler.Event) bool { return true }, nil)
}

// runEvents tells what happens in a run, from its beginning as far as it is remembered, and ends with the run itself.
func runEvents(c *call) error {
	r, err := c.findRun()
	if err != nil {
		return err
	}
	seen, _ := c.marks.read(c.r.Header.Get("Last-Event-ID"))
	ended := func() (any, error) {
		now, err := c.findRun()
		if err != nil || now.Finished.IsZero() {
			return nil, err
		}
		return c.run(now), nil
	}
	return c.stream(seen, false, func(e reconciler.Event) bool { return e.Run == r.ID }, ended)
}

// stream writes server-sent events (WHATWG HTML 9.2) until the one who listens is gone, hostd stops leading, or what ended
// returns is the last one.
func (c *call) stream(seen int64, gap bool, wanted func(reconciler.Event) bool, ended func() (any, error)) error {
	if !c.streams.take(c.who.Token) {
		return problem(http.StatusTooManyRequests, "at most %d streams of a token are open at a time, and %d of all; end one", streamsOfToken, streamsOfAll)
	}
	defer c.streams.give(c.who.Token)
	if !c.audited(c.w, c.r, c.route.Path, c.who, http.StatusOK) {
		return nil
	}
	s := &sse{w: c.w, control: http.NewResponseController(c.w)}
	s.begin()
	if c.r.Method == http.MethodHead {
		return nil
	}
	if gap {
		s.comment("events may be missing here")
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for s.err == nil {
		final, err := c.lastWord(ended) // before the events: what happened until then is among them
		if err != nil {
			s.comment("hostd can't tell how the run stands")
			return nil
		}
		found, first, moved := c.Loop.Feed.Recent(seen)
		if seen >= 0 && first > seen+1 {
			s.comment("events are missing here: they are no longer remembered")
		}
		for i, e := range found {
			if shown, ok := c.event(e); ok && wanted(e) {
				s.send(c.marks.idOf(first+int64(i)), string(e.Kind), shown)
			}
		}
		seen = first + int64(len(found)) - 1
		if final != nil {
			s.send("", "run", final)
			return nil
		}
		select {
		case <-moved:
		case <-beat.C:
			s.comment("")
			if _, ok, err := c.Tokens.Find(presented(c.r), c.now()); err != nil || !ok {
				return nil // revoked, or expired
			}
		case <-c.ctx.Done():
			return nil
		case <-c.Done:
			return nil
		}
	}
	return nil
}

func (c *call) lastWord(ended func() (any, error)) (any, error) {
	if ended == nil {
		return nil, nil
	}
	return ended()
}

// event shows an event; it is false where the one who asks sees nothing of it.
func (c *call) event(e reconciler.Event) (Event, bool) {
	out := Event{Time: e.Time, Commit: e.Commit, Run: e.Run, Kind: e.Kind}
	if e.Change != nil {
		out.Change = &EventChange{Ref: e.Change.Ref, Action: e.Change.Action, Tenant: e.Change.Tenant, Phase: e.Change.Phase, Error: c.failure(e.Change.Error)}
	}
	if c.whose.All {
		out.Text, out.Frozen = e.Text, e.Frozen
		if e.Change != nil {
			out.Change.ID, out.Change.Of = e.Change.ID, e.Change.Of
		}
		return out, true
	}
	return out, e.Change != nil && c.whose.Sees(e.Change.Tenant)
}

// sse writes events. The first error stays.
type sse struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

func (s *sse) begin() {
	_ = s.control.SetReadDeadline(time.Time{}) // the connection may stay
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.w.Header().Set("Cache-Control", "no-store")
	s.w.WriteHeader(http.StatusOK)
	s.flush()
}

func (s *sse) send(id, kind string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		s.err = err
		return
	}
	if id != "" {
		s.write("id: %s\n", id)
	}
	s.write("event: %s\ndata: %s\n\n", kind, b)
	s.flush()
}

func (s *sse) comment(text string) {
	s.write(": %s\n\n", text)
	s.flush()
}

func (s *sse) write(format string, args ...any) {
	if s.err != nil {
		return
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(giveUp))
	_, s.err = fmt.Fprintf(s.w, format, args...)
}

func (s *sse) flush() {
	if err := s.control.Flush(); err != nil && s.err == nil {
		s.err = err
	}
}
