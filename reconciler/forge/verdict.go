package forge

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/schema"
)

// verdict is what comes out of planning a pull request.
type verdict struct {
	state       State
	description string // for the status
	section     string // for the comment, in Markdown: nothing that people wrote stands outside of code
	news        string // what of the section people would want to be told when it changes; "": all of it
}

// judge plans what a pull request makes of its base. Whatever is wrong with either is a verdict; an error says that it
// couldn't be planned now.
func (p *Previews) judge(ctx context.Context, base, head string) (v verdict, merge string, err error) {
	merged, err := p.Repository.Merge(ctx, base, head)
	switch {
	case err != nil:
		return v, "", err
	case len(merged.Conflicts) > 0:
		return p.conflict(merged.Conflicts), "", nil
	}
	merge = merged.Commit
	plan, err := p.Planner.Propose(ctx, base, merge)
	if err != nil && !reconciler.Refusal(err) {
		return v, "", err
	}
	if err != nil {
		return p.wrong(plan, err, head), merge, nil
	}
	v = verdict{state: Success, description: counts(plan.Change)}
	var section, news strings.Builder
	err = errors.Join(plan.Markdown(&section, p.room()), plan.Change.Markdown(&news, 0))
	v.section, v.news = section.String(), news.String()
	return v, merge, err
}

// room is how many bytes the comment has for the newest plan.
func (p *Previews) room() int { return p.Forge.CommentLimit() - reserve }

func counts(plan planner.Plan) string {
	if plan.Empty() {
		return "changes nothing"
	}
	s := plan.Summary()
	var parts []string
	for _, c := range []struct {
		n    int
		what string
	}{{s.Create, "to create"}, {s.Update, "to update"}, {s.Replace, "to replace"}, {s.Delete, "to delete"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return strings.Join(parts, ", ")
}

func (p *Previews) conflict(files []string) verdict {
	more := ""
	if n := len(files) - 1; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return verdict{
		state:       Failure,
		description: fmt.Sprintf("conflicts with %s in %s%s", p.Branch, files[0], more),
		section: "### It conflicts with the branch\n\nThe same lines were changed on both sides. Merge the branch into it, mend these files, push again.\n\n" +
			planner.FencedPart(strings.Join(files, "\n"), p.room()/2),
	}
}

// wrong is the verdict of what can't be planned: the proposal's fault, unless its base has all of it already.
func (p *Previews) wrong(plan reconciler.Preview, err error, head string) verdict {
	var base *reconciler.BaseError
	if !errors.As(err, &base) {
		return verdict{state: Failure, description: firstLine(err), section: "### Not accepted\n\n" + p.problems(err, head)}
	}
	branch := planner.FencedPart(base.Err.Error(), p.room()/4)
	if base.Head == nil {
		var now strings.Builder
		_ = plan.Now.Markdown(&now, p.room()/2) // a Builder takes everything
		return verdict{
			state: Success, description: fmt.Sprintf("mends %s; then %s", p.Branch, counts(plan.Now)),
			section: "### It mends the branch\n\nThe branch can't be planned as it is:\n\n" + branch + "\n### What applying it now would do\n\n" + now.String(),
		}
	}
	if own := notIn(base.Err, base.Head); own != nil {
		return verdict{
			state: Failure, description: firstLine(own),
			section: "### Not accepted\n\n" + p.problems(own, head) + "\nThe branch itself can't be planned either:\n\n" + branch,
		}
	}
	return verdict{
		state: Error, description: fmt.Sprintf("%s itself can't be planned: %s", p.Branch, firstLine(base.Err)),
		section: "### The branch itself can't be planned\n\nThat isn't this change's doing. When it is mended this is planned again.\n\n" + branch,
	}
}

// notIn returns what of an error another one doesn't say, wherever in a file it stands; nil where that is nothing.
func notIn(known, err error) error {
	have := map[string]bool{}
	for _, l := range strings.Split(known.Error(), "\n") {
		have[place.ReplaceAllString(l, "$1: ")] = true
	}
	lines := slices.DeleteFunc(strings.Split(err.Error(), "\n"), func(l string) bool { return have[place.ReplaceAllString(l, "$1: ")] })
	if len(lines) == 0 {
		return nil
	}
	return errors.New(strings.Join(lines, "\n"))
}

// place is where a problem stands, as schema.Error tells it.
var place = regexp.MustCompile(`(?m)^([^:\n]+):([0-9]+):[0-9]+: `)

// maxPlaces is how many lines of files are linked.
const maxPlaces = 20

// problems are all problems as code, and links to the lines where they stand, which the branch may have moved a little.
func (p *Previews) problems(err error, head string) string {
	var links []string
	for _, m := range place.FindAllStringSubmatch(err.Error(), -1) {
		line, _ := strconv.Atoi(m[2])
		if page := p.Forge.FileURL(head, m[1], line); page != "" && len(links) < maxPlaces {
			links = append(links, fmt.Sprintf("[%d](%s)", len(links)+1, page))
		}
	}
	out := planner.FencedPart(err.Error(), p.room()/2)
	if len(links) > 0 {
		out += "\nWhere: " + strings.Join(links, ", ") + "\n"
	}
	return out
}

// firstLine is the first thing that an error says is wrong. Of a refusal that is not what would be lost, but why not.
func firstLine(err error) string {
	var (
		refused *planner.RefusedError
		input   schema.Errors
	)
	switch {
	case errors.As(err, &input):
		return input[0].Error()
	case errors.As(err, &refused):
		line, _, _ := strings.Cut(refused.Refusals[0].Text, "\n")
		return line
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
