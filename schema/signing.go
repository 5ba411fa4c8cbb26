package schema

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"gopkg.in/yaml.v3"
)

// Where the keys of those who sign commits stand in the repository.
const (
	SignersFile = "platform/allowed_signers"     // ssh-keygen(1), ALLOWED SIGNERS
	OpenPGPFile = "platform/allowed_signers.asc" // OpenPGP public keys, armoured
	RevokedFile = "platform/revoked_signers"     // SSH public keys, or fingerprints of either, a line each
)

// SigningRule names files and who may sign commits that change them.
type SigningRule struct{ Paths, Signers []string }

func (d *decoder) signing(n *yaml.Node) []SigningRule {
	var rules []SigningRule
	for _, r := range items(child(n, "rules")) {
		rules = append(rules, SigningRule{Paths: d.pathPatterns(child(r, "paths")), Signers: d.principals(child(r, "signers"))})
	}
	return rules
}

func (d *decoder) pathPatterns(n *yaml.Node) (patterns []string) {
	for _, p := range items(n) {
		patterns = append(patterns, d.value(p, checkPathPattern))
	}
	return patterns
}

func (d *decoder) principals(n *yaml.Node) (patterns []string) {
	for _, p := range items(n) {
		patterns = append(patterns, d.plain(p))
	}
	return patterns
}

func checkPathPattern(p string) error {
	if _, err := path.Match(p, ""); err != nil || p != "**" && strings.Contains(strings.TrimSuffix(p, "/**"), "**") {
		return errors.New("isn't a pattern; write tenants/acme/** for all below a folder, * for any part of one name")
	}
	return nil
}

// Names reports whether a rule is about a file.
func (r SigningRule) Names(file string) bool { return names(r.Paths, file) }

// names reports whether one of some patterns is about a file.
func names(patterns []string, file string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		folder, below := strings.CutSuffix(p, "/**")
		if p == "**" {
			return true
		}
		if !below {
			ok, _ := path.Match(p, file)
			return ok
		}
		for at := file; at != "."; at = path.Dir(at) {
			if ok, _ := path.Match(folder, path.Dir(at)); ok {
				return true
			}
		}
		return false
	})
}

// Allows reports whether one of a signer's names is among those of a rule.
func (r SigningRule) Allows(principals []string) bool { return allows(r.Signers, principals) }

// allows reports whether one of some patterns stands for one of somebody's names.
func allows(patterns, principals []string) bool {
	return slices.ContainsFunc(patterns, func(s string) bool {
		return slices.ContainsFunc(principals, func(p string) bool {
			ok, _ := path.Match(strings.ToLower(s), strings.ToLower(p))
			return ok
		})
	})
}

// Signer is a line of an allowed_signers file.
type Signer struct {
	Principals             []string
	Key                    ssh.PublicKey
	ValidAfter, ValidUntil time.Time // zero: without end
}

// ParseSigners reads an allowed_signers file (ssh-keygen(1), ALLOWED SIGNERS). Keys for another namespace than git are left
// out. Certificate authorities are refused.
func ParseSigners(data []byte) ([]Signer, error) {
	var all []Signer
	var errs []error
	line := 0
	for text := range bytes.Lines(data) {
		line++
		fields := bytes.Fields(text)
		if len(fields) == 0 || fields[0][0] == '#' {
			continue
		}
		s, git, err := parseSigner(string(bytes.TrimSpace(text)))
		switch {
		case err != nil:
			errs = append(errs, &Error{File: SignersFile, Line: line, Column: 1, Text: err.Error()})
		case git:
			all = append(all, s)
		}
	}
	return all, errors.Join(errs...)
}

const signerForm = "write: name@example.org ssh-ed25519 AAAA…, with valid-after=\"20260101\" and valid-before=\"20270101\" between them where it has an end"

func parseSigner(line string) (s Signer, git bool, err error) {
	principals, rest, ok := strings.Cut(line, " ")
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(rest))
	if !ok || err != nil {
		return s, false, errors.New("isn't a name and a key; " + signerForm)
	}
	s.Principals, s.Key, git = strings.Split(strings.Trim(principals, `"`), ","), key, true
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(name) {
		case "namespaces":
			git = slices.Contains(strings.Split(value, ","), "git")
		case "valid-after":
			s.ValidAfter, err = signerTime(value)
		case "valid-before":
			s.ValidUntil, err = signerTime(value)
		default:
			err = fmt.Errorf("the option %s isn't taken; %s", name, signerForm)
		}
		if err != nil {
			return s, false, err
		}
	}
	return s, git, nil
}

