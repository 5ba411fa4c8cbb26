package reconciler

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"hostctl/planner"
)

// Preview is what a change of the repository would come to, as it is told in a pull request and by 'hostctl preview'.
type Preview struct {
	Base, Head string       // commits; Base is what the change starts from
	Change     planner.Plan // what takes the platform from Base, wholly applied, to Head
	Now        planner.Plan // what applying Head would do as things are
}

// Preview plans a commit against the one that it started from, and against what is live. It records nothing but ids of
// images. A base that can't be planned itself is an error: what the change alone does isn't known then.
func (r *Reconciler) Preview(ctx context.Context, base, head string) (Preview, error) {
	v := Preview{Base: base, Head: head}
	var err error
	if v.Now, err = r.Plan(ctx, head); err != nil {
		return v, err
	}
	before, err := r.Plan(ctx, base)
	if err != nil {
		return v, fmt.Errorf("plan %s, which the change starts from: %w", short(base), err)
	}
	if before.Empty() {
		v.Change = v.Now
		return v, nil
	}
	live, err := r.Inventory.Live(ctx)
	if err != nil {
		return v, fmt.Errorf("read inventory: %w", err)
	}
	tree, err := r.Source.Tree(ctx, head)
	if err != nil {
		return v, fmt.Errorf("read commit %s: %w", short(head), err)
	}
	defer done(tree)
	m, err := r.load(ctx, tree, live)
	if err != nil {
		return v, err
	}
	m.Commit = head
	v.Change, err = r.planBy(ctx, planner.New, m, live.After(before)) // a Memo knows what is, and not what would be
	return v, err
}

// same reports whether applying Head now does what the change does, and no more.
func (v Preview) same() bool {
	var a, b bytes.Buffer
	_, _ = v.Change.Text(&a, false), v.Now.Text(&b, false) // a buffer takes everything
	return bytes.Equal(a.Bytes(), b.Bytes())
}

func (v Preview) title() string {
	return fmt.Sprintf("What this change does, %s to %s", short(v.Base), short(v.Head))
}

const (
	previewSame = "Applied now, it does just that."
	previewNow  = "What applying it now would do"
)

// Text writes the preview for people.
func (v Preview) Text(w io.Writer, color bool) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s:\n\n", v.title())
	if err := v.Change.Text(&b, color); err != nil {
		return err
	}
	if v.same() {
		fmt.Fprintf(&b, "\n%s\n", previewSame)
	} else {
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
	fmt.Fprintf(&b, "### %s\n\n", v.title())
	if err := v.Change.Markdown(&b, each); err != nil {
		return err
	}
	if v.same() {
		fmt.Fprintf(&b, "\n%s\n", previewSame)
	} else {
		fmt.Fprintf(&b, "\n### %s\n\n", previewNow)
		if err := v.Now.Markdown(&b, each); err != nil {
			return err
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}
