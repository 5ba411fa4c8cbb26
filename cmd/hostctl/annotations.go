package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/schema"
)

// annotations is in which form a forge's CI is told of mistakes, at their lines. It is a flag; "" tells none.
type annotations struct{ form, file string }

// String implements pflag.Value.
func (a *annotations) String() string {
	if a.file != "" {
		return a.form + "=" + a.file
	}
	return a.form
}

// Type implements pflag.Value.
func (a *annotations) Type() string { return "form" }

// Set implements pflag.Value.
func (a *annotations) Set(s string) error {
	form, file, _ := strings.Cut(s, "=")
	if form == "github" && file == "" || form == "gitlab" && file != "" {
		a.form, a.file = form, file
		return nil
	}
	return errors.New("want github, or gitlab=FILE")
}

// write tells what an error says of the repository's files; of any other error, that.
func (a *annotations) write(w io.Writer, err error) error {
	switch found := problemsOf(err); a.form {
	case "github":
		for _, p := range found {
			if _, err := io.WriteString(w, githubCommand(p)); err != nil {
				return err
			}
		}
	case "gitlab":
		b, err := json.MarshalIndent(codeQuality(found), "", "  ")
		if err == nil {
			err = os.WriteFile(a.file, append(b, '\n'), 0o644)
		}
		if err != nil {
			return fmt.Errorf("write the report of code quality: %w", err)
		}
	}
	return nil
}

// problem is something to mend, at its place; File is "" where it has none.
type problem struct {
	File         string
	Line, Column int // from 1; 0 where that isn't known
	Text         string
}

// problemsOf returns all that an error says is to be mended.
func problemsOf(err error) []problem {
	if err == nil {
		return nil
	}
	var (
		base    *reconciler.BaseError
		input   schema.Errors
		refused *planner.RefusedError
		unmade  planner.ProblemsError
		found   []problem
	)
	switch {
	case errors.As(err, &base): // its places are those of another commit
		return []problem{{Text: base.Error()}}
	case errors.As(err, &input):
		for _, e := range input {
			text := *e
			text.File, text.Line = "", 0
			found = append(found, problem{e.File, e.Line, e.Column, strings.TrimPrefix(text.Error(), ": ")})
		}
	case errors.As(err, &refused):
		for _, r := range refused.Refusals {
			found = append(found, problem{Text: r.String()})
		}
	case errors.As(err, &unmade):
		for _, text := range unmade {
			found = append(found, problem{Text: text})
		}
	default:
		found = append(found, problem{Text: err.Error()})
	}
	return found
}

// githubCommand is a workflow command that annotates a line (docs.github.com, "Workflow commands for GitHub Actions", Setting
// an error message). Forgejo and Gitea take it, too.
func githubCommand(p problem) string {
	var at []string
	if p.File != "" {
		at = append(at, "file="+githubProperty(p.File))
	}
	if p.Line > 0 {
		at = append(at, fmt.Sprintf("line=%d", p.Line))
	}
	if p.Line > 0 && p.Column > 0 {
		at = append(at, fmt.Sprintf("col=%d", p.Column))
	}
	command := "::error"
	if len(at) > 0 {
		command += " " + strings.Join(at, ",")
	}
	return command + "::" + githubData(p.Text) + "\n"
}

// The escapes of workflow commands, as the runner undoes them (actions/runner, ActionCommand.cs).
var (
	githubEscapes         = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubPropertyEscapes = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func githubData(s string) string { return githubEscapes.Replace(visible(s)) }

func githubProperty(s string) string { return githubPropertyEscapes.Replace(visible(s)) }

// visible replaces what a log might take for a command to a terminal, line by line.
func visible(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = planner.Printable(line)
	}
	return strings.Join(lines, "\n")
}

// violation is one of GitLab's report of code quality (docs.gitlab.com, "Code Quality report format").
type violation struct {
	Description string   `json:"description"`
	CheckName   string   `json:"check_name"`
	Fingerprint string   `json:"fingerprint"` // tells it from others, also when it moves
	Severity    string   `json:"severity"`
	Location    location `json:"location"`
}

type location struct {
	Path  string `json:"path"`
	Lines struct {
		Begin int `json:"begin"`
	} `json:"lines"`
}

// codeQuality is what GitLab shows at the lines of a merge request. It has no place for what isn't about a file.
func codeQuality(found []problem) []violation {
	report, times := []violation{}, map[string]int{}
	for _, p := range found {
		v := violation{Description: visible(p.Text), CheckName: "hostctl", Severity: "blocker"}
		v.Location.Path, v.Location.Lines.Begin = visible(p.File), max(p.Line, 1)
		if p.File == "" {
			v.Location.Path = "platform/platform.yaml"
		}
		same := v.Location.Path + "\x00" + v.Description
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", same, times[same]))
		times[same]++
		v.Fingerprint = hex.EncodeToString(sum[:16])
		report = append(report, v)
	}
	return report
}
