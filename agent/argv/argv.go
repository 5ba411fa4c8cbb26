// Package argv runs programs by their argument lists. There is no shell in between, so no argument is ever anything else
// than an argument.
package argv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Patience is how long a program may take.
const Patience = 30 * time.Second

// Error is a program that ran and did not succeed.
type Error struct {
	Program string
	Code    int // exit status; -1 for a signal
	Output  string
}

func (e *Error) Error() string {
	if e.Output == "" {
		return fmt.Sprintf("%s: exit status %d", e.Program, e.Code)
	}
	return fmt.Sprintf("%s: %s", e.Program, e.Output)
}

// Run runs a program and returns what it wrote to standard output and error. A program that was started is let finish
// even if ctx is done meanwhile (a tool that is killed may leave its locks behind), but for Patience at most.
func Run(ctx context.Context, words ...string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), Patience)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	text := strings.TrimSpace(out.String())
	var exit *exec.ExitError
	switch {
	case err == nil:
		return text, nil
	case ctx.Err() != nil:
		return text, fmt.Errorf("%s: not done after %v", filepath.Base(words[0]), Patience)
	case errors.As(err, &exit):
		return text, &Error{Program: filepath.Base(words[0]), Code: exit.ExitCode(), Output: text}
	}
	return text, fmt.Errorf("run %s: %w", filepath.Base(words[0]), err)
}

// Stream runs a program that writes much, and for as long as it takes: its standard output goes to w. It is ended when ctx
// is done.
func Stream(ctx context.Context, w io.Writer, words ...string) error {
	var complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = w, &complaint, time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit):
		return &Error{Program: filepath.Base(words[0]), Code: exit.ExitCode(), Output: strings.TrimSpace(complaint.String())}
	}
	return fmt.Errorf("run %s: %w", filepath.Base(words[0]), err)
}

// Code returns the exit status in err, or -1.
func Code(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return -1
}
