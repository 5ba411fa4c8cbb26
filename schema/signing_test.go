package schema_test

import (
	"strings"
	"testing"

	"hostctl/schema"
)

func TestSigningRule(t *testing.T) {
	for _, c := range []struct {
		path, file string
		want       bool
	}{
		{"clusters/**", "clusters/eu-1/cluster.yaml", true},
		{"clusters/**", "clusters/x.yaml", true},
		{"clusters/**", "clusters2/x.yaml", false},
		{"clusters/**", "clusters", false},
		{"tenants/*/**", "tenants/acme/shop/a/b", true},
		{"tenants/acme/**", "tenants/acmes/shop.yaml", false},
		{"platform/*.yaml", "platform/platform.yaml", true},
		{"platform/*.yaml", "platform/plans/small.yaml", false},
		{"CODEOWNERS", "CODEOWNERS", true},
		{"**", "any/file", true},
	} {
		if got := (schema.SigningRule{Paths: []string{c.path}}).Names(c.file); got != c.want {
			t.Errorf("%s names %s: %v", c.path, c.file, got)
		}
	}
	r := schema.SigningRule{Signers: []string{"*@ops.example", "Ann@acme.example"}}
	for who, want := range map[string]bool{"bob@ops.example": true, "ann@ACME.example": true, "bob@ops.example.evil": false, "": false} {
		if got := r.Allows([]string{"x", who}); got != want {
			t.Errorf("%q is allowed: %v", who, got)
		}
	}
}

const aKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSATJUGMgFPtdwMCLFa2YRgKMkG1B42ODB1LVfMJGQa"

func TestParseSigners(t *testing.T) {
	signers, err := schema.ParseSigners([]byte("# ops\n\nann@ops.example,bob@ops.example valid-after=\"20260101\",valid-before=\"202701010000Z\" " + aKey + " laptop\n" +
		"ann@ops.example namespaces=\"file\" " + aKey + "\n"))
	if err != nil || len(signers) != 1 || len(signers[0].Principals) != 2 || signers[0].ValidAfter.Year() != 2026 || signers[0].ValidUntil.Year() != 2027 {
		t.Errorf("%+v, %v", signers, err)
	}
	_, err = schema.ParseSigners([]byte("ann@ops.example\n*@ops.example cert-authority " + aKey + "\nann@ops.example valid-before=\"soon\" " + aKey + "\n"))
	for _, want := range []string{
		"platform/allowed_signers:1:1: isn't a name and a key",
		"platform/allowed_signers:2:1: the option cert-authority isn't taken",
		`platform/allowed_signers:3:1: "soon" isn't a time`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func FuzzParseSigners(f *testing.F) {
	f.Add("ann@ops.example namespaces=\"git\" " + aKey)
	f.Add("SHA256:x\nssh-rsa AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		signers, err := schema.ParseSigners([]byte(text))
		for _, s := range signers {
			if s.Key == nil || len(s.Principals) == 0 {
				t.Errorf("%q: %+v, %v", text, s, err)
			}
		}
		_, _ = schema.ParseRevoked([]byte(text))
	})
}
