// Package notify tells people what happens to a platform: that runs fail, that a commit is refused, that there is drift, and
// that it is over. Each of these is told when it begins and when it ends; while it lasts, only what is new is told, and
// seldom. What is told goes through the outbox, so that a mail server that is down loses nothing.
package notify

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"hostctl/reconciler"
	"hostctl/reconciler/outbox"
	"hostctl/schema"
)

// Kind is that of the messages in the outbox.
const Kind = "notification"

const (
	lookEvery = time.Second
	lookAgain = 30 * time.Second // after one that failed
	worth     = 24 * time.Hour   // a message that couldn't be delivered for so long says nothing new
)

// Source is where a Teller finds what to tell, and whom: a *reconciler.Loop, and its Reconciler.
type Source interface {
	Status() reconciler.Status
	Troubles() reconciler.Troubles
	Audience(ctx context.Context, commit string) (reconciler.Audience, error)
}

// Teller tells. Its fields are set once, before use.
type Teller struct {
	Source Source
	Box    *outbox.Box
	File   string // where it remembers what was told
	Log    *slog.Logger

	// Reveal opens a secret that a commit's files hold.
	Reveal func(ctx context.Context, commit string, ref schema.SecretRef) (string, error)

	Roots *x509.CertPool // authorities of far sides; nil: the system's

	memory  memory
	problem string // why nobody could be told the last time, so that it is logged once
}

// Run looks what there is to tell until ctx is done.
func (t *Teller) Run(ctx context.Context) error {
	if err := t.memory.load(t.File); err != nil {
		t.Log.Error("what was told is forgotten, and may be told again", "file", t.File, "error", err)
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := t.look(ctx, time.Now()); ctx.Err() == nil {
			tick.Reset(t.looked(err))
		}
	}
}

// looked notes how a look has ended, and returns the time until the next one.
func (t *Teller) looked(err error) time.Duration {
	if err == nil {
		t.problem = ""
		return lookEvery
	}
	if err.Error() != t.problem {
		t.problem = err.Error()
		t.Log.Error("not all can be told what happens", "error", err)
	}
	return lookAgain
}

// look tells what is to be told now.
func (t *Teller) look(ctx context.Context, now time.Time) error {
	if err := t.Box.Leads(); err != nil {
		return err
	}
	troubles := t.Source.Troubles()
	if applied := t.Source.Status().Applied; applied != "" {
		t.memory.Commit = applied
	}
	commit := t.memory.Commit
	if commit == "" && troubles.Failed != nil {
		commit = troubles.Failed.Commit // the first one there is
	}
	if commit == "" {
		return nil
	}
	audience, err := t.Source.Audience(ctx, commit)
	if err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, n := range audience.Notifications {
		for _, topic := range topicsOf(troubles) {
			keep[n.Name+"/"+string(topic.event)] = true
			if topic.known {
				err = errors.Join(err, t.tell(ctx, now, audience.Platform, n, topic))
			}
		}
	}
	maps.DeleteFunc(t.memory.Told, func(key string, _ *told) bool { return !keep[key] })
	return errors.Join(err, t.memory.save(t.File))
}

// topic is one of the things that begin and end.
type topic struct {
	event   schema.NotificationEvent
	known   bool
	trouble *reconciler.Trouble // nil: there is none
}

func topicsOf(t reconciler.Troubles) []topic {
	return []topic{
		{schema.OnRunFailed, t.Tried, t.Failed},
		{schema.OnGuardRefused, t.Tried, t.Refused},
		{schema.OnDriftFound, t.Looked, t.Drift},
	}
}

// tell puts into the outbox what one of the audience is to be told of a topic now.
func (t *Teller) tell(ctx context.Context, now time.Time, platform string, n schema.Notification, topic topic) error {
	key := n.Name + "/" + string(topic.event)
	before := t.memory.of(key)
	after := *before
	step, trouble := after.next(now, about(n, topic.trouble))
	if m := newMessage(platform, n.Name, topic.event, step, trouble, after.Since, now); step != nothing && slices.Contains(n.Events, m.Event) {
		if err := t.put(ctx, key, m); err != nil {
			return err // and tried again, for it isn't remembered
		}
	}
	t.memory.set(key, after)
	return nil
}

