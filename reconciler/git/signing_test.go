package git

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"hostctl/schema"
)

// A commit that is signed with OpenPGP is its signer's, and nobody else's.
func TestOpenPGP(t *testing.T) {
	long := &packet.Config{Time: func() time.Time { return time.Now().Add(-time.Hour) }}
	ended := &packet.Config{Time: long.Time, KeyLifetimeSecs: 60}
	anna, stranger, former := entity(t, "anna", long), entity(t, "stranger", long), entity(t, "former", ended)
	gone := entity(t, "gone", long)
	before := clone(t, gone)
	if err := gone.RevokeKey(packet.KeyCompromised, "", long); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		signer *openpgp.Entity
		want   string
	}{
		{"one who may", anna, ""},
		{"a stranger", stranger, "its OpenPGP signature isn't one of a valid key"},
		{"a key that has ended", former, "its OpenPGP signature isn't one of a valid key"},
		{"a key that is revoked", before, "isn't one of a valid key"},
		{"a key that the repository revokes", anna, "it is signed with the revoked key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			repo := t.TempDir()
			run := gitIn(t, repo)
			run("", "init", "--quiet", "-b", "main")
			ring := keyRing(t, anna, former, gone)
			for name, text := range map[string]string{
				"platform/platform.yaml": "apiVersion: hosting/v1\nkind: Platform\nmetadata: {name: hosting}\nspec:\n  domain: hosting.test\n  nameservers: [ns1.hosting.test, ns2.hosting.test]\n  hostmaster: a@hosting.test\n" +
					"  signing: {rules: [{paths: [\"platform/**\"], signers: [anna@hosting.test]}]}\n",
				schema.OpenPGPFile: ring,
			} {
				write(t, filepath.Join(repo, name), text)
			}
			if strings.Contains(c.name, "the repository revokes") {
				write(t, filepath.Join(repo, schema.RevokedFile), fmt.Sprintf("# left\n%X\n", anna.PrimaryKey.Fingerprint))
			}
			run("", "add", "--all")
			run("", "commit", "--quiet", "-m", "rules")
			base := run("", "rev-parse", "HEAD")
			write(t, filepath.Join(repo, "platform/note.txt"), "x")
			run("", "add", "--all")
			tree := run("", "write-tree")

			commit := fmt.Sprintf("tree %s\nparent %s\nauthor A <a@b> %[3]d +0000\ncommitter A <a@b> %[3]d +0000\n", tree, base, time.Now().Unix())
			body := "\nsigned by " + c.name + "\n"
			var sig bytes.Buffer
			signAt := &packet.Config{Time: func() time.Time { return time.Now().Add(-time.Hour + 10*time.Second) }}
			if err := openpgp.ArmoredDetachSign(&sig, c.signer, strings.NewReader(commit+body), signAt); err != nil {
				t.Fatal(err)
			}
			header := "gpgsig " + strings.ReplaceAll(strings.TrimSuffix(sig.String(), "\n"), "\n", "\n ") + "\n"
			id := run(commit+header+body, "hash-object", "-t", "commit", "-w", "--stdin")

			s, err := Open(repo, "main")
			if err != nil {
				t.Fatal(err)
			}
			rules, err := s.Signing(t.Context(), base)
			if err != nil {
				t.Fatal(err)
			}
			unsigned, err := s.Unsigned(t.Context(), rules, base, id)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if len(unsigned) > 0 {
				got = unsigned[0].Why
			}
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func entity(t *testing.T, name string, c *packet.Config) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity(name, "", name+"@hosting.test", c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// clone returns a key as it is now.
func clone(t *testing.T, e *openpgp.Entity) *openpgp.Entity {
	t.Helper()
	var b bytes.Buffer
	if err := e.SerializePrivate(&b, nil); err != nil {
		t.Fatal(err)
	}
	same, err := openpgp.ReadEntity(packet.NewReader(&b))
	if err != nil {
		t.Fatal(err)
	}
	return same
}

func keyRing(t *testing.T, entities ...*openpgp.Entity) string {
	t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entities {
		if err := e.Serialize(w); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gitIn(t *testing.T, dir string) func(stdin string, args ...string) string {
	return func(stdin string, args ...string) string {
		t.Helper()
		c := exec.Command("git", append([]string{"-c", "user.name=A", "-c", "user.email=a@b"}, args...)...)
		c.Dir, c.Stdin = dir, strings.NewReader(stdin)
		c.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "HOME="+dir)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// What is signed and the signature are the commit's bytes, none twice and none lost, whatever the bytes are.
func FuzzSplitSignature(f *testing.F) {
	f.Add([]byte("tree x\ngpgsig -----BEGIN\n abc\n \n def\nauthor a\n\nmessage\n\ngpgsig no header\n"))
	f.Add([]byte("tree x\nauthor a"))
	f.Add([]byte("gpgsig-sha256 a\n b\n\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		signed, signature := splitSignature(raw)
		if len(signed)+len(signature) > len(raw)+3 {
			t.Errorf("%d and %d bytes of %d", len(signed), len(signature), len(raw))
		}
		if again, none := splitSignature(signed); len(none) > 0 && bytes.Equal(again, signed) {
			t.Errorf("what is signed holds a signature: %q", none)
		}
	})
}
