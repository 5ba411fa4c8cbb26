package schema

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// ParseRData reads the RDATA of one record in presentation form (RFC 1035 5.1) and returns it in the canonical form that
// PowerDNS stores: names lower-case, absolute and with A-labels, addresses as RFC 5952 has them, texts quoted and split, hexadecimal
// in lower case. Types that are no one's to set (SOA, DNSSEC's own) or that run code (LUA) are refused.
func ParseRData(recordType, value string) (string, error) {
	parse, ok := rdataParsers[recordType]
	if !ok {
		return "", fmt.Errorf("records of type %q can't be declared; allowed: %s", shorten(recordType), strings.Join(RecordTypes(), ", "))
	}
	if recordType != "TXT" && !isPrintableASCII(value) && (!holdsName(recordType) || !isPrintable(value)) {
		return "", fmt.Errorf("%q holds a line break, control character or non-ASCII letter", shorten(value))
	}
	if recordType == "TXT" {
		return parseTXT(value)
	}
	return parse(strings.Fields(value), value)
}

// RecordTypes returns the types that can be declared, sorted.
func RecordTypes() []string {
	return []string{"A", "AAAA", "CAA", "CNAME", "DS", "MX", "NS", "PTR", "SRV", "SSHFP", "TLSA", "TXT"}
}

var rdataParsers = map[string]func(fields []string, value string) (string, error){
	"A": parseA, "AAAA": parseAAAA, "CAA": parseCAA, "CNAME": parseTarget, "DS": parseDS, "MX": parseMX, "NS": parseHostTarget,
	"PTR": parseTarget, "SRV": parseSRV, "SSHFP": parseSSHFP, "TLSA": parseTLSA, "TXT": nil,
}

func parseA(_ []string, value string) (string, error) {
	a, err := netip.ParseAddr(value)
	if err != nil || !a.Is4() {
		return "", fmt.Errorf("%q isn't an IPv4 address; write four decimal numbers without leading zeros, such as 192.0.2.1", shorten(value))
	}
	return a.String(), nil
}

func parseAAAA(_ []string, value string) (string, error) {
	a, err := netip.ParseAddr(value)
	if err != nil || !a.Is6() || a.Is4In6() || a.Zone() != "" {
		return "", fmt.Errorf("%q isn't an IPv6 address; write one such as 2001:db8::1", shorten(value))
	}
	return a.String(), nil
}

// parseTarget reads one domain name.
func parseTarget(fields []string, value string) (string, error) {
	if len(fields) != 1 {
		return "", fmt.Errorf("%q isn't one name", shorten(value))
	}
	return absoluteName(fields[0], false)
}

// parseHostTarget reads one name of a host: no underscore (PowerDNS refuses it in NS, MX and SRV).
func parseHostTarget(fields []string, value string) (string, error) {
	if len(fields) != 1 {
		return "", fmt.Errorf("%q isn't one host name", shorten(value))
	}
	return absoluteName(fields[0], true)
}

func parseMX(fields []string, value string) (string, error) {
	if len(fields) != 2 {
		return "", fmt.Errorf("%q isn't a preference and a host name; write such as \"10 mail.example.com.\"", shorten(value))
	}
	n, err := number(fields[0], "the preference", 65535)
	if err != nil {
		return "", err
	}
	if fields[1] == "." { // null MX, RFC 7505
		if n != 0 {
			return "", fmt.Errorf("%q: a null MX has the preference 0; write \"0 .\"", value)
		}
		return "0 .", nil
	}
	target, err := absoluteName(fields[1], true)
	return fmt.Sprintf("%d %s", n, target), err
}

// parseSRV reads "priority weight port target" (RFC 2782).
func parseSRV(fields []string, value string) (string, error) {
	if len(fields) != 4 {
		return "", fmt.Errorf("%q isn't priority, weight, port and host name; write such as \"10 5 5060 sip.example.com.\"", shorten(value))
	}
	var numbers [3]uint64
	for i, what := range []string{"the priority", "the weight", "the port"} {
		n, err := number(fields[i], what, 65535)
		if err != nil {
			return "", err
		}
		numbers[i] = n
	}
	target, err := ".", error(nil)
	if fields[3] != "." {
		target, err = absoluteName(fields[3], true)
	}
	return fmt.Sprintf("%d %d %d %s", numbers[0], numbers[1], numbers[2], target), err
}

