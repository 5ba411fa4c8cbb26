package sops_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"gopkg.in/yaml.v3"

	"hostctl/schema/sops"
)

// identity opens the files of testdata, which sops 3.9.4 has made of plain.yaml.
func identity(t testing.TB) *age.X25519Identity {
	t.Helper()
	text, err := os.ReadFile("testdata/key.txt")
	if err != nil {
		t.Fatal(err)
	}
	id, err := age.ParseX25519Identity(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func files(t testing.TB) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	names, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if all[n], err = os.ReadFile(n); err != nil {
			t.Fatal(err)
		}
	}
	delete(all, "testdata/plain.yaml")
	if len(all) < 5 {
		t.Fatalf("%d files of sops in testdata", len(all))
	}
	return all
}

func open(t testing.TB, data []byte, id age.Identity) *sops.Opened {
	t.Helper()
	f, err := sops.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	o, err := f.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func clear(t testing.TB, o *sops.Opened) map[string]any {
	t.Helper()
	text, err := o.Clear()
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := yaml.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func same(t testing.TB, what string, a, b map[string]any) {
	t.Helper()
	x, err := yaml.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := yaml.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(x, y) {
		t.Errorf("%s:\n%s\nwant:\n%s", what, x, y)
	}
}

// Files of the sops program are read, whatever its rules; its MAC is ours.
func TestReadsWhatSopsWrites(t *testing.T) {
	text, err := os.ReadFile("testdata/plain.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := yaml.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	for name, data := range files(t) {
		same(t, name, clear(t, open(t, data, identity(t))), want)
	}
}

// What is written is read by the sops program itself, where it is installed, and by us.
func TestSopsReadsWhatWeWrite(t *testing.T) {
	program, err := exec.LookPath("sops")
	if err != nil {
		t.Log("no sops program here: what we write is read by us alone")
	}
	id := identity(t)
	for name, data := range files(t) {
		o := open(t, data, id)
		for key, value := range map[string]string{"database.password": "other 'n\"\\", "new.nested": "line\nline", "keys-2.password": "x"} {
			if err := o.Set(key, []byte(value)); err != nil && !strings.Contains(err.Error(), "rules keep") {
				t.Fatal(err)
			}
		}
		if err := o.Rotate(); err != nil {
			t.Fatal(err)
		}
		out, err := o.Encode(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		same(t, name, clear(t, open(t, out, id)), clear(t, o))
		if program == "" {
			continue
		}
		file := filepath.Join(t.TempDir(), "x.yaml")
		if err := os.WriteFile(file, out, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, "--decrypt", file)
		cmd.Env = append(os.Environ(), "SOPS_AGE_KEY="+id.String())
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		text, err := cmd.Output()
		var got map[string]any
		if err != nil || yaml.Unmarshal(text, &got) != nil {
			t.Errorf("%s: sops: %v\n%s\n%s", name, err, text, out)
			continue
		}
		same(t, name, got, clear(t, o))
		if complaints.Len() > 0 {
			t.Errorf("%s: sops complains: %s", name, &complaints)
		}
	}
}

// A value that stays keeps its ciphertext; one that changes doesn't, nor does any after Rotate.
func TestCiphertextsStay(t *testing.T) {
	o := open(t, files(t)["testdata/default.yaml"], identity(t))
	before := o.Values()
	if err := o.Set("database.password", []byte("new")); err != nil {
		t.Fatal(err)
	}
	text, err := o.Clear()
	if err != nil {
		t.Fatal(err)
	}
	if err := o.SetClear(text); err != nil {
		t.Fatal(err)
	}
	for i, v := range o.Values() {
		if changed := v.Cipher != before[i].Cipher; changed != (v.Key == "database.password") {
			t.Errorf("%s changed: %v", v.Key, changed)
		}
	}
	before = o.Values()
	if err := o.Rotate(); err != nil {
		t.Fatal(err)
	}
	for i, v := range o.Values() {
		if v.Cipher == before[i].Cipher {
			t.Errorf("%s is encrypted as before", v.Key)
		}
	}
}

// Whoever leaves can't open what is rotated.
func TestRecipients(t *testing.T) {
	a, b := identity(t), newIdentity(t)
	o := open(t, files(t)["testdata/default.yaml"], a)
	if err := o.SetRecipients([]string{a.Recipient().String(), b.Recipient().String()}); err != nil {
		t.Fatal(err)
	}
	both := encode(t, o)
	open(t, both, a)
	open(t, both, b)
	if err := errors.Join(o.SetRecipients([]string{b.Recipient().String()}), o.Rotate()); err != nil {
		t.Fatal(err)
	}
	f, err := sops.Parse(encode(t, o))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Open(a); !errors.Is(err, sops.ErrRecipient) {
		t.Errorf("one who left: %v", err)
	}
	if err := o.SetRecipients(nil); err == nil {
		t.Error("nobody is left to open it")
	}
	if err := o.SetRecipients([]string{"age1x"}); err == nil {
		t.Error("a recipient that is none")
	}
}

func newIdentity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func encode(t testing.TB, o *sops.Opened) []byte {
	t.Helper()
	out, err := o.Encode(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The row B56 of bad inputs: each is refused, and no error holds a value.
func TestRefused(t *testing.T) {
	const marker = "canary-7f3a"
	id := identity(t)
	o, err := sops.New(id.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b"} {
		if err := o.Set(key, []byte(marker)); err != nil {
			t.Fatal(err)
		}
	}
	text := string(encode(t, o))
	lines := strings.SplitAfter(text, "\n")
	swapped := strings.Join(slices.Concat([]string{"a" + strings.TrimPrefix(lines[1], "b"), "b" + strings.TrimPrefix(lines[0], "a")}, lines[2:]), "")
	for name, c := range map[string]struct {
		text string
		id   age.Identity
		want string
	}{
		"cut off":            {text[:len(text)/2], id, "cut off"},
		"another recipient":  {text, newIdentity(t), sops.ErrRecipient.Error()},
		"a value taken away": {strings.Join(lines[1:], ""), id, "MAC"},
		"values swapped":     {swapped, id, "belongs to another"},
		"a value in clear":   {"c: " + marker + "\n" + text, id, "in clear"},
		"added in clear":     {"c_unencrypted: " + marker + "\n" + text, id, "MAC"},
		"time changed":       {strings.Replace(text, "lastmodified: \"20", "lastmodified: \"19", 1), id, "MAC"},
		"with a pgp key":     {strings.Replace(text, "sops:\n", "sops:\n    pgp:\n        - fp: X\n", 1), id, "pgp"},
		"two documents":      {text + "---\nx: y\n", id, "several documents"},
		"no metadata":        {"a: b\n", id, "no sops: section"},
		"nothing":            {"", id, "isn't YAML"},
		"an anchor":          {"x: &x 1\ny: *x\n" + text, id, "anchor"},
		"half a ciphertext":  {strings.Replace(text, ",type:str]", "", 1), id, "cut off"},
	} {
		f, err := sops.Parse([]byte(c.text))
		if err == nil {
			_, err = f.Open(c.id)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), marker) {
			t.Errorf("%s: %v; want %q in it", name, err, c.want)
		}
	}
}

// Whatever is read, it is refused or can be written and read again.
func FuzzFile(f *testing.F) {
	for _, data := range files(f) {
		f.Add(data)
	}
	f.Add([]byte("sops:\n"))
	id := identity(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := sops.Parse(data)
		if err != nil {
			return
		}
		file.Values()
		o, err := file.Open(id)
		if err != nil {
			return
		}
		if err := o.Set("fuzz.added", []byte("x")); err != nil {
			return
		}
		again := open(t, encode(t, o), id)
		if v, ok := again.Get("fuzz.added"); !ok || string(v) != "x" {
			t.Error("what was set isn't there")
		}
	})
}
