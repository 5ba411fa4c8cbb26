package forge_test

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hostctl/reconciler/forge"
)

var secret = []byte("It's a Secret to Everybody")

// recorded is an example of a webhook, in the shape that the forge documents, without its signature.
func recorded(t testing.TB, name string) (forge.Kind, http.Header, []byte) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "hooks", name+".http"))
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(bytes.NewReader(data))
	header, err := textproto.NewReader(r).ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	kind, _, _ := strings.Cut(name, "-")
	if kind == "forgejo" {
		kind = "gitea"
	}
	return forge.Kind(kind), http.Header(header), body
}

// sign signs a webhook as its forge does.
func sign(kind forge.Kind, header http.Header, body, secret []byte) {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	sum := hex.EncodeToString(mac.Sum(nil))
	switch {
	case kind == forge.GitHub:
		header.Set("X-Hub-Signature-256", "sha256="+sum)
	case kind == forge.GitLab:
		header.Set("X-Gitlab-Token", string(secret))
	case header.Get("X-Forgejo-Event") != "":
		header.Set("X-Forgejo-Signature", sum)
	default:
		header.Set("X-Gitea-Signature", sum)
	}
}

func TestRecordedHooks(t *testing.T) {
	push, pull := forge.Hint{Branch: "main", Repository: "hosting/platform"}, forge.Hint{Pull: 7, Repository: "hosting/platform"}
	nothing := forge.Hint{}
	want := map[string]forge.Hint{
		"github-push": push, "gitea-push": push, "forgejo-push": push, "gitlab-push": push,
		"github-pull-opened": pull, "github-pull-synchronize": pull, "github-pull-reopened": pull, "github-pull-closed": pull, "github-comment-deleted": pull,
		"gitea-pull-opened": pull, "gitea-pull-synchronized": pull, "gitea-pull-reopened": pull, "gitea-pull-closed": pull, "gitea-comment-deleted": pull,
		"gitlab-merge-open": pull, "gitlab-merge-push": pull, "gitlab-merge-target": pull, "gitlab-merge-reopen": pull, "gitlab-merge-close": pull, "gitlab-merge-merge": pull,
		"github-ping": nothing, "github-push-tag": nothing, "github-pull-labeled": nothing, "github-comment-created": nothing, "github-issue-comment-deleted": nothing,
		"gitea-create": nothing, "gitlab-push-tag": nothing, "gitlab-merge-title": nothing, "gitlab-note": nothing,
	}
	files, err := filepath.Glob("testdata/hooks/*.http")
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d examples, and %d expectations: %v", len(files), len(want), err)
	}
	for name, want := range want {
		kind, header, body := recorded(t, name)
		if _, err := forge.ParseHook(kind, header, body, secret); !errors.Is(err, forge.ErrSignature) {
			t.Errorf("%s, not signed: %v", name, err)
		}
		sign(kind, header, body, secret)
		got, err := forge.ParseHook(kind, header, body, secret)
		if want == nothing {
			if !errors.Is(err, forge.ErrNoNews) || got != nothing {
				t.Errorf("%s: %+v, %v; want no news", name, got, err)
			}
			continue
		}
		if err != nil || got.Delivery == "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if got.Delivery = ""; got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		for _, wrong := range [][]byte{[]byte("It's a Secret to Nobody"), nil, secret[:len(secret)-1]} {
			if got, err := forge.ParseHook(kind, header, body, wrong); !errors.Is(err, forge.ErrSignature) || got != nothing {
				t.Errorf("%s, with the secret %q: %+v, %v", name, wrong, got, err)
			}
		}
		if kind != forge.GitLab {
			if _, err := forge.ParseHook(kind, header, append(body, ' '), secret); !errors.Is(err, forge.ErrSignature) {
				t.Errorf("%s, with another body: %v", name, err)
			}
		}
	}
}

// The example of "Validating webhook deliveries" in GitHub's documentation.
func TestGitHubsOwnSignature(t *testing.T) {
	header := http.Header{"X-Github-Event": {"push"}, "X-Hub-Signature-256": {"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}}
	if _, err := forge.ParseHook(forge.GitHub, header, []byte("Hello, World!"), secret); err == nil || errors.Is(err, forge.ErrSignature) {
		t.Errorf("%v, want that the payload can't be read", err)
	}
}

// A delivery that is sent again is the same, whatever an attacker without the secret changes about it.
func TestADeliveryIsToldByWhatIsSigned(t *testing.T) {
	of := func(name string, change func(http.Header)) string {
		kind, header, body := recorded(t, name)
		change(header)
		sign(kind, header, body, secret)
		hint, err := forge.ParseHook(kind, header, body, secret)
		if err != nil {
			t.Fatal(err)
		}
		return hint.Delivery
	}
	same, other := func(http.Header) {}, func(h http.Header) {
		for name := range h {
			if strings.HasSuffix(name, "-Delivery") || name == "Idempotency-Key" {
				h.Set(name, "another")
			}
		}
	}
	for _, name := range []string{"github-push", "gitea-push", "forgejo-push"} {
		if of(name, same) != of(name, other) {
			t.Errorf("%s: a header that nobody signs makes another delivery of it", name)
		}
	}
	if of("gitlab-push", same) == of("gitlab-push", other) {
		t.Error("GitLab's token vouches for the key of the delivery")
	}
	if of("github-push", same) == of("github-pull-opened", same) {
		t.Error("two deliveries are one")
	}
}

func TestAHookAsAForm(t *testing.T) {
	kind, header, body := recorded(t, "github-push")
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	body = []byte(url.Values{"payload": {string(body)}}.Encode())
	sign(kind, header, body, secret)
	if hint, err := forge.ParseHook(kind, header, body, secret); err != nil || hint.Branch != "main" {
		t.Errorf("%+v, %v", hint, err)
	}
}

// FuzzParseHook: no input makes it panic, none gets a hint without the secret, and a hint is about something.
func FuzzParseHook(f *testing.F) {
	files, _ := filepath.Glob("testdata/hooks/*.http")
	for i, file := range files {
		kind, header, body := recorded(f, strings.TrimSuffix(filepath.Base(file), ".http"))
		f.Add(i%len(forge.Kinds), header.Get("Content-Type"), header.Get("X-GitHub-Event"), string(kind), body)
	}
	f.Add(0, "application/x-www-form-urlencoded", "push", "sha256=", []byte("payload=%7B%22ref%22%3A%22refs/heads/main%22%7D"))
	f.Fuzz(func(t *testing.T, which int, media, event, signature string, body []byte) {
		kind := forge.Kinds[uint(which)%uint(len(forge.Kinds))]
		header := http.Header{}
		header.Set("Content-Type", media)
		for _, name := range []string{"X-GitHub-Event", "X-Gitea-Event"} {
			header.Set(name, event)
		}
		for _, name := range []string{"X-Hub-Signature-256", "X-Gitea-Signature", "X-Gitlab-Token"} {
			header.Set(name, signature)
		}
		if hint, err := forge.ParseHook(kind, header, body, secret); hint != (forge.Hint{}) || !errors.Is(err, forge.ErrSignature) {
			t.Fatalf("without the secret: %+v, %v", hint, err)
		}
		sign(kind, header, body, secret)
		hint, err := forge.ParseHook(kind, header, body, secret)
		if errors.Is(err, forge.ErrSignature) || (err == nil) != (hint.Delivery != "" && (hint.Branch != "") != (hint.Pull > 0)) {
			t.Fatalf("%+v, %v", hint, err)
		}
	})
}
