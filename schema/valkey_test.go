package schema_test

import (
	"slices"
	"strings"
	"testing"

	"hostctl/schema"
)

// Whatever a user's rules are, what runs the server comes last and is taken away.
func TestCommandRules(t *testing.T) {
	for _, c := range []struct {
		rules, keys, want string
	}{
		{"", "*", "+@all -@admin -@dangerous -@scripting -acl +info +sort +sort_ro +keys +flushdb +flushall"},
		{"+@read -get", "*", "-@all +@connection +@read -get -@admin -@dangerous -@scripting -acl"},
		{"-@connection +@read", "*", "-@all -@connection +@read -@admin -@dangerous -@scripting -acl"},
		{"+@scripting +keys", "*", "-@all +@connection -@admin -@dangerous -@scripting -acl +keys +eval +eval_ro +evalsha +evalsha_ro +script|exists +script|load"},
		{"+@write", "a:*", "-@all +@connection +@write -@admin -@dangerous -@scripting -acl -dbsize -flushall -flushdb -keys -randomkey -scan -client|tracking"},
		{"", "a:*", "+@all -@admin -@dangerous -@scripting -acl +info +sort +sort_ro -dbsize -flushall -flushdb -keys -randomkey -scan -client|tracking"},
	} {
		got := schema.CommandRules(strings.Fields(c.rules), strings.Fields(c.keys))
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q on %q: %q, want %q", c.rules, c.keys, got, c.want)
		}
	}
}

// A rule that is accepted is one word of ACL SETUSER that names a command or a category, and none that runs the server.
func FuzzCommandRule(f *testing.F) {
	for _, s := range []string{"+get", "-@set", "+@all", ">x", "+config|set", "(+get)", "reset", "+@scripting", "+get\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if schema.CheckCommandRule(s) == nil {
			name := strings.TrimPrefix(s[1:], "@")
			if s[0] != '+' && s[0] != '-' || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" || slices.Contains(strings.Fields("all admin dangerous config acl debug module save shutdown script eval"), name) {
				t.Errorf("%q is accepted", s)
			}
		}
		if schema.CheckKeyPattern(s) == nil && strings.ContainsAny(s, " \t\r\n~&%#>()\"'\\") {
			t.Errorf("%q is accepted as a pattern", s)
		}
	})
}
