package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode"

	"hostctl/reconciler"
	"hostctl/schema"
)

// Message is what somebody is told, and what a webhook posts (docs/notifications.md).
type Message struct {
	Version      int                      `json:"version"`      // 1
	ID           string                   `json:"id"`           // the same when it is sent again
	Notification string                   `json:"notification"` // whom it is for, as the Platform names them
	Platform     string                   `json:"platform"`     // its domain
	Event        schema.NotificationEvent `json:"event"`
	Of           schema.NotificationEvent `json:"of,omitempty"` // of recovered: what is over
	Over         bool                     `json:"over"`         // it is over, also where that is told at once
	Commit       string                   `json:"commit,omitempty"`
	Since        time.Time                `json:"since"`
	Time         time.Time                `json:"time"`
	Title        string                   `json:"title"`
	Items        []Item                   `json:"items"`
	More         int                      `json:"more,omitempty"` // items that aren't in it
	Next         string                   `json:"next,omitempty"` // command that tells more
}

// Item is one thing that a message is about.
type Item struct {
	Tenant string `json:"tenant,omitempty"`
	Object string `json:"object,omitempty"`
	Text   string `json:"text"`
}

// OnTest is the event of a message that 'hostctl notify test' asked for.
const OnTest schema.NotificationEvent = "test"

// What a message holds at most: items, and characters of each text.
const (
	maxTold = 20
	maxText = 1000
)

// wording is how an event is told.
type wording struct{ is, was, next string }

var wordings = map[schema.NotificationEvent]wording{
	schema.OnRunFailed:    {"a run failed", "runs succeed again", "hostctl status"},
	schema.OnGuardRefused: {"a commit is refused", "the newest commit is taken", "hostctl plan"},
	schema.OnDriftFound:   {"something differs from what was applied", "nothing differs any more", "hostctl drift"},
}

func newMessage(platform, name string, event schema.NotificationEvent, what step, trouble *reconciler.Trouble, since, now time.Time) Message {
	m := Message{Version: 1, Notification: name, Platform: platform, Event: event, Over: what == over || what == passed, Since: since.UTC(), Time: now.UTC(), Items: []Item{}}
	w := wordings[event]
	m.Title = platform + ": " + w.is
	switch what {
	case over:
		m.Event, m.Of, m.Title = schema.OnRecovered, event, platform+": "+w.was
	case passed:
		m.Title += ", and it is over"
	case changed:
		m.Title += ", and there is more"
	}
	if !m.Over {
		m.Next = w.next
	}
	if trouble != nil {
		m.Commit = line(trouble.Commit, 64)
		m.Items, m.More = itemsTold(trouble.Items)
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{name, string(event), string(what), m.Commit, m.Since.String(), m.Time.String()}, "\x00")))
	m.ID = hex.EncodeToString(sum[:16])
	return m
}

func newTest(platform, name, commit string, now time.Time) Message {
	return Message{Version: 1, ID: "test-" + hex.EncodeToString(fmt.Append(nil, now.UnixNano())), Notification: name, Platform: platform, Event: OnTest, Over: true,
		Commit: commit, Since: now, Time: now, Title: platform + ": a test", Items: []Item{{Text: "somebody asked for it with 'hostctl notify test'"}}}
}

func itemsTold(all []reconciler.TroubleItem) (items []Item, more int) {
	for _, i := range all[:min(len(all), maxTold)] {
		items = append(items, Item{Tenant: line(i.Tenant, 64), Object: line(i.Object, 300), Text: clean(i.Text, maxText)})
	}
	return items, len(all) - len(items)
}

// clean returns a text that shows what it is: no control characters but line feeds, none that turn or hide others, and not
// too long.
func clean(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r):
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// line is clean, in one line.
func line(s string, most int) string { return strings.ReplaceAll(clean(s, most), "\n", " ") }

// Text is a message for people, without its title.
func (m Message) Text() string {
	var b strings.Builder
	if m.Commit != "" {
		fmt.Fprintf(&b, "commit %.12s\n", m.Commit)
	}
	fmt.Fprintf(&b, "since %s\n", m.Since.Format("2006-01-02 15:04:05 MST"))
	if len(m.Items) > 0 {
		b.WriteString("\n")
	}
	for _, i := range m.Items {
		var at []string
		if i.Tenant != "" {
			at = append(at, "tenant "+i.Tenant)
		}
		if i.Object != "" {
			at = append(at, i.Object)
		}
		b.WriteString(strings.ReplaceAll(strings.Join(append(at, i.Text), ": "), "\n", "\n  ") + "\n")
	}
	if m.More > 0 {
		fmt.Fprintf(&b, "and %d more\n", m.More)
	}
	if m.Next != "" {
		fmt.Fprintf(&b, "\nto see more: %s\n", m.Next)
	}
	return b.String()
}
