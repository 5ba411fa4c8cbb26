package nginx

import (
	"slices"
	"strings"
	"testing"
)

// A vhost whose files are just leaving answers what may write with 503, before any location is chosen.
func TestQuiet(t *testing.T) {
	v := vhost()
	loud, err := render(v, testPaths)
	if err != nil {
		t.Fatal(err)
	}
	v.Quiet = true
	quiet, err := render(v, testPaths)
	if err != nil {
		t.Fatal(err)
	}
	all, err := tokens(string(quiet))
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(all, func(words []string) bool { return slices.Contains(words, "($request_method") })
	if at < 0 || all[at][0] != ">" || strings.Join(all[at+2], " ") != ">> return 503 ;" {
		t.Errorf("%q", all)
	}
	if strings.Contains(string(loud), "$request_method") {
		t.Errorf("%s", loud)
	}
}