var caaValue = regexp.MustCompile(`^[A-Za-z0-9 ;:/=@.,_%+?&-]*$`)

// parseCAA reads `flags tag "value"` (RFC 8659).
func parseCAA(fields []string, value string) (string, error) {
	if len(fields) < 3 {
		return "", fmt.Errorf("%q isn't flags, tag and value; write such as '0 issue \"letsencrypt.org\"'", shorten(value))
	}
	if fields[0] != "0" && fields[0] != "128" {
		return "", fmt.Errorf("the flags are %q; allowed: 0 and 128 (critical)", shorten(fields[0]))
	}
	tag := strings.ToLower(fields[1])
	if tag != "issue" && tag != "issuewild" && tag != "iodef" && tag != "issuemail" {
		return "", fmt.Errorf("the tag is %q; allowed: issue, issuewild, issuemail, iodef", shorten(fields[1]))
	}
	rest := strings.Join(fields[2:], " ")
	if len(rest) >= 2 && rest[0] == '"' && rest[len(rest)-1] == '"' {
		rest = rest[1 : len(rest)-1]
	}
	if len(rest) > 255 || !caaValue.MatchString(rest) {
		return "", fmt.Errorf("%q isn't a CAA value; write such as \"letsencrypt.org\"", shorten(rest))
	}
	return fmt.Sprintf("%s %s %q", fields[0], tag, rest), nil
}

// parseSSHFP reads "algorithm type fingerprint" (RFC 4255, 6594, 7479).
func parseSSHFP(fields []string, value string) (string, error) {
	if len(fields) < 3 {
		return "", fmt.Errorf("%q isn't algorithm, fingerprint type and fingerprint", shorten(value))
	}
	algorithm, err := oneOf(fields[0], "the algorithm", 1, 2, 3, 4, 6)
	if err != nil {
		return "", err
	}
	kind, err := oneOf(fields[1], "the fingerprint type", 1, 2)
	if err != nil {
		return "", err
	}
	print, err := hexBytes(fields[2:], map[uint64]int{1: 20, 2: 32}[kind])
	return fmt.Sprintf("%d %d %s", algorithm, kind, print), err
}

// parseTLSA reads "usage selector matching-type data" (RFC 6698).
func parseTLSA(fields []string, value string) (string, error) {
	if len(fields) < 4 {
		return "", fmt.Errorf("%q isn't usage, selector, matching type and data", shorten(value))
	}
	usage, err := oneOf(fields[0], "the usage", 0, 1, 2, 3)
	if err != nil {
		return "", err
	}
	selector, err := oneOf(fields[1], "the selector", 0, 1)
	if err != nil {
		return "", err
	}
	matching, err := oneOf(fields[2], "the matching type", 0, 1, 2)
	if err != nil {
		return "", err
	}
	data, err := hexBytes(fields[3:], map[uint64]int{1: 32, 2: 64}[matching])
	return fmt.Sprintf("%d %d %d %s", usage, selector, matching, data), err
}

// parseDS reads "key-tag algorithm digest-type digest" (RFC 4034 5.3); the digest types are those still in use.
func parseDS(fields []string, value string) (string, error) {
	if len(fields) < 4 {
		return "", fmt.Errorf("%q isn't key tag, algorithm, digest type and digest", shorten(value))
	}
	tag, err := number(fields[0], "the key tag", 65535)
	if err != nil {
		return "", err
	}
	algorithm, err := oneOf(fields[1], "the algorithm", 8, 10, 13, 14, 15, 16)
	if err != nil {
		return "", err
	}
	kind, err := oneOf(fields[2], "the digest type", 2, 4)
	if err != nil {
		return "", err
	}
	digest, err := hexBytes(fields[3:], map[uint64]int{2: 32, 4: 48}[kind])
	return fmt.Sprintf("%d %d %d %s", tag, algorithm, kind, digest), err
}

