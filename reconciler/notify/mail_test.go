package notify

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"hostctl/reconciler/outbox"
	"hostctl/schema"
)

// mailServer is as much of a mail server as sends need (RFC 5321, RFC 3207, RFC 4954).
type mailServer struct {
	net.Listener
	cert     tls.Certificate
	implicit bool
	starttls bool

	mu       sync.Mutex
	clear    []string // lines that came without TLS
	password string
	to       []string
	letter   string
}

func (s *mailServer) start(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if s.implicit {
		l = tls.NewListener(l, s.config())
	}
	s.Listener = l
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn, s.implicit)
		}
	}()
}

func (s *mailServer) config() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{s.cert}, MinVersion: tls.VersionTLS12}
}

func (s *mailServer) serve(conn net.Conn, secure bool) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	say := func(text string) { _, _ = fmt.Fprintf(conn, "%s\r\n", text) }
	if !secure || s.implicit {
		say("220 mail.test ESMTP")
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.mu.Lock()
		if !secure {
			s.clear = append(s.clear, line)
		}
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "EHLO":
			if s.starttls && !secure {
				say("250-mail.test\r\n250-AUTH PLAIN\r\n250 STARTTLS")
			} else {
				say("250-mail.test\r\n250 AUTH PLAIN")
			}
		case "STARTTLS":
			say("220 go on")
			s.mu.Unlock()
			s.serve(tls.Server(conn, s.config()), true)
			return
		case "AUTH":
			raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(rest, "PLAIN "))
			parts := strings.Split(string(raw), "\x00")
			if s.password = parts[len(parts)-1]; s.password == "right" {
				say("235 welcome")
			} else {
				say("535 no")
			}
		case "RCPT":
			if strings.Contains(rest, "gone@") {
				say("550 no such user")
			} else {
				s.to = append(s.to, rest)
				say("250 ok")
			}
		case "DATA":
			say("354 go on")
			s.letter = ""
			for {
				l, err := in.ReadString('\n')
				if err != nil || l == ".\r\n" {
					break
				}
				s.letter += l
			}
			say("250 taken")
		case "QUIT":
			say("221 bye")
			s.mu.Unlock()
			return
		default:
			say("250 ok")
		}
		s.mu.Unlock()
	}
}

func TestMail(t *testing.T) {
	far := listen(t) // for its certificate
	for name, c := range map[string]struct {
		way                schema.MailTLS
		implicit, starttls bool
		password           string
		to                 []string
		want               string
	}{
		"STARTTLS":                     {schema.MailStartTLS, false, true, "right", []string{"ops@hosting.test"}, ""},
		"implicit TLS":                 {schema.MailImplicit, true, false, "right", []string{"ops@hosting.test", "gone@hosting.test"}, ""},
		"none, on this machine":        {schema.MailPlain, false, false, "", []string{"ops@hosting.test"}, ""},
		"a server without STARTTLS":    {schema.MailStartTLS, false, false, "right", []string{"ops@hosting.test"}, "offers no STARTTLS"},
		"a wrong password":             {schema.MailStartTLS, false, true, "wr0ng", []string{"ops@hosting.test"}, "log in as hostctl: 535"},
		"nobody whom the server knows": {schema.MailStartTLS, false, true, "right", []string{"gone@hosting.test"}, "550"},
	} {
		t.Run(name, func(t *testing.T) {
			server := &mailServer{cert: far.TLS.Certificates[0], implicit: c.implicit, starttls: c.starttls}
			server.start(t)
			m := &schema.Mail{Server: server.Addr().String(), TLS: c.way, From: "hostctl@hosting.test", To: c.to}
			if c.password != "" {
				m.Username, m.Password = "hostctl", secretOf("password")
			}
			w := newWorld(t, schema.Notification{Name: "mail", Type: schema.NotifyEmail, Events: schema.NotificationEvents, Mail: m})
			w.secrets["password"] = c.password
			teller := w.teller()
			teller.Roots = far.roots()
			err := w.deliver(teller, "mail")
			server.mu.Lock()
			defer server.mu.Unlock()
			if clear := strings.Join(server.clear, "\n"); c.way != schema.MailPlain && (strings.Contains(clear, "AUTH") || strings.Contains(clear, "MAIL") || strings.Contains(clear, "DATA")) {
				t.Errorf("went in clear:\n%s", clear)
			}
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), c.password) && c.password != "right" || server.letter != "" {
					t.Errorf("%v, want %s", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(server.to) != 1 || server.password != c.password || !strings.Contains(server.letter, "Subject: hosting.test: a run failed\r\n") || !strings.Contains(server.letter, "no space left on device") {
				t.Errorf("to %v:\n%s", server.to, server.letter)
			}
		})
	}
	t.Run("a server with another certificate", func(t *testing.T) {
		server := &mailServer{cert: far.TLS.Certificates[0], implicit: true}
		server.start(t)
		w := newWorld(t, schema.Notification{Name: "mail", Type: schema.NotifyEmail, Mail: &schema.Mail{Server: server.Addr().String(), TLS: schema.MailImplicit, From: "a@hosting.test", To: []string{"b@hosting.test"}}})
		if err := w.deliver(w.teller(), "mail"); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%v", err)
		}
	})
}

var _ outbox.Deliver = (&Teller{}).Deliver
