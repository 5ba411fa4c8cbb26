package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"

	"hostctl/reconciler/outbox"
	"hostctl/schema"
)

// mail sends a message (RFC 5321). A server that doesn't offer TLS where it must gets neither password nor mail.
func (t *Teller) mail(ctx context.Context, commit string, to schema.Mail, m Message) error {
	password, err := t.reveal(ctx, commit, to.Password)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := t.dial(ctx, to)
	if err != nil {
		return fmt.Errorf("mail server %s: %w", to.Server, err)
	}
	defer func() { _ = c.Close() }()
	if to.Username != "" {
		host, _, _ := net.SplitHostPort(to.Server)
		if err := c.Auth(smtp.PlainAuth("", to.Username, password, host)); err != nil {
			return fmt.Errorf("mail server %s: log in as %s: %w", to.Server, to.Username, err)
		}
	}
	if err := handOver(c, to, letter(to, m)); err != nil {
		return fmt.Errorf("mail server %s: %w", to.Server, err)
	}
	return nil
}

// dial connects to a mail server, and has TLS where it must.
func (t *Teller) dial(ctx context.Context, to schema.Mail) (*smtp.Client, error) {
	host, _, err := net.SplitHostPort(to.Server)
	if err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", to.Server)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	config := &tls.Config{ServerName: host, RootCAs: t.Roots, MinVersion: tls.VersionTLS12}
	if to.TLS == schema.MailImplicit {
		conn = tls.Client(conn, config)
	}
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	if err := greet(c, to, config); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func greet(c *smtp.Client, to schema.Mail, config *tls.Config) error {
	_, domain, _ := strings.Cut(to.From, "@")
	if err := c.Hello(domain); err != nil {
		return err
	}
	if to.TLS != schema.MailStartTLS {
		return nil
	}
	if ok, _ := c.Extension("STARTTLS"); !ok {
		return errors.New("it offers no STARTTLS, so nothing is sent to it")
	}
	return c.StartTLS(config)
}

// handOver gives a letter to a server. Who it doesn't know keeps nobody else from getting it.
func handOver(c *smtp.Client, to schema.Mail, letter []byte) error {
	if err := c.Mail(to.From); err != nil {
		return err
	}
	var refused error
	taken := 0
	for _, address := range to.To {
		switch err := c.Rcpt(address); {
		case err == nil:
			taken++
		case !permanent(err):
			return err
		default:
			refused = errors.Join(refused, fmt.Errorf("%s: %w", address, err))
		}
	}
	if taken == 0 {
		return &outbox.Never{Err: refused}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	_, err = w.Write(letter)
	if err = errors.Join(err, w.Close()); err != nil { // the server has answered now
		if permanent(err) {
			return &outbox.Never{Err: err}
		}
		return err
	}
	_ = c.Quit() // it has taken the mail
	return nil
}

// permanent reports whether a server says that it will never do what it was asked (RFC 5321, 4.2.1).
func permanent(err error) bool {
	var reply *textproto.Error
	return errors.As(err, &reply) && reply.Code >= 500
}

// letter is a message as mail (RFC 5322). No header has more than the program and the Platform say.
func letter(to schema.Mail, m Message) []byte {
	_, domain, _ := strings.Cut(to.From, "@")
	var b bytes.Buffer
	for _, h := range [][2]string{
		{"From", to.From}, {"To", strings.Join(to.To, ",\r\n ")},
		{"Subject", mime.QEncoding.Encode("utf-8", line(m.Title, 300))},
		{"Date", m.Time.Format(time.RFC1123Z)}, {"Message-ID", "<" + m.ID + "@" + domain + ">"},
		{"MIME-Version", "1.0"}, {"Content-Type", "text/plain; charset=utf-8"}, {"Content-Transfer-Encoding", "quoted-printable"},
		{"Auto-Submitted", "auto-generated"}, // RFC 3834: no absence replies to it
	} {
		b.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(strings.ReplaceAll(m.Text(), "\n", "\r\n"))) // a bytes.Buffer takes all
	_ = w.Close()
	return b.Bytes()
}
