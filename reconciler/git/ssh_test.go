package git_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"hostctl/reconciler/git"
	"hostctl/reconciler/git/gittest"
)

// sshServer runs git-upload-pack for who logs in with a key, as a forge does.
type sshServer struct {
	t        *testing.T
	listener net.Listener
	host     ssh.Signer
	client   ssh.PublicKey
	root     string
	hang     chan struct{} // not nil: commands hang until it is closed

	wg sync.WaitGroup
}

func newKey(t *testing.T) (ssh.Signer, []byte) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

func serveSSH(t *testing.T, root string, client ssh.PublicKey) *sshServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host, _ := newKey(t)
	s := &sshServer{t: t, listener: l, host: host, client: client, root: root}
	s.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.wg.Wait() // which it does only if no client hangs on
	})
	return s
}

func (s *sshServer) serve(conn net.Conn) {
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(s.client.Marshal()) {
			return nil, errors.New("no")
		}
		return nil, nil
	}}
	config.AddHostKey(s.host)
	c, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	s.wg.Go(func() { ssh.DiscardRequests(requests) })
	for ch := range channels {
		channel, asked, err := ch.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() {
			for r := range asked {
				if r.Type != "exec" {
					_ = r.Reply(false, nil)
					continue
				}
				_ = r.Reply(true, nil)
				s.run(channel, string(r.Payload[4:]))
			}
		})
	}
}

func (s *sshServer) run(channel ssh.Channel, command string) {
	defer func() { _ = channel.Close() }()
	path, ok := strings.CutPrefix(command, "git-upload-pack '/")
	if s.hang != nil {
		<-s.hang
	}
	if !ok {
		fmt.Fprintf(channel.Stderr(), "what is %s?\n", command)
		return
	}
	cmd := exec.Command("git-upload-pack", filepath.Join(s.root, strings.TrimSuffix(path, "'")))
	cmd.Env, cmd.Stdout, cmd.Stderr = gittest.Env(), channel, channel.Stderr()
	in, err := cmd.StdinPipe()
	if err != nil {
		return
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := channel.Read(buf)
			if _, failed := in.Write(buf[:n]); err != nil || failed != nil {
				_ = in.Close()
				return
			}
		}
	}()
	code := uint32(0)
	if cmd.Run() != nil {
		code = 128
	}
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
}

func (s *sshServer) addr() string { return s.listener.Addr().String() }

// A mirror follows a branch over SSH, with a key and a host key that are known, and with no others.
func TestMirrorSSH(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	r := gittest.New(t, root, "platform.git")
	first := r.Commit("first")
	r.Push("HEAD:main")
	client, private := newKey(t)
	s := serveSSH(t, root, client.PublicKey())
	key, known := filepath.Join(dir, "key"), filepath.Join(dir, "known_hosts")
	put(t, key, string(private))
	line := knownhosts.Line([]string{knownhosts.Normalize(s.addr())}, s.host.PublicKey())
	put(t, known, "# the forge\n"+line+"\n")
	how := git.Remote{URL: "ssh://git@" + s.addr() + "/platform.git", SSHKeyFile: key, KnownHostsFile: known, Every: time.Hour}
	open := func(t *testing.T) *git.Mirror {
		t.Helper()
		m, err := git.OpenMirror(t.Context(), how, filepath.Join(t.TempDir(), "m"), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := open(t)
	if head, err := m.Head(t.Context()); err != nil || head != first {
		t.Fatalf("it opens at %s, %v; want %s", head, err, first)
	}
	follow(t, m)
	r.Write("a.yaml", "a")
	second := r.Commit("second")
	r.Push("HEAD:main", "HEAD:refs/pull/1/head")
	untilHead(t, m, second)
	if _, err := m.Fetch(t.Context(), "refs/pull/1/head"); err != nil {
		t.Error(err)
	}

	other, otherPrivate := newKey(t)
	for _, c := range []struct {
		name, known, key string
		want             []string
	}{
		{"an unknown host", "# nothing\n", string(private), []string{ssh.FingerprintSHA256(s.host.PublicKey()), "isn't in " + known, line}},
		{"another host key", "\n" + knownhosts.Line([]string{knownhosts.Normalize(s.addr())}, other.PublicKey()) + "\n", string(private),
			[]string{"and not the one of " + known + ":2", "somebody is in between", line}},
		{"a revoked host key", line + "\n@revoked * " + strings.SplitN(line, " ", 2)[1] + "\n", string(private), []string{"is revoked in " + known}},
		{"known hosts that can't be read", "what?\n", string(private), []string{known + " can't be read"}},
		{"another key", line + "\n", string(otherPrivate), []string{"takes no login of git with the key of " + key}},
		{"no key", line + "\n", "hello", []string{key + " holds no private key"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			put(t, known, c.known)
			put(t, key, c.key)
			m := open(t)
			for _, want := range c.want {
				if got := m.Remote().Error; !strings.Contains(got, want) {
					t.Errorf("it says %q, want %q", got, want)
				}
			}
		})
	}
	put(t, known, line+"\n")
	put(t, key, string(private))
	how.URL = "ssh://" + s.addr() + "/none.git"
	if got := open(t).Remote().Error; !strings.Contains(got, "does not appear to be a git repository") {
		t.Errorf("without a repository: %q", got)
	}
	how.Stall = time.Second
	s.hang = make(chan struct{})
	if got := open(t).Remote().Error; !strings.Contains(got, "cut, for nothing came for 1s") {
		t.Errorf("it hangs: %q", got)
	}
	close(s.hang)
}

// A server that takes the connection and says nothing is cut too.
func TestMirrorSSHSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	dir := t.TempDir()
	_, private := newKey(t)
	host, _ := newKey(t)
	key, known := filepath.Join(dir, "key"), filepath.Join(dir, "known_hosts")
	put(t, key, string(private))
	put(t, known, knownhosts.Line([]string{"elsewhere.example"}, host.PublicKey())+"\n")
	how := git.Remote{URL: "ssh://git@" + l.Addr().String() + "/a.git", SSHKeyFile: key, KnownHostsFile: known, Stall: 100 * time.Millisecond}
	m, err := git.OpenMirror(t.Context(), how, filepath.Join(dir, "m"), slog.New(slog.DiscardHandler))
	if err != nil || !strings.Contains(m.Remote().Error, "cut, for nothing came for 100ms") {
		t.Errorf("%+v, %v", m.Remote(), err)
	}
	if _, err := os.Stat(filepath.Join(dir, "m", "HEAD")); err != nil {
		t.Error(err)
	}
}
