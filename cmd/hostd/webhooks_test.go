package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hostctl/reconciler/forge"
	"hostctl/reconciler/web"
)

const (
	oldSecret = "the secret of last year"
	newSecret = "the secret of this year"
)

func secretFile(t *testing.T, text string, mode os.FileMode) webhooks {
	t.Helper()
	path := filepath.Join(t.TempDir(), "webhook")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return webhooks{Secret: path}
}

func TestWebhookSecretsThatAreRefused(t *testing.T) {
	for want, c := range map[string]webhooks{
		"there is no webhook secret: write 32 random characters to": {Secret: filepath.Join(t.TempDir(), "none")},
		"others may read the webhook secret: chmod 600":             secretFile(t, oldSecret, 0o640),
		":1: a webhook secret of 0 bytes; want at least 16":         secretFile(t, "\n", 0o600),
		":2: a webhook secret of 5 bytes; want at least 16":         secretFile(t, oldSecret+"\nshort\n", 0o600),
		"has 3 lines": secretFile(t, strings.Repeat(oldSecret+"\n", 3), 0o600),
	} {
		if _, err := c.handler(nil, nil); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), oldSecret) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Both secrets are taken while one becomes the other, and a secret that is taken out of the file opens nothing from then on.
func TestAWebhookSecretBecomesAnother(t *testing.T) {
	c := secretFile(t, newSecret+"\r\n"+oldSecret+"\n", 0o600)
	var told []forge.Hint
	read := func(secret string) (web.News, error) {
		return c.read(forge.GitHub, signedPush(secret), []byte(push), func(h forge.Hint) { told = append(told, h) })
	}
	for _, secret := range []string{newSecret, oldSecret} {
		news, err := read(secret)
		if err != nil {
			t.Fatalf("%s: %v", secret, err)
		}
		news.Tell()
	}
	if len(told) != 2 || told[0].Branch != "main" {
		t.Errorf("%+v", told)
	}
	if err := os.WriteFile(c.Secret, []byte(newSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := read(oldSecret); err != web.ErrUnsigned { //nolint:errorlint // as it is
		t.Errorf("a secret that isn't there any more: %v", err)
	}
	if _, err := read(newSecret); err != nil {
		t.Error(err)
	}
}

const push = `{"ref": "refs/heads/main", "repository": {"full_name": "hosting/platform"}}`

func signedPush(secret string) http.Header {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(push))
	return http.Header{"X-Github-Event": {"push"}, "X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))}}
}

func TestHostdTakesWebhooks(t *testing.T) {
	r := startUntil(t, folder(t), "msg=watching", "--webhook-secret", secretFile(t, newSecret, 0o600).Secret)
	for secret, want := range map[string]int{newSecret: http.StatusOK, oldSecret: http.StatusUnauthorized} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.health+"/hooks/github", bytes.NewReader([]byte(push)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = signedPush(secret)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s, want %d", secret, resp.Status, want)
		}
	}
	if _, err := r.end(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}
