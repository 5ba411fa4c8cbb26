package git

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// overSSH speaks to a git-upload-pack that the remote's SSH server starts (gitprotocol-pack(5), "SSH Transport"). No
// agent and no configuration of the user that hostd runs as is looked at.
type overSSH struct {
	patience *patience
	client   *ssh.Client
	session  *ssh.Session
	in       io.WriteCloser
	out      io.Reader
	stderr   *said
	sent     bool
	unhook   func() bool
}

// dialSSH logs in and starts the conversation.
func dialSSH(ctx context.Context, p *patience, r Remote, a address) (*overSSH, error) {
	config, err := r.clientConfig(a)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", a.hostPort())
	if err != nil {
		return nil, err
	}
	s := &overSSH{patience: p, stderr: &said{}, unhook: context.AfterFunc(ctx, func() { _ = conn.Close() })}
	c, channels, requests, err := ssh.NewClientConn(watchedConn{conn, p}, a.hostPort(), config)
	if err != nil {
		s.unhook()
		return nil, errors.Join(loginError(err, a, r), discard(conn.Close()))
	}
	s.client = ssh.NewClient(c, channels, requests)
	if err := s.start(a.path); err != nil {
		return nil, errors.Join(err, discard(s.close(true)))
	}
	return s, nil
}

// discard drops the error of closing what an error has ended.
func discard(error) error { return nil }

func (s *overSSH) start(path string) (err error) {
	if s.session, err = s.client.NewSession(); err != nil {
		return err
	}
	s.session.Stderr = s.stderr
	if s.in, err = s.session.StdinPipe(); err != nil {
		return err
	}
	if s.out, err = s.session.StdoutPipe(); err != nil {
		return err
	}
	return s.session.Start("git-upload-pack " + quoted(path))
}

// quoted quotes a path as git does for the other machine (quote.c).
func quoted(path string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(path) + "'"
}

// references implements uploadPack.
func (s *overSSH) references() (*packp.AdvRefs, error) {
	refs, err := advertised(&watched{ReadCloser: io.NopCloser(s.out), patience: s.patience, left: maxReferences})
	if err == nil {
		return refs, nil
	}
	s.ended()
	if told := s.stderr.String(); told != "" {
		return nil, fmt.Errorf("it says: %w", tidy(errors.New(told)))
	}
	return nil, err
}

// ended waits for the far side's last words.
func (s *overSSH) ended() {
	_ = s.in.Close()
	_ = s.session.Wait()
}

// send implements uploadPack.
func (s *overSSH) send(request []byte) (io.ReadCloser, error) {
	s.sent = true
	if _, err := s.in.Write(request); err != nil {
		return nil, err
	}
	return &watched{ReadCloser: io.NopCloser(s.out), patience: s.patience, left: maxPack}, nil
}

// close implements uploadPack.
func (s *overSSH) close(bool) error {
	if s.in != nil && !s.sent {
		_ = pktline.NewEncoder(s.in).Flush() // nothing is wanted
	}
	err := s.client.Close()
	s.unhook()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// clientConfig reads the key and the known hosts as they are now.
func (r Remote) clientConfig(a address) (*ssh.ClientConfig, error) {
	pem, err := readSecret(r.SSHKeyFile)
	if err != nil {
		return nil, fmt.Errorf("--repo-ssh-key: %w", err)
	}
	key, err := ssh.ParsePrivateKey(pem)
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		return nil, fmt.Errorf("--repo-ssh-key: %s has a passphrase, which hostd can't ask for; make a key of its own without one", r.SSHKeyFile)
	case err != nil:
		return nil, fmt.Errorf("--repo-ssh-key: %s holds no private key", r.SSHKeyFile)
	}
	known, err := knownhosts.New(r.KnownHostsFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("--repo-known-hosts: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("--repo-known-hosts: %s can't be read: %w", r.KnownHostsFile, tidy(err))
	}
	return &ssh.ClientConfig{
		User: a.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, Timeout: 10 * time.Second,
		HostKeyCallback: func(host string, remote net.Addr, key ssh.PublicKey) error {
			return hostKeyError(known(host, remote, key), host, key, r.KnownHostsFile)
		},
		HostKeyAlgorithms: algorithms(known, a.hostPort()),
	}, nil
}

// algorithms returns those of the keys that are known of a host: a server with several keys shows the first one that it is
// asked for. Where none is known it is nil, for any.
func algorithms(known ssh.HostKeyCallback, host string) []string {
	none, err := ssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil {
		return nil
	}
	var of *knownhosts.KeyError
	if !errors.As(known(host, &net.TCPAddr{}, none), &of) {
		return nil
	}
	var names []string
	for _, k := range of.Want {
		if kind := k.Key.Type(); kind == ssh.KeyAlgoRSA {
			names = append(names, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		} else {
			names = append(names, kind)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// HostKeyError says that a remote has shown a host key that isn't trusted.
type HostKeyError struct {
	Host, File  string
	Fingerprint string
	Line        string // what the file has to hold for the key to be trusted
	At          int    // line of the file that has another key; 0 where it has none
	Revoked     bool
}

func (e *HostKeyError) Error() string {
	switch {
	case e.Revoked:
		return fmt.Sprintf("the host key of %s, %s, is revoked in %s", e.Host, e.Fingerprint, e.File)
	case e.At > 0:
		return fmt.Sprintf("the host key of %s is %s and not the one of %s:%d: it has changed, or somebody is in between; compare it with what the forge publishes, and only then put in that line's place: %s",
			e.Host, e.Fingerprint, e.File, e.At, e.Line)
	}
	return fmt.Sprintf("the host key of %s, %s, isn't in %s; compare it with what the forge publishes, and then add the line: %s", e.Host, e.Fingerprint, e.File, e.Line)
}

func hostKeyError(err error, host string, key ssh.PublicKey, file string) error {
	if err == nil {
		return nil
	}
	e := &HostKeyError{Host: host, File: file, Fingerprint: ssh.FingerprintSHA256(key), Line: knownhosts.Line([]string{knownhosts.Normalize(host)}, key)}
	var unknown *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case errors.As(err, &revoked):
		e.Revoked = true
	case !errors.As(err, &unknown):
		return err
	case len(unknown.Want) > 0:
		e.At = unknown.Want[0].Line
	}
	return e
}

// loginError says what a refused login means.
func loginError(err error, a address, r Remote) error {
	var key *HostKeyError
	switch {
	case errors.As(err, &key):
		return key
	case strings.Contains(err.Error(), "unable to authenticate"):
		return fmt.Errorf("%s takes no login of %s with the key of %s; have the forge accept its public half to read", a.host, a.user, r.SSHKeyFile)
	}
	return tidy(err)
}
