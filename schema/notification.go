package schema

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"gopkg.in/yaml.v3"
)

// Notification is somebody who is told what happens to the platform.
type Notification struct {
	Name    string
	Type    NotificationType
	Events  []NotificationEvent // what they are told of, in the order of NotificationEvents
	Tenants []string            // whom it must be about; nil: all, and the platform itself

	URL        *Secret // of a webhook or Slack, with a Ref
	SigningKey *Secret // of a webhook; nil: it isn't signed
	Mail       *Mail   // of e-mail
}

// Mail is how e-mail is sent.
type Mail struct {
	Server   string // host:port
	TLS      MailTLS
	Username string  // "" logs in as nobody
	Password *Secret // with a Ref; nil where there is no Username
	From     string
	To       []string
}

// NotificationType is how somebody is told.
type NotificationType string

// The types.
const (
	NotifyWebhook NotificationType = "webhook" // JSON, signed
	NotifySlack   NotificationType = "slack"   // an incoming webhook of Slack, Mattermost and the like
	NotifyEmail   NotificationType = "email"
)

// MailTLS is how the way to a mail server is kept from others.
type MailTLS string

// The ways.
const (
	MailStartTLS MailTLS = "starttls" // RFC 3207; a server that doesn't offer it gets no mail
	MailImplicit MailTLS = "implicit" // RFC 8314
	MailPlain    MailTLS = "none"     // to this machine only
)

// NotificationEvent is what somebody is told of.
type NotificationEvent string

// The events.
const (
	OnRunFailed    NotificationEvent = "runFailed"    // a run failed, or a node can't be reached
	OnRecovered    NotificationEvent = "recovered"    // one of the others is over
	OnDriftFound   NotificationEvent = "driftFound"   // something differs from what was applied
	OnGuardRefused NotificationEvent = "guardRefused" // a commit is refused, by a guard or for a mistake in it
)

// NotificationEvents are all of them.
var NotificationEvents = []NotificationEvent{OnRunFailed, OnRecovered, OnDriftFound, OnGuardRefused}

const notificationsField = "spec.notifications"

func (d *decoder) notifications(n *yaml.Node) []Notification {
	var all []Notification
	seen := map[string]bool{}
	for _, item := range items(n) {
		one := d.notification(item)
		if seen[one.Name] {
			d.fail(child(item, "name"), "%q stands twice in the list; name each differently", one.Name)
		}
		seen[one.Name] = one.Name != ""
		all = append(all, one)
	}
	return all
}

// notificationFields are those of each type; what is true is needed.
var notificationFields = map[NotificationType]map[string]bool{
	NotifyWebhook: {"url": true, "signingKey": false},
	NotifySlack:   {"url": true},
	NotifyEmail:   {"smtp": true, "to": true, "from": true},
}

func (d *decoder) notification(n *yaml.Node) Notification {
	one := Notification{
		Name:       d.value(child(n, "name"), CheckSlug),
		Type:       NotificationType(d.plain(child(n, "type"))),
		Tenants:    list(d, child(n, "tenants"), checked(CheckSlug)),
		URL:        d.secret(child(n, "url")),
		SigningKey: d.secret(child(n, "signingKey")),
	}
	d.unique(child(n, "tenants"), one.Tenants)
	events := list(d, child(n, "events"), checked(func(string) error { return nil }))
	d.unique(child(n, "events"), events)
	for _, e := range NotificationEvents {
		if len(events) == 0 || slices.Contains(events, string(e)) {
			one.Events = append(one.Events, e)
		}
	}
	takes := notificationFields[one.Type]
	for _, field := range []string{"url", "signingKey", "smtp", "to", "from"} {
		switch at, needed := child(n, field), takes[field]; {
		case takes == nil: // its shape was refused
		case at == nil && needed:
			d.fail(n, "a notification of type %s needs %s", one.Type, field)
		case at != nil && !has(takes, field):
			d.fail(at, "is for notifications of another type than %s; take it out", one.Type)
		}
	}
	if one.Type == NotifyEmail {
		one.Mail = d.mail(n)
	}
	return one
}

func has(m map[string]bool, key string) bool {
	_, ok := m[key]
	return ok
}

func (d *decoder) mail(n *yaml.Node) *Mail {
	smtp := child(n, "smtp")
	m := &Mail{
		Server:   d.value(child(smtp, "server"), checkMailServer),
		TLS:      MailTLS(d.plain(child(smtp, "tls"))),
		Username: d.value(child(smtp, "username"), func(s string) error { return CheckText(s, 255) }),
		Password: d.secret(child(smtp, "password")),
		From:     d.value(child(n, "from"), CheckMailAddress),
		To:       list(d, child(n, "to"), checked(CheckMailAddress)),
	}
	if m.TLS == "" {
		m.TLS = MailStartTLS
	}
	d.unique(child(n, "to"), m.To)
	host, _, _ := net.SplitHostPort(m.Server)
	switch {
	case (m.Username == "") != (m.Password == nil):
		d.fail(smtp, "has only one of username and password; write both, or none")
	case m.TLS == MailPlain && m.Server != "" && !isLoopback(host):
		d.fail(child(smtp, "tls"), "mail would go to %s in clear; write starttls or implicit", host)
	}
	return m
}

func checkMailServer(s string) error {
	if err := checkHostPort(s); err != nil {
		return fmt.Errorf("%q isn't a mail server: %w; write such as mail.example.com:587", shorten(s), err)
	}
	return nil
}

// isLoopback reports whether a host is this machine by its name.
func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// linkNotifications resolves the secrets. What was decoded belongs to the cache.
func (l *loader) linkNotifications(c *catalog) {
	for _, p := range c.platforms.list {
		if len(p.v.Notifications) == 0 {
			continue
		}
		all := slices.Clone(p.v.Notifications)
		for i := range all {
			at := fmt.Sprintf("%s[%d].", notificationsField, i)
			all[i].URL = l.resolved(c, &p.origin, at+"url", all[i].URL)
			all[i].SigningKey = l.resolved(c, &p.origin, at+"signingKey", all[i].SigningKey)
			if m := all[i].Mail; m != nil {
				mail := *m
				mail.Password = l.resolved(c, &p.origin, at+"smtp.password", m.Password)
				all[i].Mail = &mail
			}
		}
		p.v.Notifications = all
	}
}

// resolved resolves a secret that may be missing, and leaves the one that was decoded as it is.
func (l *loader) resolved(c *catalog, o *origin, field string, s *Secret) *Secret {
	if s == nil {
		return nil
	}
	r := l.resolve(c, o, field, *s)
	return &r
}
