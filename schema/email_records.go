package schema

import (
	"fmt"
	"slices"
	"strings"
)

// MailRecord is an RRset that a mail domain needs, in canonical form.
type MailRecord struct {
	FQDN, Type string
	Values     []string
	SPF        bool // its policy, which may share an RRset with other texts
}

// Records returns the RRsets that others need to find in DNS: where its mail goes, who may send it, and by which keys it is
// signed.
func (e *EmailDomain) Records() []MailRecord {
	mx := MailRecord{FQDN: e.Domain, Type: "MX"}
	for i, s := range e.Servers {
		mx.Values = append(mx.Values, fmt.Sprintf("%d %s.", (i+1)*10, s))
	}
	slices.Sort(mx.Values)
	out := []MailRecord{
		mx,
		{FQDN: e.Domain, Type: "TXT", Values: []string{e.SPFRecord()}, SPF: true},
		{FQDN: "_dmarc." + e.Domain, Type: "TXT", Values: []string{e.dmarcRecord()}},
	}
	for _, k := range e.DKIM {
		text := "v=DKIM1; k=" + k.Type + "; p=" + k.Public
		out = append(out, MailRecord{FQDN: k.Selector + "._domainkey." + e.Domain, Type: "TXT", Values: []string{canonicalTXT(text)}})
	}
	return out
}

// SPFRecord returns the sender policy of the domain (RFC 7208 3): its servers, and what it includes.
func (e *EmailDomain) SPFRecord() string {
	words := []string{"v=spf1", "mx"}
	for _, d := range e.SPF.Include {
		words = append(words, "include:"+d)
	}
	all := map[string]string{"fail": "-all", "softfail": "~all", "neutral": "?all"}[e.SPF.All]
	return canonicalTXT(strings.Join(append(words, all), " "))
}

// dmarcRecord returns what receivers do with mail that nothing vouches for (RFC 7489 6.3).
func (e *EmailDomain) dmarcRecord() string {
	text := "v=DMARC1; p=" + e.DMARC.Policy
	for i, a := range e.DMARC.Reports {
		text += [...]string{"; rua=mailto:", ",mailto:"}[min(i, 1)] + a
	}
	return canonicalTXT(text)
}

// canonicalTXT writes a text that is known to be short ASCII as a TXT record.
func canonicalTXT(text string) string {
	s, err := joinTXT([]string{text})
	if err != nil {
		panic("schema: a record of our own that can't be written: " + err.Error()) // its parts were checked
	}
	return s
}
