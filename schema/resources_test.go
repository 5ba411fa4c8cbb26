package schema_test

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hostctl/schema"
)

func TestResources(t *testing.T) {
	m := loadExample(t, "demo")
	all := m.Resources()
	if !slices.IsSortedFunc(all, func(a, b schema.Resource) int { return a.Compare(b) }) {
		t.Error("they aren't sorted")
	}
	want := 1 + len(m.Plans) + len(m.Regions) + len(m.Clusters) + len(m.LBAddresses) + len(m.NodeProfiles) + len(m.Hosts) + len(m.Shards) +
		len(m.Tenants) + len(m.Webroots) + len(m.FQDNs) + len(m.Certificates) + len(m.Databases) + len(m.DatabaseUsers) + len(m.ValkeyInstances) +
		len(m.ValkeyUsers) + len(m.CronJobs) + len(m.Zones) + len(m.Records) + len(m.EmailDomains) + len(m.EmailAccounts) + len(m.EmailAliases) +
		len(m.EmailForwards) + len(m.EmailAutoreplies)
	if len(all) != want {
		t.Errorf("%d resources, want %d", len(all), want)
	}
	for _, r := range all {
		if r.Meta.Kind == "" || r.Meta.Name == "" || r.Meta.Position.File == "" {
			t.Errorf("a resource without a name or a place: %+v", r.Meta)
		}
	}
}

func TestSpecHidesWhatIsSecret(t *testing.T) {
	ref := schema.SecretRef{File: "s.sops.yaml", Key: "a", Path: "tenants/acme/s.sops.yaml", Cipher: "c1f3e5"}
	m := schema.Manifest{
		Tenants:       []schema.Tenant{{Meta: schema.Meta{Kind: schema.KindTenant, Name: "acme"}, SSHKeys: []string{"ssh-ed25519 AAAA"}}},
		DatabaseUsers: []schema.DatabaseUser{{Meta: schema.Meta{Kind: schema.KindDatabaseUser, Name: "u"}, PasswordHash: "ha5h"}},
		Webroots: []schema.Webroot{{
			Meta: schema.Meta{Kind: schema.KindWebroot, Name: "w"}, DocumentRoot: "public",
			SecretEnv: map[string]schema.Secret{"TOKEN": {Ref: &ref}, "OTHER": {Generate: true, Name: "x"}},
			Serving:   schema.Serving{Auth: &schema.HTTPAuth{Realm: "in", Users: map[string]schema.HTTPUser{"joe": {PasswordHash: "ha5h"}}}},
		}},
	}
	var specs []string
	for _, r := range m.Resources() {
		specs = append(specs, string(r.Spec()))
	}
	want := []string{
		`{}`, `{"sshKeys":["ssh-ed25519 AAAA"]}`,
		`{"documentRoot":"public","secretEnv":{"OTHER":{"generate":true,"name":"x"},"TOKEN":{"secretRef":{"file":"s.sops.yaml","key":"a"}}},` +
			`"serving":{"auth":{"realm":"in","users":{"joe":{}}}}}`,
	}

	if !slices.Equal(specs, want) {
		t.Errorf("specs are %s,\nwant %s", specs, want)
	}
}

// telling are fields whose names sound as if what they hold were secret, and that may be shown: they say where it is, or
// are public.
var telling = map[string]bool{
	"Secret.Ref": true, "SecretRef.Key": true, "Tenant.SSHKeys": true, "ValkeyUser.Keys": true, "DKIMKey.Public": true, "EmailDomain.DKIM": true,
	"Platform.Keep": true, "DockerTLS.Key": true,
}

var sounds = regexp.MustCompile(`(?i)pass|secret|key|hash|token|credential`)

// A field that is added to a kind, and sounds as if it held a secret, is a Secret, is hidden, or is named in telling.
func TestEveryFieldThatSoundsSecretIsKnown(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(x reflect.Type) {
		switch x.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			walk(x.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if seen[x] || x.PkgPath() != "hostctl/schema" || x == reflect.TypeFor[schema.Secret]() {
			return
		}
		seen[x] = true
		for i := range x.NumField() {
			f := x.Field(i)
			of := f.Type
			for of.Kind() == reflect.Pointer || of.Kind() == reflect.Map || of.Kind() == reflect.Slice {
				of = of.Elem()
			}
			if sounds.MatchString(strings.ReplaceAll(f.Name, "Valkey", "")) && f.IsExported() && of != reflect.TypeFor[schema.Secret]() && f.Name != "PasswordHash" && !telling[x.Name()+"."+f.Name] {
				t.Errorf("%s.%s sounds secret: make it a Secret, hide it (resources.go), or name it in telling", x.Name(), f.Name)
			}
			walk(f.Type)
		}
	}
	walk(reflect.TypeFor[schema.Manifest]())
	if len(seen) < 30 {
		t.Errorf("only %d types were looked at", len(seen))
	}
}