// number reads a decimal number without sign or leading zero.
func number(s, what string, limit uint64) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > limit || len(s) > 1 && s[0] == '0' {
		return 0, fmt.Errorf("%s is %q; write a number from 0 to %d", what, shorten(s), limit)
	}
	return n, nil
}

func oneOf(s, what string, allowed ...uint64) (uint64, error) {
	for _, a := range allowed {
		if s == strconv.FormatUint(a, 10) {
			return a, nil
		}
	}
	return 0, fmt.Errorf("%s is %q; allowed: %v", what, shorten(s), allowed)
}

// hexBytes joins hexadecimal fields; size is the number of bytes there must be, 0 for any.
func hexBytes(fields []string, size int) (string, error) {
	s := strings.ToLower(strings.Join(fields, ""))
	data, err := hex.DecodeString(s)
	switch {
	case err != nil || len(data) == 0 || len(data) > 2048:
		return "", fmt.Errorf("%q isn't hexadecimal data", shorten(s))
	case size > 0 && len(data) != size:
		return "", fmt.Errorf("has %d bytes of data; its type has %d", len(data), size)
	}
	return s, nil
}

// absoluteName reads a name in RDATA. It must end with a dot: zone files read a name without one as below the zone,
// other tools as absolute, so neither is guessed.
func absoluteName(s string, host bool) (string, error) {
	if isAddress(strings.TrimSuffix(s, ".")) {
		return "", fmt.Errorf("%q is an address; the target must be a name that has A or AAAA records", s)
	}
	if !strings.HasSuffix(s, ".") {
		return "", fmt.Errorf("%q doesn't end with a dot; write the whole name: %q", shorten(s), shorten(s+"."))
	}
	name, err := toALabels(strings.TrimSuffix(s, "."))
	if err != nil {
		return "", err
	}
	if err := checkRecordLabels(name); err != nil {
		return "", err
	}
	if host && strings.Contains(name, "_") {
		return "", fmt.Errorf("%q holds an underscore, which names of hosts can't", shorten(s))
	}
	return name + ".", nil
}

var recordLabel = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?$`)

// checkRecordLabels accepts names of RRsets and targets: as host names, with underscores.
func checkRecordLabels(name string) error {
	if name == "" || len(name) > 253 {
		return fmt.Errorf("%q isn't a domain name of 1 to 253 characters", shorten(name))
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return fmt.Errorf("%q has an empty label; take the extra dot out", shorten(name))
		case len(label) > 63:
			return fmt.Errorf("%q has a label of %d characters; a label has at most 63", shorten(name), len(label))
		case !recordLabel.MatchString(label):
			return fmt.Errorf("%q has the label %q; use letters, digits, - and _", shorten(name), label)
		}
	}
	return nil
}

// ParseRecordName reads the name of an RRset in a zone: "@" for the zone itself, a name relative to it ("www", "*.dev"),
// or an absolute one with a trailing dot. The result is normalised, with A-labels for U-labels, and has no trailing dot.
func ParseRecordName(name, domain string) (string, error) {
	lower, err := toALabels(name)
	switch {
	case err != nil:
		return "", err
	case name == "":
		return "", errors.New("is empty; write @ for the zone itself")
	case name == "@":
		return domain, nil
	case strings.HasSuffix(name, "."):
		lower = strings.TrimSuffix(lower, ".")
		if !isBelow(lower, domain) {
			return "", fmt.Errorf("%q isn't in the zone %s", shorten(name), domain)
		}
	case isBelow(lower, domain):
		return "", fmt.Errorf("%q would mean %s.%s; write the name relative to the zone, or with a trailing dot: %q", shorten(name), shorten(lower), domain, shorten(name+"."))
	default:
		lower += "." + domain
	}
	rest := strings.TrimPrefix(lower, "*.")
	if err := checkRecordLabels(rest); err != nil {
		if strings.Contains(rest, "*") {
			return "", fmt.Errorf("%q: * may only be the first label", shorten(name))
		}
		return "", err
	}
	if len(lower) > 253 {
		return "", fmt.Errorf("%q has %d characters with its zone; a name has at most 253", shorten(name), len(lower))
	}
	return lower, nil
}

func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
