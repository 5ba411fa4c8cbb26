package schema

import (
	"bytes"
	"regexp"
	"unicode/utf8"
)

// marks are texts that stand in secrets and hardly anywhere else. Looking for them costs next to nothing.
var marks = []struct {
	mark []byte
	form *regexp.Regexp // what it must look like around the mark; nil: the mark says it
	what string
}{
	{[]byte("PRIVATE KEY-----"), nil, "a private key"},
	{[]byte("AGE-SECRET-KEY-1"), nil, "an age identity, which opens every secret of this repository"},
	{[]byte("AKIA"), regexp.MustCompile(`\bAKIA[0-9A-Z]{16}\b`), "an access key"},
	{[]byte("ghp_"), regexp.MustCompile(`\bghp_[A-Za-z0-9]{36}\b`), "an access token"},
	{[]byte("glpat-"), regexp.MustCompile(`\bglpat-[A-Za-z0-9_-]{20}`), "an access token"},
	{[]byte("sk_live_"), regexp.MustCompile(`\bsk_live_[A-Za-z0-9]{16,}`), "an access key"},
	{[]byte("xox"), regexp.MustCompile(`\bxox[abprs]-[A-Za-z0-9-]{10,}`), "an access token"},
}

// plainSecrets reports secrets that stand in clear in a file, by what they look like. The text of one isn't told.
func plainSecrets(data []byte) []*Error {
	var errs []*Error
	for _, m := range marks {
		at := bytes.Index(data, m.mark)
		if at >= 0 && m.form != nil {
			at = -1
			if loc := m.form.FindIndex(data); loc != nil {
				at = loc[0]
			}
		}
		if at < 0 {
			continue
		}
		start := bytes.LastIndexByte(data[:at], '\n') + 1
		errs = append(errs, &Error{
			Line: bytes.Count(data[:at], []byte("\n")) + 1, Column: utf8.RuneCount(data[start:at]) + 1,
			Text: "holds " + m.what + " in clear; whoever reads the repository has it now: make a new one, and keep it in a file that 'hostctl secret set' writes",
		})
	}
	return errs
}