// about returns what of a trouble somebody is told; nil where nothing is.
func about(n schema.Notification, trouble *reconciler.Trouble) *reconciler.Trouble {
	if trouble == nil || len(n.Tenants) == 0 {
		return trouble
	}
	theirs := &reconciler.Trouble{Commit: trouble.Commit}
	for _, i := range trouble.Items {
		if slices.Contains(n.Tenants, i.Tenant) {
			theirs.Items = append(theirs.Items, i)
		}
	}
	if len(theirs.Items) == 0 {
		return nil
	}
	return theirs
}

func (t *Teller) put(ctx context.Context, key string, m Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return t.Box.Put(ctx, outbox.Message{Kind: Kind, Key: key, Body: body, Expires: m.Time.Add(worth)})
}

// Deliver sends a message of the outbox, as the applied commit says now.
func (t *Teller) Deliver(ctx context.Context, _ string, body json.RawMessage) error {
	var m Message
	if err := json.Unmarshal(body, &m); err != nil {
		return &outbox.Never{Err: err}
	}
	commit, all, err := t.audience(ctx)
	if err != nil {
		return err
	}
	n := find(all, m.Notification)
	if n == nil {
		return &outbox.Never{Err: fmt.Errorf("nobody is called %s any more", m.Notification)}
	}
	return t.send(ctx, commit, *n, m)
}

// Test sends a message to one of the audience at once.
func (t *Teller) Test(ctx context.Context, name string) error {
	commit, all, err := t.audience(ctx)
	if err != nil {
		return err
	}
	n := find(all, name)
	if n == nil {
		names := make([]string, len(all))
		for i := range all {
			names[i] = all[i].Name
		}
		return fmt.Errorf("commit %.12s has no notification %q; it has: %s", commit, name, strings.Join(names, ", "))
	}
	now := time.Now().UTC()
	audience, err := t.Source.Audience(ctx, commit)
	if err != nil {
		return err
	}
	return t.send(ctx, commit, *n, newTest(audience.Platform, n.Name, commit, now))
}

// audience returns who is told by the commit that was applied last.
func (t *Teller) audience(ctx context.Context) (commit string, all []schema.Notification, err error) {
	commit = t.Source.Status().Applied
	if commit == "" {
		commit = t.memory.commit()
	}
	if troubles := t.Source.Troubles(); commit == "" && troubles.Failed != nil {
		commit = troubles.Failed.Commit
	}
	if commit == "" {
		return "", nil, errors.New("no commit was applied yet, so nobody is to be told; look at 'hostctl status'")
	}
	a, err := t.Source.Audience(ctx, commit)
	return commit, a.Notifications, err
}

func find(all []schema.Notification, name string) *schema.Notification {
	i := slices.IndexFunc(all, func(n schema.Notification) bool { return n.Name == name })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// send sends a message to one of the audience.
func (t *Teller) send(ctx context.Context, commit string, n schema.Notification, m Message) error {
	switch n.Type {
	case schema.NotifyWebhook:
		return t.post(ctx, commit, n, m)
	case schema.NotifySlack:
		return t.slack(ctx, commit, n, m)
	case schema.NotifyEmail:
		return t.mail(ctx, commit, *n.Mail, m)
	}
	return &outbox.Never{Err: fmt.Errorf("%q isn't a type of notification", n.Type)}
}

// reveal opens a secret; "" is that of none.
func (t *Teller) reveal(ctx context.Context, commit string, s *schema.Secret) (string, error) {
	if s == nil || s.Ref == nil {
		return "", nil
	}
	value, err := t.Reveal(ctx, commit, *s.Ref)
	if err != nil {
		return "", fmt.Errorf("%s: %s: %w", s.Ref.Path, s.Ref.Key, err)
	}
	return strings.TrimSpace(value), nil
}
