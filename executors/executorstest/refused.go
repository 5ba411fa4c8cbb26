package executorstest

import (
	"testing"
)

// A change that the far side refuses stops no other of its batch.
func testRefused(t *testing.T, s *suite) {
}
