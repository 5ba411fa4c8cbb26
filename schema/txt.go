package schema

import (
	"errors"
	"fmt"
	"strings"
)

// maxTXT is the most bytes the strings of one TXT record may have together.
const maxTXT = 4096

// parseTXT reads a TXT record: plain text, or strings in double quotes as zone files have them. The result is quoted,
// and split into strings of at most 255 bytes (RFC 1035 3.3.14).
func parseTXT(value string) (string, error) {
	if !isPrintableASCII(value) {
		return "", fmt.Errorf("%q holds a line break, control character or non-ASCII letter; TXT records are ASCII here, so encode it", shorten(value))
	}
	parts := []string{value}
	if strings.HasPrefix(value, `"`) {
		var err error
		if parts, err = quotedStrings(value); err != nil {
			return "", err
		}
	} else if strings.Contains(value, `"`) {
		return "", fmt.Errorf("%q holds a double quote in the middle; put the whole text in double quotes and write \\\" for a quote", shorten(value))
	}
	return joinTXT(parts)
}

// quotedStrings reads `"one" "two"`. The escapes are those of RFC 1035 5.1: \" \\ and \DDD.
func quotedStrings(s string) ([]string, error) {
	var parts []string
	for s != "" {
		if s[0] != '"' {
			return nil, fmt.Errorf("%q follows a quoted string; put it in double quotes, too", shorten(s))
		}
		part, rest, err := quotedString(s[1:])
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		s = strings.TrimLeft(rest, " ")
	}
	return parts, nil
}

// quotedString reads up to the closing quote.
func quotedString(s string) (part, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], nil
		case '\\':
			c, n := unescape(s[i+1:])
			if n == 0 {
				return "", "", fmt.Errorf("%q has a backslash that escapes nothing; write \\\\ for a backslash", shorten(s))
			}
			b.WriteByte(c)
			i += n
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", errors.New("has a double quote that isn't closed")
}

// unescape reads what follows a backslash: how many bytes it takes, and which byte it is.
func unescape(s string) (byte, int) {
	if s == "" {
		return 0, 0
	}
	if s[0] < '0' || s[0] > '9' {
		return s[0], 1
	}
	if len(s) < 3 {
		return 0, 0
	}
	n := 0
	for _, c := range []byte(s[:3]) {
		if c < '0' || c > '9' {
			return 0, 0
		}
		n = n*10 + int(c-'0')
	}
	if n < ' ' || n > 255 {
		return 0, 0
	}
	return byte(n), 3
}

// joinTXT quotes strings and splits the long ones.
func joinTXT(parts []string) (string, error) {
	var quoted []string
	total := 0
	for _, p := range parts {
		total += len(p)
		for len(p) > 255 {
			quoted = append(quoted, quoteTXT(p[:255]))
			p = p[255:]
		}
		quoted = append(quoted, quoteTXT(p))
	}
	if total > maxTXT {
		return "", fmt.Errorf("has %d bytes of text; at most %d are allowed", total, maxTXT)
	}
	if total == 0 {
		return "", errors.New("is empty; write a text, or take the value out")
	}
	return strings.Join(quoted, " "), nil
}

// quoteTXT writes one string as PowerDNS stores it.
func quoteTXT(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, "\\%03d", c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// isSPF tells a sender policy in canonical form (RFC 7208 4.5).
func isSPF(canonical string) bool {
	text := strings.ToLower(strings.ReplaceAll(canonical, `" "`, ""))
	return text == `"v=spf1"` || strings.HasPrefix(text, `"v=spf1 `)
}
