package generation_test

import (
	"context"
	"testing"

	"hostctl/agent/generation"
)

func TestRetiringEndsEachOnce(t *testing.T) {
	var r generation.Retiring
	ended, goOn := make(chan string, 3), make(chan struct{})
	end := func(name string) func(context.Context) {
		return func(context.Context) { <-goOn; ended <- name }
	}
	r.Go("a-1", end("a-1"))
	r.Go("a-1", end("a-1 again"))
	r.Go("b-1", end("b-1"))
	close(goOn)
	r.Wait()
	close(ended)
	got := map[string]bool{}
	for name := range ended {
		got[name] = true
	}
	if len(got) != 2 || !got["a-1"] || !got["b-1"] {
		t.Errorf("ended %v, want a-1 and b-1", got)
	}
	r.Go("a-1", func(context.Context) { got["later"] = true })
	if r.Wait(); !got["later"] {
		t.Error("a name isn't ended again once it was")
	}
}
