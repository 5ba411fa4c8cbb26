package git

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/object"

	"hostctl/reconciler"
)

var _ reconciler.Trailers = (*Source)(nil)

// Trailers implements reconciler.Trailers.
func (s *Source) Trailers(ctx context.Context, key, a, b string) ([]string, error) {
	var values []string
	err := s.eachBetween(ctx, a, b, func(c *object.Commit) {
		values = append(values, trailers(c.Message, key)...)
	})
	if err != nil {
		return nil, fmt.Errorf("read trailers from %s to %s: %w", a, b, notFound(err))
	}
	return values, nil
}

// trailers returns the values of a trailer in a message, as git-interpret-trailers(1) finds them: in the last paragraph,
// if that isn't the first one, and all its lines are trailers, or one is git's own and at least a quarter are trailers.
func trailers(message, key string) []string {
	lines := lastParagraph(message)
	var values []string
	found, other, own := 0, 0, false
	current := false
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		switch {
		case strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"):
			if current {
				values[len(values)-1] += " " + strings.TrimSpace(line)
			}
			continue
		case strings.HasPrefix(line, "(cherry picked from commit "):
			own, current = true, false
			found++
		case ok && isToken(name):
			found++
			own = own || name == "Signed-off-by"
			if current = strings.EqualFold(name, key); current {
				values = append(values, strings.TrimSpace(value))
			}
		default:
			current = false
			other++
		}
	}
	if found == 0 || other > 0 && (!own || found*3 < other) {
		return nil
	}
	return values
}

// lastParagraph returns the lines of the last paragraph of a message, comments aside; nothing where it is the first.
func lastParagraph(message string) []string {
	var paragraph []string
	paragraphs, open := 0, false
	for line := range strings.SplitSeq(strings.ReplaceAll(message, "\r\n", "\n"), "\n") {
		line = strings.TrimRight(line, " \t\r")
		if line == "---" {
			break // git's divider: what follows is a patch
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		if line == "" {
			open = false
			continue
		}
		if !open {
			paragraph, open = nil, true
			paragraphs++
		}
		paragraph = append(paragraph, line)
	}
	if paragraphs < 2 {
		return nil
	}
	return paragraph
}

func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}
