package schema

import (
	"bytes"
	"regexp"
	"unicode/utf8"
)

// marks are texts that stand in secrets and hardly anywhere else. Looking for them costs next to nothing.
var marks = []struct {
	mark  []byte
	form  *regexp.Regexp // what it must look like around the mark; nil: the mark says it
	prose *regexp.Regexp // form, in a file that may be a text about secrets; nil: as form
	what  string
}{
	{[]byte("PRIVATE KEY-----"), nil, regexp.MustCompile(`PRIVATE KEY-----(\s|\\[rn])*[A-Za-z0-9+/=]{40}`), "a private key"},
	{[]byte("AGE-SECRET-KEY-1"), nil, regexp.MustCompile(`AGE-SECRET-KEY-1[0-9A-Z]{58}`), "an age identity, which opens every secret of this repository"},
	{[]byte("AKIA"), regexp.MustCompile(`\bAKIA[0-9A-Z]{16}\b`), nil, "an access key"},
	{[]byte("ghp_"), regexp.MustCompile(`\bghp_[A-Za-z0-9]{36}\b`), nil, "an access token"},
	{[]byte("glpat-"), regexp.MustCompile(`\bglpat-[A-Za-z0-9_-]{20}`), nil, "an access token"},
	{[]byte("sk_live_"), regexp.MustCompile(`\bsk_live_[A-Za-z0-9]{16,}`), nil, "an access key"},
	{[]byte("xox"), regexp.MustCompile(`\bxox[abprs]-[A-Za-z0-9-]{10,}`), nil, "an access token"},
}

// plainSecrets reports secrets that stand in clear in a file, by what they look like. The text of one isn't told.
func plainSecrets(data []byte) []*Error { return lookFor(data, false) }

func lookFor(data []byte, prose bool) []*Error {
	var errs []*Error
	for _, m := range marks {
		form := m.form
		if prose && m.prose != nil {
			form = m.prose
		}
		at := bytes.Index(data, m.mark)
		if at >= 0 && form != nil {
			at = -1
			if loc := form.FindIndex(data); loc != nil {
				at = loc[0]
			}
		}
		if at < 0 {
			continue
		}
		start := bytes.LastIndexByte(data[:at], '\n') + 1
		errs = append(errs, &Error{
			Leak: true,
			Line: bytes.Count(data[:at], []byte("\n")) + 1, Column: utf8.RuneCount(data[start:at]) + 1,
			Text: "holds " + m.what + " in clear; whoever reads the repository has it now: make a new one, and keep it in a file that 'hostctl secret set' writes",
		})
	}
	return errs
}

// Leaks reports the secrets that stand in clear in a file of the repository, whatever else is wrong with it: what looks
// like a key or token in any file, and in YAML also the value of a field or variable that takes a secret, and what isn't
// encrypted in a file that must be. No error holds a secret.
func Leaks(path string, data []byte) Errors {
	var found []*Error
	switch {
	case !isYAML(path):
		found = lookFor(data, true)
	default:
		p := parseBlob(data)
		for _, e := range p.errors {
			if e.Leak {
				found = append(found, e)
			}
		}
		if p.secret == nil && isSecretFile(path) {
			found = append(found, &Error{Line: 1, Column: 1, Leak: true, Text: notEncrypted})
		}
	}
	for i, e := range found {
		at := *e
		at.File = path
		found[i] = &at
	}
	return Errors(found).sorted()
}

// notEncrypted is said of a file whose name says that it is.
const notEncrypted = "isn't encrypted: a file of this name is in the SOPS format; 'hostctl secret set' writes such a file, and what stands here in clear must be changed where it is used"
