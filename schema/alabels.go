package schema

import (
	"fmt"
	"strings"
)

// toALabels writes a domain name in lower case and with A-labels for U-labels (RFC 5891 4). Labels of ASCII, which in
// names of RRsets may hold more than those of host names, are left to other checks.
func toALabels(s string) (string, error) {
	lower := strings.ToLower(s)
	if isPrintableASCII(s) && !strings.Contains(lower, "xn--") {
		return lower, nil
	}
	if !isPrintable(s) || strings.ContainsFunc(s, isSpace) {
		return "", fmt.Errorf("%q holds a space, line break or invisible character", shorten(s))
	}
	labels := strings.Split(s, ".")
	for i, l := range labels {
		if isPrintableASCII(l) && !strings.HasPrefix(strings.ToLower(l), "xn--") {
			labels[i] = strings.ToLower(l)
			continue
		}
		ascii, err := hostnames.ToASCII(l)
		if err != nil {
			return "", fmt.Errorf("%q has the label %q, which isn't valid: %s", shorten(s), shorten(l), strings.TrimPrefix(err.Error(), "idna: "))
		}
		if strings.Contains(ascii, ".") { // of another script, such as 。
			return "", fmt.Errorf("%q holds a full stop of another script; write the ASCII one", shorten(s))
		}
		labels[i] = ascii
	}
	return strings.Join(labels, "."), nil
}

// holdsName tells the types of records whose data ends in a domain name.
func holdsName(recordType string) bool {
	switch recordType {
	case "CNAME", "MX", "NS", "PTR", "SRV":
		return true
	}
	return false
}
