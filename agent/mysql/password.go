package mysql

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"hostctl/agent/secrets"
	"hostctl/executors"
	"hostctl/planner"
)

// What caching_sha2_password keeps of a password (reference manual 8.4.1.1): "$A$", the rounds in thousands as three hex
// digits, "$", a salt of 20 bytes, and the digest of crypt's SHA-256 in 43 characters.
const (
	saltLength   = 20
	digestLength = 43
	rounds       = 10_000 // the default of MySQL 9.7; the hash tells it, so 8.4 takes it too
	maxPassword  = 256    // bytes; with a longer one nobody can log in
)

// checkPassword refuses passwords with which nobody could log in. No error holds one.
func checkPassword(password []byte) error {
	switch {
	case len(password) == 0:
		return errors.New("the password is empty")
	case len(password) > maxPassword:
		return fmt.Errorf("the password has %d bytes; MySQL takes at most %d", len(password), maxPassword)
	case bytes.IndexByte(password, 0) >= 0:
		return errors.New("the password holds a NUL byte, at which MySQL's clients end it")
	}
	return nil
}

// hashPassword returns the hash of a password with a salt of its own, in hex.
func hashPassword(password []byte) string {
	salt := make([]byte, saltLength)
	_, _ = rand.Read(salt) // it never fails
	for i, b := range salt {
		salt[i] = cryptAlphabet[b&0x3f] // neither NUL nor $, which MySQL's own salts don't hold
	}
	return hashWith(password, salt, rounds)
}

func hashWith(password, salt []byte, rounds int) string {
	return hex.EncodeToString(fmt.Appendf(nil, "$A$%03X$%s%s", rounds/1000, salt, sha256Crypt(password, salt, rounds)))
}

// isOf reports whether a hash, in hex, is that of a password.
func isOf(hash string, password []byte) bool {
	b, err := hex.DecodeString(hash)
	if err != nil || len(b) != len("$A$005$")+saltLength+digestLength || !bytes.HasPrefix(b, []byte("$A$")) || b[6] != '$' {
		return false
	}
	thousands, err := strconv.ParseUint(string(b[3:6]), 16, 12)
	if err != nil || thousands == 0 || thousands > 100 {
		return false // more than a second of computing: nobody here has made it
	}
	return subtle.ConstantTimeCompare([]byte(hash), []byte(hashWith(password, b[7:7+saltLength], int(thousands)*1000))) == 1
}

const cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// sha256Crypt is the digest of crypt's method $5$ ("Unix crypt using SHA-256 and SHA-512", Ulrich Drepper, 2008; the
// numbers are its steps), but for salts that may be longer than its 16 bytes, as MySQL's are.
func sha256Crypt(password, salt []byte, rounds int) string {
	b := sum(password, salt, password)        // 4 to 8
	a := []([]byte){password, salt}           // 1 to 3
	a = append(a, repeated(b, len(password))) // 9, 10
	for n := len(password); n > 0; n >>= 1 {  // 11
		if n&1 == 1 {
			a = append(a, b)
		} else {
			a = append(a, password)
		}
	}
	digest := sum(a...)                                                      // 12
	p := repeated(sum(bytes.Repeat(password, len(password))), len(password)) // 13 to 16
	s := repeated(sum(bytes.Repeat(salt, 16+int(digest[0]))), len(salt))     // 17 to 20
	for i := range rounds {                                                  // 21
		parts := make([][]byte, 0, 4)
		if i%2 == 1 {
			parts = append(parts, p)
		} else {
			parts = append(parts, digest)
		}
		if i%3 != 0 {
			parts = append(parts, s)
		}
		if i%7 != 0 {
			parts = append(parts, p)
		}
		if i%2 == 1 {
			parts = append(parts, digest)
		} else {
			parts = append(parts, p)
		}
		digest = sum(parts...)
	}
	return inCryptOrder(digest)
}

func sum(parts ...[]byte) []byte {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// repeated is b over and over, n bytes long.
func repeated(b []byte, n int) []byte { return bytes.Repeat(b, n/len(b)+1)[:n] }

// inCryptOrder writes a digest three bytes at a time, from far places, in four characters that begin with the lowest six
// bits (step 22).
func inCryptOrder(digest []byte) string {
	var out strings.Builder
	write := func(c2, c1, c0 byte, n int) {
		for v := uint(c2)<<16 | uint(c1)<<8 | uint(c0); n > 0; n, v = n-1, v>>6 {
			out.WriteByte(cryptAlphabet[v&0x3f])
		}
	}
	for i, at := 0, [3]int{0, 10, 20}; i < 10; i++ {
		write(digest[at[0]], digest[at[1]], digest[at[2]], 4)
		at = [3]int{(at[1] + 11) % 30, (at[2] + 11) % 30, (at[0] + 11) % 30}
	}
	write(0, digest[31], digest[30], 3)
	return out.String()
}

// proof is a hash that was found to be that of a secret's version, or not to be.
type proof struct {
	hash string
	held planner.Held
}

// isOf reports whether an account's hash is that of a user's password. It computes for some milliseconds, once for each
// pair. What the node doesn't hold in that version can't be told; an error is returned.
func (m *Manager) isOf(hash string, held planner.Held) (bool, error) {
	m.mu.Lock()
	is, known := m.proofs[proof{hash, held}]
	m.mu.Unlock()
	if known {
		return is, nil
	}
	password, err := m.password(held)
	if err != nil {
		return false, err
	}
	is = isOf(hash, password)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.proofs) >= 100_000 {
		clear(m.proofs)
	}
	m.proofs[proof{hash, held}] = is
	return is, nil
}

func (m *Manager) password(held planner.Held) ([]byte, error) {
	if m.o.Secrets == nil {
		return nil, errors.New("this node keeps no secrets")
	}
	return m.o.Secrets.Value(held)
}

// hashFor returns the hash that a user's accounts are to have. Of a password that is a secret it is the one that an account
// has already, so that nothing changes where the password doesn't.
func (m *Manager) hashFor(accounts map[string]access, o planner.DatabaseUser) (string, error) {
	if o.Password == (planner.Held{}) {
		return o.PasswordHash, nil
	}
	password, err := m.password(o.Password)
	if err == nil {
		err = checkPassword(password)
	}
	if err != nil {
		return "", executors.Errorf(executors.Refused, "%w", err)
	}
	for _, host := range sortedKeys(accounts) {
		if is, err := m.isOf(accounts[host].hash, o.Password); err == nil && is {
			return accounts[host].hash, nil
		}
	}
	return hashPassword(password), nil
}

// proved returns the accounts of a user whose password is a secret, without the hashes that are that password's. Where the
// node doesn't hold the secret in that version, another is on its way, and with it a change of the user: until then no
// hash is the wrong one.
func (m *Manager) proved(accounts map[string]access, held planner.Held) (map[string]access, error) {
	out := make(map[string]access, len(accounts))
	for host, a := range accounts {
		is, err := m.isOf(a.hash, held)
		if err != nil && !errors.Is(err, secrets.ErrAbsent) {
			return nil, err
		}
		if is || err != nil {
			a.hash = ""
		}
		out[host] = a
	}
	return out, nil
}