// signerTime reads YYYYMMDD or YYYYMMDDHHMM[SS], in UTC, with or without a Z.
func signerTime(s string) (time.Time, error) {
	for _, form := range []string{"20060102", "200601021504", "20060102150405"} {
		if t, err := time.Parse(form, strings.TrimSuffix(s, "Z")); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q isn't a time; %s", s, signerForm)
}

// ParseRevoked reads the keys that aren't trusted any more, as fingerprints: "SHA256:…" of SSH keys, 40 hex digits or more
// of OpenPGP ones.
func ParseRevoked(data []byte) (map[string]bool, error) {
	revoked := map[string]bool{}
	var errs []error
	line := 0
	for text := range strings.Lines(string(data)) {
		line++
		text = strings.TrimSpace(text)
		word, _, _ := strings.Cut(text, " ")
		switch key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text)); {
		case text == "" || text[0] == '#':
		case err == nil:
			revoked[ssh.FingerprintSHA256(key)] = true
		case isFingerprint(word):
			revoked[word] = true
		case len(word) >= 40 && strings.Trim(strings.ToLower(word), "0123456789abcdef") == "":
			revoked[strings.ToLower(word)] = true
		default:
			errs = append(errs, &Error{File: RevokedFile, Line: line, Column: 1, Text: "is neither a public key nor a fingerprint; write what 'ssh-keygen -lf' or 'gpg --fingerprint' prints, without spaces"})
		}
	}
	return revoked, errors.Join(errs...)
}

func isFingerprint(s string) bool {
	sum, ok := strings.CutPrefix(s, "SHA256:")
	raw, err := base64.RawStdEncoding.DecodeString(sum)
	return ok && err == nil && len(raw) == 32
}

// Trust is what a tree says of signatures and approvals.
type Trust struct {
	Signing   []SigningRule
	Approvals []ApprovalRule
	Keys      map[string][]byte // the files with keys that are there
}

// ErrNoPlatform says that a tree has no Platform that can be read.
var ErrNoPlatform = errors.New("there is no Platform that can be read; mend its mistakes first")

// TrustOf reads what a tree says of signatures and approvals, and nothing else of it. A Platform that isn't there or has
// mistakes is ErrNoPlatform: nobody gets by the rules by breaking them.
func TrustOf(t Tree) (Trust, error) {
	trust, found := Trust{Keys: map[string][]byte{}}, false
	err := walkPlatform(t, func(p string, blob BlobID, mode fs.FileMode) error {
		isKeys := slices.Contains([]string{SignersFile, OpenPGPFile, RevokedFile}, p)
		if !isKeys && !isYAML(p) || !mode.IsRegular() || blob == "" {
			return nil
		}
		data, err := t.Read(blob)
		if err != nil {
			return err
		}
		if isKeys {
			trust.Keys[p] = data
			return nil
		}
		for _, e := range parseBlob(data).entries {
			platform, ok := e.body.(*Platform)
			switch {
			case !ok:
			case e.broken:
				return fmt.Errorf("%s: %w", p, ErrNoPlatform)
			default:
				trust.Signing, trust.Approvals = append(trust.Signing, platform.Signing...), append(trust.Approvals, platform.Approvals...)
				found = true
			}
		}
		return nil
	})
	if err == nil && !found {
		err = ErrNoPlatform
	}
	if err != nil {
		return Trust{}, fmt.Errorf("read who may sign: %w", err)
	}
	return trust, nil
}

func walkPlatform(t Tree, fn func(string, BlobID, fs.FileMode) error) error {
	if f, ok := t.(Folders); ok {
		return f.WalkFolder("platform", fn)
	}
	return t.Walk(func(p string, blob BlobID, mode fs.FileMode) error {
		if !strings.HasPrefix(p, "platform/") {
			return nil
		}
		return fn(p, blob, mode)
	})
}
