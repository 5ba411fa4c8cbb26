package git

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"
)

// Remote is a repository that lies elsewhere, and how it is reached.
type Remote struct {
	URL    string // https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH, without a password
	Branch string // "" is DefaultBranch

	TokenFile string // of HTTPS: a file that holds the token, read anew each time; "" where none is asked for
	Username  string // of HTTPS: what goes with the token; "" is DefaultUsername
	CAFile    string // of HTTPS: certificates (PEM) that are trusted in place of the system's

	SSHKeyFile     string // of SSH: the private key, without a passphrase
	KnownHostsFile string // of SSH: the host keys that are trusted (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT")

	Every time.Duration // between polls; 0 is DefaultPoll
	Stall time.Duration // an exchange in which nothing moves for so long is cut; 0 is 30 s
	Limit time.Duration // an exchange that takes longer is cut; 0 is 15 min
}

const (
	// DefaultPoll is the time between two looks at a remote repository.
	DefaultPoll = time.Minute
	// DefaultUsername goes with a token, where the forge looks at the token alone.
	DefaultUsername = "git"

	defaultStall = 30 * time.Second
	defaultLimit = 15 * time.Minute
)

// IsURL reports whether a repository's name is that of a remote one, and not a folder's. git tells them apart alike
// (git-clone(1), "GIT URLS").
func IsURL(name string) bool {
	if strings.Contains(name, "://") {
		return true
	}
	host, _, ok := strings.Cut(name, ":")
	return ok && host != "" && !strings.Contains(host, "/")
}

// address is a remote's URL, taken apart. It holds no secret.
type address struct {
	scheme string // "https", "http" or "ssh"
	user   string // of SSH
	host   string // without port
	port   string // "" for the scheme's own
	path   string // of the repository: of HTTP escaped and with a slash before it, of SSH as it is given to the server
}

// String returns the URL.
func (a address) String() string {
	host := a.host
	switch {
	case a.port != "":
		host = net.JoinHostPort(a.host, a.port)
	case strings.Contains(a.host, ":"):
		host = "[" + a.host + "]"
	}
	if a.scheme != "ssh" {
		return a.scheme + "://" + host + a.path
	}
	return "ssh://" + a.user + "@" + host + (&url.URL{Path: "/" + strings.TrimPrefix(a.path, "/")}).EscapedPath()
}

// hostPort returns where to dial.
func (a address) hostPort() string {
	port := a.port
	if port == "" {
		port = map[string]string{"https": "443", "http": "80", "ssh": "22"}[a.scheme]
	}
	return net.JoinHostPort(a.host, port)
}

// secretInURL is what a password in a URL is told. The URL itself is not told: it would be in the log then.
const secretInURL = "the URL holds a user or a password; take it out, put the token into a file and name that with --repo-token"

var (
	isHost = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	isUser = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
)

// parseURL takes a remote's URL apart. No error names what may be a secret.
func parseURL(raw string) (address, error) {
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return address{}, errors.New("the URL holds a blank, a backslash or a control character")
	}
	if !strings.Contains(raw, "://") {
		return parseSCP(raw)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return address{}, errors.New("that is no URL; write https://HOST/PATH or ssh://USER@HOST/PATH")
	}
	_, hasPassword := u.User.Password()
	a := address{scheme: u.Scheme, host: u.Hostname(), port: u.Port(), path: u.EscapedPath()}
	switch u.Scheme {
	case "https", "http":
		if u.User != nil {
			return address{}, errors.New(secretInURL)
		}
		if u.Scheme == "http" && !loopback(a.host) {
			return address{}, fmt.Errorf("http://%s isn't encrypted: who is in between could read the token and rewrite the platform; use https or ssh", a.host)
		}
	case "ssh":
		if hasPassword {
			return address{}, errors.New("the URL holds a password; take it out, and log in with a key: --repo-ssh-key FILE")
		}
		a.user, a.path = u.User.Username(), u.Path
	default:
		return address{}, fmt.Errorf("%s:// isn't followed; write https://HOST/PATH or ssh://USER@HOST/PATH, or a folder of this machine", u.Scheme)
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return address{}, errors.New("the URL has something behind a ? or #, which no repository has")
	}
	return a.checked()
}

