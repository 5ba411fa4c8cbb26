// Package editor has a person edit a text that must not get onto a disk. It is the one place where hostctl starts a
// program: the one that the person names in $EDITOR, by its argument list.
package editor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Edit opens text in $EDITOR (or $VISUAL, or vi), split at spaces, in a file in memory that no other user may read, and
// returns what it is then. out and err are the editor's.
func Edit(ctx context.Context, text []byte, out, errOut io.Writer) (after []byte, err error) {
	words := strings.Fields(cmp.Or(os.Getenv("EDITOR"), os.Getenv("VISUAL"), "vi"))
	if len(words) == 0 {
		return nil, errors.New("$EDITOR names no program")
	}
	dir, err := os.MkdirTemp("/dev/shm", "hostctl-") // mode 0700
	if err != nil {
		return nil, fmt.Errorf("make a private folder in memory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }() // with what the editor has left
	file := filepath.Join(dir, "secrets.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	program := exec.CommandContext(ctx, words[0], append(words[1:], file)...)
	program.Stdin, program.Stdout, program.Stderr = os.Stdin, out, errOut
	if err := program.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w; nothing was changed", words[0], err)
	}
	return os.ReadFile(file)
}
