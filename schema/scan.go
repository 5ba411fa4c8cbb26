package schema

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tooLarge is said of files above MaxFileSize.
var tooLarge = fmt.Sprintf("the file has more than %d bytes; split it into several files", MaxFileSize)

// lfsPrefix begins every git LFS pointer (git-lfs specification, "The Pointer").
const lfsPrefix = "version https://git-lfs.github.com/spec/"

// scanBytes checks what must hold before a YAML parser may see a file: size, encoding, and no character that makes the
// file read differently from what it looks like. It reports the first problem of each sort.
func scanBytes(data []byte) *Error {
	switch {
	case len(data) > MaxFileSize:
		return &Error{Line: 1, Column: 1, Text: tooLarge}
	case bytes.HasPrefix(data, []byte(lfsPrefix)):
		return &Error{Line: 1, Column: 1, Text: "is a git LFS pointer, not the file itself; take the file out of LFS (git lfs untrack) and commit it"}
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return &Error{Line: 1, Column: 1, Text: "begins with a byte order mark; save it as UTF-8 without BOM"}
	}
	if i := firstOddByte(data); i >= 0 {
		return oddCharacter(data, i)
	}
	return nil
}

// firstOddByte returns the index of the first character a configuration file may not hold, or -1.
func firstOddByte(data []byte) int {
	for i := 0; i < len(data); {
		c := data[i]
		if c >= ' ' && c < 0x7f || c == '\n' {
			i++
			continue
		}
		if c == '\r' && i+1 < len(data) && data[i+1] == '\n' {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			return i
		}
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 || isDeceptive(r) {
			return i
		}
		i += n
	}
	return -1
}

// isDeceptive tells control characters, line breaks that only YAML sees, and invisible characters that reorder or hide
// text (Unicode technical report 36, "Trojan source").
func isDeceptive(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == '\ufeff' || unicode.Is(unicode.Bidi_Control, r)
}

// oddCharacter describes the character at index i of data.
func oddCharacter(data []byte, i int) *Error {
	before := data[:i]
	start := bytes.LastIndexByte(before, '\n') + 1
	e := &Error{Line: bytes.Count(before, []byte("\n")) + 1, Column: utf8.RuneCount(before[start:]) + 1}
	r, n := utf8.DecodeRune(data[i:])
	switch {
	case r == utf8.RuneError && n == 1:
		e.Text = "isn't UTF-8; save the file as UTF-8"
	case r == '\t':
		e.Text = "holds a tab; use spaces, or \\t in double quotes"
	case r == 0:
		e.Text = "holds a NUL byte; is this a text file?"
	case r == '\r':
		e.Text = "holds a carriage return without line feed; end lines with a line feed"
	default:
		e.Text = fmt.Sprintf("holds the invisible character %U; take it out", r)
	}
	return e
}

// isPrintable reports whether s can be shown on one line as it is.
func isPrintable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