// parseSCP takes apart what looks like the operand of scp: USER@HOST:PATH, USER@[ADDRESS]:PATH.
func parseSCP(raw string) (address, error) {
	if before, _, _ := strings.Cut(raw, "@"); strings.Contains(before, ":") && strings.Contains(raw, "@") {
		return address{}, errors.New("the URL holds a password; take it out, and log in with a key: --repo-ssh-key FILE")
	}
	user, rest, named := strings.Cut(raw, "@")
	if !named {
		user, rest = "", raw
	}
	a := address{scheme: "ssh", user: user}
	if in, ok := strings.CutPrefix(rest, "["); ok {
		host, path, _ := strings.Cut(in, "]:")
		a.host, a.path = host, path
	} else {
		a.host, a.path, _ = strings.Cut(rest, ":")
	}
	return a.checked()
}

// checked returns an address whose parts are what they are said to be.
func (a address) checked() (address, error) {
	if a.scheme == "ssh" && a.user == "" {
		a.user = DefaultUsername
	}
	switch {
	case !isHost.MatchString(a.host) && net.ParseIP(a.host) == nil:
		return address{}, errors.New("the URL names no host; write https://HOST/PATH or ssh://USER@HOST/PATH")
	case a.scheme == "ssh" && !isUser.MatchString(a.user):
		return address{}, errors.New("the URL's user is no name of a user; write ssh://USER@HOST/PATH")
	case strings.HasPrefix(a.path, ":"):
		return address{}, fmt.Errorf("%s:: isn't followed; write https://HOST/PATH or ssh://USER@HOST/PATH, or a folder of this machine", a.host)
	case strings.Trim(a.path, "/") == "" || strings.HasPrefix(a.path, "-") || strings.ContainsAny(a.path, "\x00\r\n"):
		return address{}, errors.New("the URL names no repository; write https://HOST/PATH or ssh://USER@HOST/PATH")
	}
	if a.scheme != "ssh" {
		a.path = strings.TrimRight(a.path, "/")
	}
	return a, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// check returns the remote's address, or all that is wrong with how it is to be reached. It reads no file.
func (r Remote) check() (address, error) {
	a, err := parseURL(r.URL)
	if err != nil {
		return a, fmt.Errorf("--repo: %w", err)
	}
	var errs []error
	if a.scheme == "ssh" {
		if r.SSHKeyFile == "" {
			errs = append(errs, errors.New("--repo-ssh-key: no key to log in with; name its file (make one with 'ssh-keygen -t ed25519 -N \"\" -f FILE', and have the forge accept FILE.pub to read)"))
		}
		if r.KnownHostsFile == "" {
			errs = append(errs, fmt.Errorf("--repo-known-hosts: no host keys to trust; name a file with those of %s ('ssh-keyscan %s' prints them: compare them with what the forge publishes)", a.host, a.host))
		}
		if r.TokenFile != "" || r.CAFile != "" {
			errs = append(errs, errors.New("--repo-token and --repo-ca are for https, and this URL is of ssh; leave them out"))
		}
	} else if r.SSHKeyFile != "" || r.KnownHostsFile != "" {
		errs = append(errs, fmt.Errorf("--repo-ssh-key and --repo-known-hosts are for ssh, and this URL is of %s; leave them out", a.scheme))
	}
	return a, errors.Join(errs...)
}

// Check returns all that is wrong with how the repository is to be reached, as far as the flags tell.
func (r Remote) Check() error {
	_, err := r.check()
	return err
}

// maxSecret is the size in bytes of the largest file that holds a token or a key.
const maxSecret = 64 << 10

// readSecret reads a file whose content is told to nobody.
func readSecret(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) && !strings.Contains(file, "/") {
		return nil, errors.New("there is no such file; name a file that holds it, and not the secret itself") // it may be that
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecret {
		return nil, fmt.Errorf("%s is no file of up to %d bytes", file, maxSecret)
	}
	return os.ReadFile(file)
}

// token returns what the token file holds now; "" where none is named.
func (r Remote) token() (string, error) {
	if r.TokenFile == "" {
		return "", nil
	}
	b, err := readSecret(r.TokenFile)
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", fmt.Errorf("read the token: %s holds something else than one token on one line", r.TokenFile)
	}
	return token, nil
}
