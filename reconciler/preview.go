package reconciler

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"

	"hostctl/planner"
	"hostctl/schema"
)

// Preview is what a change of the repository would come to, as it is told in a pull request and by 'hostctl preview'.
type Preview struct {
	Base, Head string       // commits; Base is what the change starts from
	Change     planner.Plan // what takes the platform from Base, wholly applied, to Head
	Now        planner.Plan // what applying Head would do as things are
	Alone      bool         // what is live isn't known: Now is empty, see Compare
	Refused    error        // why Head can't be applied as things are, where the change itself could be; Now is empty then
}

// BaseError says that what a change starts from can't be planned itself. What the change alone does isn't known then.
type BaseError struct {
	Base string // a commit
	Err  error
	Head error // what is wrong with the change's own commit; nil where that can be planned: it mends the base
}

func (e *BaseError) Error() string {
	return fmt.Sprintf("plan %s, which the change starts from: %s", short(e.Base), e.Err)
}

// Unwrap returns the cause.
func (e *BaseError) Unwrap() error { return e.Err }

// Preview plans a commit against the one that it started from, and against what is live. It records nothing but ids of
// images. Guards, owners and budgets are those of the base. Mistakes in tenants' files that the base hasn't are a
// *FrozenError, and a base that can't be planned itself is a *BaseError, with Now as far as there is one.
func (r *Reconciler) Preview(ctx context.Context, base, head string) (Preview, error) {
	v := Preview{Base: base, Head: head}
	before, err := r.Plan(ctx, base)
	if err != nil && !Refusal(err) {
		return v, fmt.Errorf("plan %s, which the change starts from: %w", short(base), err)
	}
	now, nowErr := r.Plan(ctx, head)
	if nowErr != nil && !Refusal(nowErr) {
		return v, nowErr
	}
	if err != nil {
		v.Now = now
		return v, &BaseError{Base: base, Err: err, Head: nowErr}
	}
	v.Now, v.Change, v.Refused = now, now, nowErr
	switch {
	case !before.Empty():
		v.Change, err = r.planAfter(ctx, before, head)
	case nowErr != nil:
		err = nowErr
	}
	if err != nil {
		return v, err
	}
	return v, brought(before.Frozen, v.Change.Frozen)
}

// planAfter plans a commit against what is live once a plan is wholly carried out.
func (r *Reconciler) planAfter(ctx context.Context, before planner.Plan, head string) (planner.Plan, error) {
	live, err := r.Inventory.Live(ctx)
	if err != nil {
		return planner.Plan{}, fmt.Errorf("read inventory: %w", err)
	}
	tree, err := r.Source.Tree(ctx, head)
	if err != nil {
		return planner.Plan{}, fmt.Errorf("read commit %s: %w", short(head), err)
	}
	defer done(tree)
	m, err := r.load(ctx, tree, live)
	if err != nil {
		return planner.Plan{}, err
	}
	m.Commit = head
	return r.planBy(ctx, planner.New, m, live.After(before)) // a Memo knows what is, and not what would be
}

var position = regexp.MustCompile(`^([^:\n]+):[0-9]+:[0-9]+: `)

// brought returns a *FrozenError of the mistakes in tenants' files that weren't there before, wherever in their files
// they stood; nil where there are none.
func brought(before, after []schema.Frozen) error {
	known := map[string]bool{}
	for _, f := range before {
		for _, e := range f.Errors {
			known[position.ReplaceAllString(e, "$1: ")] = true
		}
	}
	var all FrozenError
	for _, f := range after {
		f.Errors = slices.DeleteFunc(slices.Clone(f.Errors), func(e string) bool { return known[position.ReplaceAllString(e, "$1: ")] })
		if len(f.Errors) > 0 {
			all.Frozen = append(all.Frozen, f)
		}
	}
	if len(all.Frozen) == 0 {
		return nil
	}
	return &all
}

// same reports whether applying Head now does what the change does, and no more.
func (v Preview) same() bool {
	if v.Refused != nil {
		return false
	}
	var a, b bytes.Buffer
	_, _ = v.Change.Text(&a, false), v.Now.Text(&b, false) // a buffer takes everything
	return bytes.Equal(a.Bytes(), b.Bytes())
}

func (v Preview) title() string {
	return fmt.Sprintf("%s, %s to %s", previewChange, short(v.Base), short(v.Head))
}

const (
	previewChange = "What this change does"
	previewSame   = "Applied now, it does just that."
	previewNow    = "What applying it now would do"
	previewNot    = "Applied now, it would be refused"

	previewAlone = "Planned from the two commits alone: what applying it now would do depends on what is live."
)

// Text writes the preview for people.
func (v Preview) Text(w io.Writer, color bool) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s:\n\n", v.title())
	if err := v.Change.Text(&b, color); err != nil {
		return err
	}
	switch {
	case v.Alone:
		fmt.Fprintf(&b, "\n%s\n", previewAlone)
	case v.Refused != nil:
		fmt.Fprintf(&b, "\n%s:\n\n%s\n", previewNot, v.Refused)
	case v.same():
		fmt.Fprintf(&b, "\n%s\n", previewSame)
	default:
		fmt.Fprintf(&b, "\n%s:\n\n", previewNow)
		if err := v.Now.Text(&b, color); err != nil {
			return err
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Markdown writes the preview for a forge's comment, in at most limit bytes; 0 is no limit.
func (v Preview) Markdown(w io.Writer, limit int) error {
	const titles = 256 // bytes of them
	each := limit
	if limit > 0 {
		each = (limit - titles) / 2
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "### %s\n\n", previewChange)
	if err := v.Change.Markdown(&b, each); err != nil {
		return err
	}
	switch {
	case v.Alone:
		fmt.Fprintf(&b, "\n%s\n", previewAlone)
	case v.Refused != nil:
		fmt.Fprintf(&b, "\n### %s\n\n%s", previewNot, planner.FencedPart(v.Refused.Error(), each))
	case v.same():
		fmt.Fprintf(&b, "\n%s\n", previewSame)
	default:
		fmt.Fprintf(&b, "\n### %s\n\n", previewNow)
		if err := v.Now.Markdown(&b, each); err != nil {
			return err
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}
