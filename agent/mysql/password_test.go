package mysql

import (
	"encoding/hex"
	"strings"
	"testing"

	"hostctl/planner"
)

// Hashes that MySQL 9.7 and 8.4 have made, and examples of the paper on crypt's SHA-256.
func TestHash(t *testing.T) {
	const horse = "244124303041247f7e34611403176d71181f621650597b7c232b036e3233633239546c452e4e594f556333737970496554337a626e6442415451456f2e2f7a6f78676c4e6c42"
	if !isOf(horse, []byte("correct horse")) {
		t.Error("MySQL's own hash isn't that of its password")
	}
	for _, wrong := range []string{"", "correct hors", "correct horse ", "Correct horse"} {
		if isOf(horse, []byte(wrong)) {
			t.Errorf("it is that of %q", wrong)
		}
	}
	for _, c := range []struct {
		password, salt string
		rounds         int
		want           string
	}{
		{"Hello world!", "saltstring", 5000, "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"},
		{"пароль ☃ it's long, longer than 32 bytes for sure", "saltstring", 3000, "odsZCA/wJvHxHVePavkVEoFQnaJOK7NHA0rcWFdC7h8"},
		{"Hello world!", "saltstringsaltst", 10000, "3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"},
	} {
		if got := sha256Crypt([]byte(c.password), []byte(c.salt), c.rounds); got != c.want {
			t.Errorf("%s with %s: %s, want %s", c.password, c.salt, got, c.want)
		}
	}
	for _, damaged := range []string{"", "zz", horse[:len(horse)-2], "24422430" + horse[8:], strings.Replace(horse, hex.EncodeToString([]byte("$A$00A$")), hex.EncodeToString([]byte("$A$FFF$")), 1)} {
		if isOf(damaged, []byte("correct horse")) {
			t.Errorf("%q passes", damaged)
		}
	}
}

// FuzzHash: a password has a hash that is in the form that schema knows, is its own and not that of another.
func FuzzHash(f *testing.F) {
	for _, s := range []string{"secret", `it's "q\u" %s \\ \'`, "пароль ☃", "line\nbreak", strings.Repeat("x", maxPassword)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, password []byte) {
		if checkPassword(password) != nil {
			return
		}
		hash := hashPassword(password)
		u := aUser()
		if u.PasswordHash = hash; check(planner.Change{New: u}) != nil {
			t.Errorf("%s isn't a hash that is taken", hash)
		}
		if !isOf(hash, password) || isOf(hash, append(password, 'x')) {
			t.Errorf("the hash of %q isn't its own", password)
		}
		if hash == hashPassword(password) {
			t.Error("two hashes have the same salt")
		}
	})
}

// A password that nobody could log in with is refused, and not quoted.
func TestCheckPassword(t *testing.T) {
	for _, p := range []string{"", strings.Repeat("canary", 50), "canary\x00more"} {
		if err := checkPassword([]byte(p)); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", p, err)
		}
	}
}
