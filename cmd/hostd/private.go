package main

import (
	"fmt"
	"os"
)

// readPrivate reads a file that holds a secret, which what names. One that others may read is refused: they may know it.
func readPrivate(file, what string) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", what, err)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("others may read %s: chmod 600 %s, and make a new one", what, file)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return b, nil
}
