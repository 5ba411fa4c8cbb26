package schema

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	// MaxSSHKeys is how many keys a tenant may have: sshd tries one after the other.
	MaxSSHKeys = 50

	maxSSHKey     = 4096 // characters; RSA of 16384 bits takes 2800
	maxSSHComment = 200  // bytes
	minRSABits    = 3072 // NIST SP 800-57 part 1, table 2: 128 bits of security
	maxRSABits    = 16384
)

// sshKeyTypes are the public keys that log somebody in. DSA is broken, and a certificate would let in whoever its authority
// likes.
var sshKeyTypes = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
}

// A key is base64 as RFC 4648 4 has it, in one line.
var sshKeyPattern = regexp.MustCompile(`^[A-Za-z0-9+/]+={0,2}$`)

// ParseSSHKey reads a public key as a file .pub holds it, "type key comment", which is a line of authorized_keys without
// options (sshd(8), AUTHORIZED_KEYS FILE FORMAT). It returns the line with one space between its parts. The key isn't quoted
// in the error.
func ParseSSHKey(s string) (string, error) {
	line, err := sshKeyLine(s)
	if err != nil {
		return "", err
	}
	kind, rest, _ := strings.Cut(line, " ")
	encoded, comment, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	if comment = strings.Trim(comment, " "); len(comment) > maxSSHComment {
		return "", fmt.Errorf("has a comment of %d bytes; at most %d are allowed", len(comment), maxSSHComment)
	}
	if !slices.Contains(sshKeyTypes, kind) {
		return "", unknownSSHKey(kind)
	}
	if !sshKeyPattern.MatchString(encoded) {
		return "", fmt.Errorf("has no key behind %s; write the whole line of the file that ends in .pub", kind)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(kind + " " + encoded))
	if err != nil || key.Type() != kind {
		return "", fmt.Errorf("isn't a whole %s key; write the whole line of the file that ends in .pub", kind)
	}
	if err := strongEnough(key); err != nil {
		return "", err
	}
	return strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key)), "\n") + strings.TrimRight(" "+comment, " "), nil
}

// sshKeyLine is the one line that a key is.
func sshKeyLine(s string) (string, error) {
	line := strings.Trim(s, " ")
	switch {
	case strings.Contains(s, "PRIVATE KEY"):
		return "", errors.New("is a private key, and whoever reads the repository has it now: make a new one, and write the line of its file that ends in .pub")
	case line == "":
		return "", errors.New("is empty; write the line of the file that ends in .pub")
	case len(s) > maxSSHKey:
		return "", fmt.Errorf("has %d characters; a public key has at most %d", len(s), maxSSHKey)
	case strings.ContainsAny(s, "\r\n"):
		return "", errors.New("has more than one line; write each key as an item of its own, in one line")
	case !isOneLine(s):
		return "", errors.New("holds a control or invisible character; write one line of text")
	}
	return line, nil
}

// unknownSSHKey says why a line begins with what is no type of key.
func unknownSSHKey(kind string) error {
	switch {
	case strings.HasSuffix(kind, "-cert-v01@openssh.com"):
		return errors.New("is a certificate; write the public key that it is for")
	case kind == "ssh-dss" || kind == "ssh-rsa1" || regexp.MustCompile(`^[0-9]+$`).MatchString(kind):
		return errors.New("is of a kind that is broken; make one with: ssh-keygen -t ed25519")
	case strings.ContainsAny(kind, `=",`) || regexp.MustCompile(`^[a-z][a-zA-Z-]*$`).MatchString(kind) && !strings.HasPrefix(kind, "ssh-"):
		return errors.New("begins with options; write the key without them, what it may do is the platform's to say")
	}
	return fmt.Errorf("%q isn't a type of key; types: %s", shorten(kind), strings.Join(sshKeyTypes, ", "))
}

// strongEnough refuses RSA that is too short, or that takes long to check.
func strongEnough(key ssh.PublicKey) error {
	k, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return nil
	}
	if r, ok := k.CryptoPublicKey().(*rsa.PublicKey); ok {
		if n := r.N.BitLen(); n < minRSABits || n > maxRSABits || r.N.Bit(0) == 0 {
			return fmt.Errorf("is an RSA key of %d bits; allowed: %d to %d; or make one with: ssh-keygen -t ed25519", n, minRSABits, maxRSABits)
		}
	}
	return nil
}

// SSHKeyName returns what a person knows a key by, type, fingerprint as ssh-keygen -l prints it, and comment; "" for what
// ParseSSHKey didn't write.
func SSHKeyName(line string) string {
	key, comment, _, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil || len(rest) > 0 {
		return ""
	}
	return strings.TrimRight(key.Type()+" "+ssh.FingerprintSHA256(key)+" "+comment, " ")
}

// sameSSHKey reports whether two lines hold one key, whatever their comments.
func sameSSHKey(a, b string) bool {
	return bareSSHKey(a) == bareSSHKey(b)
}

func bareSSHKey(line string) string {
	parts := strings.SplitN(line, " ", 3)
	return strings.Join(parts[:min(2, len(parts))], " ")
}
