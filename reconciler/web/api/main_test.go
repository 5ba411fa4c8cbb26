package api_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain has properties tried a few times, the same each time, unless it is said how often: each time is a platform that
// several commits are applied to. Others: go test ./reconciler/web/api -run Others -rapid.checks=200 -rapid.seed=1
func TestMain(m *testing.M) {
	flag.Parse()
	settings := map[string]string{"rapid.checks": "5", "rapid.seed": "5"}
	flag.Visit(func(f *flag.Flag) { delete(settings, f.Name) })
	for name, value := range settings {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
