package schema

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// The e-mail kinds. This version makes their DNS records; the nodes that hold the mail come later.
const (
	KindEmailDomain    Kind = "EmailDomain"
	KindEmailAccount   Kind = "EmailAccount"
	KindEmailAlias     Kind = "EmailAlias"
	KindEmailForward   Kind = "EmailForward"
	KindEmailAutoreply Kind = "EmailAutoreply"
)

// EmailDomain is a domain that mail is received for. Where its zone is ours it gets MX, SPF, DKIM and DMARC records.
type EmailDomain struct {
	Meta
	Domain    string   // normalised fqdn, unique over the platform
	Servers   []string // host names that take its mail, the first preferred; the platform's where the resource names none
	SPF       SPF
	DKIM      []DKIMKey
	DMARC     DMARC
	CatchAll  string // name of the EmailAccount that gets what no other address takes; "" for none
	ManageDNS bool   // default true
	TTL       int    // seconds; 0 means the zone's
}

// SPF says who may send for a domain: its servers, and those that other domains name (RFC 7208).
type SPF struct {
	Include []string // fqdns, which may hold underscores
	All     string   // what becomes of others: fail, softfail or neutral
}

// DKIMKey is the public half of a key that a domain's mail is signed with (RFC 6376 3.6.1, RFC 8463).
type DKIMKey struct {
	Selector string
	Type     string // rsa or ed25519
	Public   string // base64, as in p=
}

// DMARC says what receivers do with mail that neither SPF nor DKIM vouches for (RFC 7489).
type DMARC struct {
	Policy  string   // none, quarantine or reject
	Reports []string // mail addresses
}

// EmailAccount is a mailbox.
type EmailAccount struct {
	Meta
	Address      string // normalised
	DisplayName  string
	Quota        int64  // bytes; 0 means no limit
	PasswordHash string // "" for none: nobody can log in
}

// EmailAlias is a further address of accounts.
type EmailAlias struct {
	Meta
	Address  string
	Accounts []string // names of EmailAccounts
}

// EmailForward sends what comes for an address on.
type EmailForward struct {
	Meta
	Address      string // of an EmailAccount, or one of its own
	Destinations []string
	KeepCopy     bool // the EmailAccount gets it too
}

// EmailAutoreply answers what comes for an account.
type EmailAutoreply struct {
	Meta
	Account string // name of an EmailAccount
	Subject string
	Body    string    // lines of text
	From    time.Time // first day, UTC; zero: from now on
	Until   time.Time // last day, UTC; zero: until it is taken out
}

// localPart is what stands before the @ of an address of ours: a dot-atom (RFC 5321 4.1.2) of few letters. + isn't one of
// them, for it separates a detail from the address (RFC 5233).
var localPart = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)

// ParseEmailAddress reads an address that is received for: lower case, A-labels.
func ParseEmailAddress(s string) (string, error) {
	local, domain, err := splitAddress(s)
	if err != nil {
		return "", err
	}
	local = strings.ToLower(local)
	if len(local) > 64 || !localPart.MatchString(local) {
		return "", fmt.Errorf("%q isn't an address that mail can be received for; before the @ stand a-z, 0-9, - and _, with single dots between, 64 at most", shorten(s))
	}
	return local + "@" + domain, nil
}

// ParseDestination reads an address that mail is sent on to, anywhere. Its domain is normalised.
func ParseDestination(s string) (string, error) {
	local, domain, err := splitAddress(s)
	if err != nil {
		return "", err
	}
	if len(local) > 64 || !mailLocalPattern.MatchString(local) {
		return "", fmt.Errorf("%q isn't a mail address; write one such as info@example.com: files and programs get no mail", shorten(s))
	}
	return local + "@" + domain, nil
}

func splitAddress(s string) (local, domain string, err error) {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || !isPrintableASCII(local) || strings.Contains(domain, "@") {
		return "", "", fmt.Errorf("%q isn't a mail address; write one such as info@example.com, without quotes", shorten(s))
	}
	if domain, err = ParseHostname(domain); err != nil {
		return "", "", fmt.Errorf("%q isn't a mail address: the domain %w", shorten(s), err)
	}
	return local, domain, nil
}

// domainOf is what stands behind the @ of a normalised address.
func domainOf(address string) string {
	_, domain, _ := strings.Cut(address, "@")
	return domain
}

// CheckDisplayName accepts a name as it stands before an address: text without what would end it (RFC 5322 3.4).
func CheckDisplayName(s string) error {
	if err := CheckText(s, 128); err != nil {
		return err
	}
	if i := strings.IndexAny(s, `<>@"\,;:`); i >= 0 {
		return fmt.Errorf("holds %q, which would end the name in a header; take it out", s[i:i+1])
	}
	return nil
}

