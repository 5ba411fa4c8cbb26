package php

import (
	"strings"
	"testing"

	"hostctl/planner"
	"hostctl/schema"
)

var testPaths = paths{tenants: "/srv/tenants", data: "/data", web: "www-data"}

func pool() planner.Runtime {
	return planner.Runtime{
		Meta: planner.Meta{Target: "web-1-0", Name: "acme.shop/php-8.4"}, Tenant: "acme", Site: "shop", Type: schema.RuntimePHP,
		Version: "8.4", Login: "t-acme",
	}
}

// Whatever a variable holds, it is refused, or stays on its line and in its quotes.
func FuzzEnv(f *testing.F) {
	for _, s := range []string{"x", `"`, "'", `'"'`, "a\nb", "$HOME", "$pool", "[x]", `\`, "", "${A}", ";", "a'; env[B] = 'c"} {
		f.Add("A", s)
	}
	f.Add("PHP_VALUE", "x")
	f.Fuzz(func(t *testing.T, name, value string) {
		r := pool()
		r.Env = map[string]string{name: value}
		text, err := render(r, testPaths, nil)
		if err != nil {
			if value != "" && strings.Contains(err.Error(), value) && len(value) > 8 && strings.Contains(err.Error(), "variable") && !strings.Contains(name, value) {
				t.Errorf("the error holds the value: %v", err)
			}
			return
		}
		var lines []string
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "env["); ok {
				lines = append(lines, rest)
			}
		}
		if len(lines) != 1 || unquoted(strings.TrimSuffix(lines[0], "\n"), name) != value {
			t.Errorf("%s=%q is written as %q", name, value, lines)
		}
	})
}

// unquoted reads `NAME] = 'a'"'"'b'` as PHP's INI scanner does.
func unquoted(line, name string) string {
	rest, ok := strings.CutPrefix(line, name+"] = ")
	if !ok {
		return "not the variable: " + line
	}
	var b strings.Builder
	for rest != "" {
		q := rest[0]
		end := strings.IndexByte(rest[1:], q)
		if (q != '\'' && q != '"') || end < 0 {
			return "not quoted: " + rest
		}
		b.WriteString(rest[1 : 1+end])
		rest = rest[2+end:]
	}
	return b.String()
}

func TestINIValue(t *testing.T) {
	for in, want := range map[string]string{
		"E_ALL": "32767", "E_ALL & ~E_NOTICE": "32759", "E_ALL&~E_DEPRECATED&~E_STRICT": "22527", "E_ERROR | E_WARNING": "3",
		"E_ALL ^ E_NOTICE": "32759", "128M": "128M", "-1": "-1", "Europe/Berlin": "Europe/Berlin",
	} {
		if got := iniValue(in); got != want {
			t.Errorf("iniValue(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestMemory(t *testing.T) {
	for _, c := range []struct {
		ini   string
		limit int64
		want  string
	}{
		{"", 0, "268435456"}, {"", 64 << 20, "67108864"}, {"", 4 << 30, "268435456"}, {"300M", 512 << 20, "300M"},
	} {
		r := pool()
		r.MemoryLimit = c.limit
		if c.ini != "" {
			r.INI = map[string]string{"memory_limit": c.ini}
		}
		if got := memory(r); got != c.want {
			t.Errorf("%q of %d: %s, want %s", c.ini, c.limit, got, c.want)
		}
	}
}

// What was rendered is read back; what somebody has changed is not taken for it.
func TestParse(t *testing.T) {
	r := pool()
	r.Env = map[string]string{"A": "it's"}
	text, err := render(r, testPaths, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parse(text, testPaths)
	if err != nil || planner.HashOf(got) != planner.HashOf(r) {
		t.Errorf("parse: %+v, %v", got, err)
	}
	for _, other := range []string{"", "[x]\n", string(text) + "pm.max_children = 99\n", strings.Replace(string(text), "t-acme", "root", 2)} {
		if _, err := parse([]byte(other), testPaths); err == nil {
			t.Errorf("taken for a pool of ours:\n%s", other)
		}
	}
}
