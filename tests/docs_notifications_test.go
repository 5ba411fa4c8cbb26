package tests

import (
	"encoding/json"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"hostctl/examples"
	"hostctl/reconciler/forge"
	"hostctl/reconciler/notify"
	"hostctl/schema"
	"hostctl/schema/sops"
)

func readPage(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// The Platform of docs/notifications.md is sound, with a file of the secrets that it names, and a webhook posts what the
// page says.
func TestDocsNotifications(t *testing.T) {
	page := readPage(t, "notifications.md")
	tree := schema.MapTree{}
	demo := examples.Minimal()
	err := fs.WalkDir(demo, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(demo, path)
		tree[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	tree["platform/platform.yaml"] = yamlBlock.FindStringSubmatch(page)[1]
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file, err := sops.New(id.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"slack", "tickets.url", "tickets.key", "mail"} {
		if err := file.Set(key, []byte("a value")); err != nil {
			t.Fatal(err)
		}
	}
	text, err := file.Encode(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	tree["platform/notify.sops.yaml"] = string(text)
	m, err := schema.Load(tree, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := m.Platform.Notifications
	if len(all) != 3 || all[1].SigningKey.Ref.Cipher == "" || all[2].Mail.Password.Ref.Cipher == "" {
		t.Errorf("%+v", all)
	}

	body := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(page)[1]
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	var told notify.Message
	if err := d.Decode(&told); err != nil || told.Event != schema.OnRunFailed || len(told.Items) != 1 {
		t.Errorf("%+v, %v", told, err)
	}
}

// docs/webhooks.md tells the URL of each forge.
func TestDocsWebhooks(t *testing.T) {
	page := readPage(t, "webhooks.md")
	for _, kind := range forge.Kinds {
		if !strings.Contains(page, "/hooks/"+string(kind)+"`") {
			t.Errorf("docs/webhooks.md doesn't say where %s posts to", kind)
		}
	}
}
