package forge

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// Hint says where to look: what a webhook tells is never believed, all is fetched again.
type Hint struct {
	Delivery   string // differs from that of other deliveries; of one that is sent again it is the same
	Repository string // owner/name
	Branch     string // that has moved; "": none has
	Pull       int    // number of the pull request that has changed; 0: none has
}

// What is wrong with a webhook. Any other error of ParseHook is a payload that can't be read.
var (
	ErrSignature = errors.New("the webhook isn't signed with the secret")
	ErrNoNews    = errors.New("the event says nothing that matters")
)

// ParseHook returns what a webhook hints at, once it is known that it comes from somebody with the secret:
//   - GitHub, "Validating webhook deliveries": X-Hub-Signature-256 is the HMAC-SHA256 of the body
//   - Gitea, "Webhooks": X-Gitea-Signature, and Forgejo's X-Forgejo-Signature, are the same without "sha256="
//   - GitLab, "Webhooks": X-Gitlab-Token is the secret itself
func ParseHook(kind Kind, header http.Header, body, secret []byte) (Hint, error) {
	if len(secret) == 0 || !signed(kind, header, body, secret) {
		return Hint{}, ErrSignature
	}
	payload, err := payloadOf(header, body)
	if err != nil {
		return Hint{}, err
	}
	var hint Hint
	switch kind {
	case GitHub:
		hint, err = parseHub(header.Get("X-GitHub-Event"), payload)
	case GitLab:
		hint, err = parseLab(payload)
	case Gitea:
		hint, err = parseHub(first(header, "X-Gitea-Event", "X-Forgejo-Event"), payload)
	}
	if err != nil {
		return Hint{}, err
	}
	hint.Delivery = delivery(kind, header, body)
	return hint, nil
}

func signed(kind Kind, header http.Header, body, secret []byte) bool {
	switch kind {
	case GitHub:
		sum, ok := strings.CutPrefix(header.Get("X-Hub-Signature-256"), "sha256=")
		return ok && validMAC(sum, body, secret)
	case GitLab:
		given, want := sha256.Sum256([]byte(header.Get("X-Gitlab-Token"))), sha256.Sum256(secret) // of one length
		return subtle.ConstantTimeCompare(given[:], want[:]) == 1
	case Gitea:
		return validMAC(first(header, "X-Gitea-Signature", "X-Forgejo-Signature"), body, secret)
	}
	return false
}

func validMAC(sum string, body, secret []byte) bool {
	given, err := hex.DecodeString(sum)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return hmac.Equal(given, mac.Sum(nil))
}

func first(header http.Header, names ...string) string {
	for _, n := range names {
		if v := header.Get(n); v != "" {
			return v
		}
	}
	return ""
}

// delivery tells one delivery from others by what the secret vouches for. A signature covers the body and no header, so
// that of GitHub and Gitea is the body's; GitLab's token vouches for the whole request.
func delivery(kind Kind, header http.Header, body []byte) string {
	if key := header.Get("Idempotency-Key"); kind == GitLab && key != "" && len(key) <= 128 {
		return key
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// payloadOf returns the JSON of a webhook, which GitHub and Gitea send as a form's field where they are told to.
func payloadOf(header http.Header, body []byte) ([]byte, error) {
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return body, nil //nolint:nilerr // then it is JSON, or that says what is wrong
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fmt.Errorf("read the webhook's form: %w", err)
	}
	return []byte(form.Get("payload")), nil
}

// branchOf returns the branch of a push; a tag is no news.
func branchOf(ref string) (string, error) {
	branch, ok := strings.CutPrefix(ref, "refs/heads/")
	if !ok || branch == "" {
		return "", ErrNoNews
	}
	return branch, nil
}

func decodePayload(payload []byte, into any) error {
	if err := json.Unmarshal(payload, into); err != nil {
		return fmt.Errorf("read the webhook's payload: %w", err)
	}
	return nil
}
