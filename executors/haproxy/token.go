package haproxy

import (
	"net/netip"
	"strconv"
	"strings"

	"hostctl/executors"
	"hostctl/planner"
)

// A newline or ";" in a value would run a second command on HAProxy's socket, and a space would be a column of its map. So
// nothing is sent or written that isn't of one of the grammars in this file, whoever asked for it.

// maxHost is the longest host name, RFC 1035 2.3.4.
const maxHost = 253

// checkBackend accepts what a shard or a node may be called: a slug.
func checkBackend(what, s string) error {
	ok := len(s) >= 1 && len(s) <= 63 && lowerAlnum(s[0])
	for i := 0; ok && i < len(s); i++ {
		ok = lowerAlnum(s[i]) || s[i] == '-'
	}
	if !ok {
		return executors.Errorf(executors.Refused, "%s %s: want a name of a-z, 0-9 and -", what, quote(s))
	}
	return nil
}

// checkHost accepts a normalised host name: lower-case labels of letters, digits and hyphens, no trailing dot, no port.
// A wildcard isn't one, for a map of exact names never finds it.
func checkHost(s string) error {
	ok := s != "" && len(s) <= maxHost
	for label := range strings.SplitSeq(s, ".") {
		ok = ok && checkLabel(label)
	}
	if !ok {
		return executors.Errorf(executors.Refused, "host name %s: want lower-case labels of a-z, 0-9 and -, without port or trailing dot", quote(s))
	}
	if s == instanceKey || strings.HasSuffix(s, reservedSuffix) {
		return executors.Errorf(executors.Refused, "host name %s: %s is reserved", quote(s), reservedSuffix[1:])
	}
	return nil
}

func checkLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if !lowerAlnum(s[i]) && s[i] != '-' {
			return false
		}
	}
	return true
}

// checkAddress accepts an IP address with a port, in canonical form.
func checkAddress(s string) error {
	a, err := netip.ParseAddrPort(s)
	if err != nil || a.Port() == 0 || a.Addr().Zone() != "" || a.String() != s {
		return executors.Errorf(executors.Refused, "server address %s: want address:port", quote(s))
	}
	return nil
}

func checkState(s planner.ServerState) error {
	switch s {
	case planner.ServerReady, planner.ServerDrain, planner.ServerMaint:
		return nil
	}
	return executors.Errorf(executors.Refused, "server state %s: want ready, drain or maint", quote(string(s)))
}

// isWord reports whether s can be one word of a command or of a configuration line: it needs no quoting there and ends
// nothing (HAProxy configuration manual 2.2, management guide 9.3).
func isWord(s string) bool {
	for i := range len(s) {
		if c := s[i]; !lowerAlnum(c) && (c < 'A' || c > 'Z') && !strings.ContainsRune("-_./:@[]%+|?&=~,", rune(c)) {
			return false
		}
	}
	return s != ""
}

func lowerAlnum(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// quote shows a value that may hold anything, shortened.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