// MaxAutoreply is the most bytes of an automatic reply.
const MaxAutoreply = 16 << 10

// CheckBody accepts lines of text.
func CheckBody(s string) error {
	switch {
	case len(s) > MaxAutoreply:
		return fmt.Errorf("has %d bytes; at most %d are allowed", len(s), MaxAutoreply)
	case strings.TrimSpace(s) == "":
		return errors.New("is empty; write a text")
	case !isOneLine(strings.NewReplacer("\n", "", "\t", "").Replace(s)):
		return errors.New("holds control or invisible characters other than ends of lines; take them out")
	}
	return nil
}

// ParseDate reads a day, such as 2026-12-24.
func ParseDate(s string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, fmt.Errorf("%q isn't a day; write year, month and day in quotes: \"2026-12-24\"", shorten(s))
	}
	return t, nil
}

// selector is the name of a DKIM key: labels of a domain name (RFC 6376 3.1).
var selector = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

// CheckSelector accepts the selector of a DKIM key.
func CheckSelector(s string) error {
	if len(s) > 100 || !selector.MatchString(s) {
		return fmt.Errorf("%q isn't a selector; use a-z, 0-9 and -, such as mail2026", shorten(s))
	}
	return nil
}

// RSA keys of DKIM: shorter ones receivers ignore, and longer ones not all of them check (RFC 8301 3.2).
const minDKIMBits, maxDKIMBits = 1024, 4096

// ParseDKIMKey reads a public key: base64 of DER, with or without the lines of PEM around it, or of the 32 bytes of an
// ed25519 key. The key isn't quoted in the error: it may be the wrong half.
func ParseDKIMKey(s string) (DKIMKey, error) {
	const want = "isn't the public key of a DKIM key; write what 'openssl pkey -pubout' prints, or the p= of a record"
	if strings.Contains(s, "PRIVATE") {
		return DKIMKey{}, errors.New("is a private key: make another one, for this one is known now, and write its public half")
	}
	s = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "-----BEGIN PUBLIC KEY-----"), "-----END PUBLIC KEY-----")
	s = strings.Join(strings.Fields(s), "")
	der, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return DKIMKey{}, errors.New(want)
	}
	if len(der) == 32 {
		return DKIMKey{Type: "ed25519", Public: s}, nil
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	key, isRSA := parsed.(*rsa.PublicKey)
	switch {
	case err != nil:
		return DKIMKey{}, errors.New(want)
	case !isRSA:
		return DKIMKey{}, errors.New("is neither an RSA nor a bare ed25519 key, and DKIM knows no others")
	case key.N.BitLen() < minDKIMBits || key.N.BitLen() > maxDKIMBits:
		return DKIMKey{}, fmt.Errorf("has %d bits; receivers take %d to %d (RFC 8301 3.2): make one of 2048", key.N.BitLen(), minDKIMBits, maxDKIMBits)
	}
	return DKIMKey{Type: "rsa", Public: s}, nil
}

// mailHashes are hashes of passwords as Dovecot has them: argon2id, bcrypt, SHA-512 crypt.
var mailHashes = regexp.MustCompile(`^(\{ARGON2ID\}\$argon2id\$v=19\$m=[0-9]{1,7},t=[0-9]{1,3},p=[0-9]{1,3}\$[A-Za-z0-9+/]{11,64}\$[A-Za-z0-9+/]{22,128}` +
	`|\{BLF-CRYPT\}\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}|\{SHA512-CRYPT\}\$6\$(rounds=[0-9]{4,9}\$)?[./A-Za-z0-9]{8,16}\$[./A-Za-z0-9]{86})$`)

// CheckMailPasswordHash accepts the hash of a password. The hash isn't quoted in the error.
func CheckMailPasswordHash(s string) error {
	if !mailHashes.MatchString(s) {
		return errors.New("isn't the hash of a password; write what 'doveadm pw -s ARGON2ID' prints ({ARGON2ID}, {BLF-CRYPT} or {SHA512-CRYPT})")
	}
	return nil
}

// ParseInclude reads a domain whose SPF policy is included; it may hold underscores.
func ParseInclude(s string) (string, error) {
	name, err := toALabels(strings.TrimSuffix(s, "."))
	if err != nil {
		return "", err
	}
	if !strings.Contains(name, ".") {
		return "", fmt.Errorf("%q isn't a domain", shorten(s))
	}
	return name, checkRecordLabels(name)
}
