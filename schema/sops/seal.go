package sops

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// A ciphertext is AES-256-GCM with a nonce of 32 bytes; its additional data is the path of its key
// (getsops/sops, aes/cipher.go).
const (
	keySize   = 32
	nonceSize = 32
	tagSize   = 16
)

var sealedForm = regexp.MustCompile(`^ENC\[AES256_GCM,data:([A-Za-z0-9+/]*={0,2}),iv:([A-Za-z0-9+/]+={0,2}),tag:([A-Za-z0-9+/]+={0,2}),type:(str|int|float|bool|bytes|time|comment)\]$`)

var errSealed = errors.New("the value was changed or belongs to another file or key; put the file back from git")

// seal encrypts a value. An empty one stays empty.
func seal(plain []byte, kind string, key []byte, additional string) (string, error) {
	if len(plain) == 0 {
		return "", nil
	}
	gcm, err := aead(key, nonceSize)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails: crypto/rand
	out := gcm.Seal(nil, nonce, plain, []byte(additional))
	data, tag := out[:len(out)-tagSize], out[len(out)-tagSize:]
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("ENC[AES256_GCM,data:%s,iv:%s,tag:%s,type:%s]", b64(data), b64(nonce), b64(tag), kind), nil
}

// open decrypts a value and returns the kind it was written with.
func open(text string, key []byte, additional string) (plain []byte, kind string, err error) {
	if text == "" {
		return nil, "str", nil
	}
	m := sealedForm.FindStringSubmatch(text)
	if m == nil {
		return nil, "", errSealed
	}
	var parts [3][]byte
	for i := range parts {
		if parts[i], err = base64.StdEncoding.DecodeString(m[i+1]); err != nil {
			return nil, "", errSealed
		}
	}
	data, nonce, tag := parts[0], parts[1], parts[2]
	if len(nonce) == 0 || len(nonce) > 64 || len(tag) != tagSize {
		return nil, "", errSealed
	}
	gcm, err := aead(key, len(nonce))
	if err != nil {
		return nil, "", err
	}
	if plain, err = gcm.Open(nil, nonce, append(data, tag...), []byte(additional)); err != nil {
		return nil, "", errSealed
	}
	return plain, m[4], nil
}

func aead(key []byte, nonce int) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithNonceSize(block, nonce)
}

// additional is the data that ties a ciphertext to its place.
func additional(path []string) string { return strings.Join(path, ":") + ":" }
