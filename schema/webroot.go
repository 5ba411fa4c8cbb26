package schema

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// service decodes what only sites with a service of their own have.
func (d *decoder) service(spec *yaml.Node, w *Webroot) {
	command, health := child(spec, "command"), child(spec, "health")
	for _, n := range []*yaml.Node{command, health} {
		if n != nil && w.Runtime.Type != "" && !w.Runtime.Type.Service() {
			d.fail(n, "is for node, python and ruby sites; this one is %s: take it out", w.Runtime.Type)
		}
	}
	for i, word := range items(command) {
		check := checkWord
		if i == 0 {
			check = checkProgram
		}
		w.Command = append(w.Command, d.value(word, check))
	}
	w.Health = d.value(child(health, "path"), CheckHealthPath)
}

const (
	maxWords = 64
	maxWord  = 4096 // bytes
)

var programPattern = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.+-]*(/[A-Za-z0-9_.+-]+)*$`)

// CheckCommand accepts a program with its arguments. No shell reads it: every argument reaches the program as it is.
func CheckCommand(argv []string) error {
	if len(argv) > maxWords {
		return fmt.Errorf("the command has %d words; at most %d are allowed", len(argv), maxWords)
	}
	for i, word := range argv {
		check := checkWord
		if i == 0 {
			check = checkProgram
		}
		if err := check(word); err != nil {
			return fmt.Errorf("the command's word %d %w", i+1, err)
		}
	}
	return nil
}

// checkProgram accepts the name of a program, or a path below the site's folder.
func checkProgram(s string) error {
	if !programPattern.MatchString(s) || len(s) > 255 {
		return fmt.Errorf("%q isn't a program; write a name such as node, or a path below the site such as venv/bin/gunicorn", shorten(s))
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == ".." || part == "." {
			return fmt.Errorf("%q leads out of the site; write a name, or a path below the site", shorten(s))
		}
	}
	return nil
}

func checkWord(s string) error {
	if s == "" {
		return errors.New("is empty; take it out")
	}
	return CheckText(s, maxWord)
}

// CheckHealthPath accepts the path, with a query, that a service is asked for.
func CheckHealthPath(s string) error {
	if len(s) > 1024 || strings.HasPrefix(s, "//") || strings.Contains(s, "#") {
		return fmt.Errorf("%q isn't a path; write one such as /healthz", shorten(s))
	}
	return checkRedirectPath(s)
}
