package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hostctl/reconciler/outbox"
)

// preview plans what a pull request makes of the base, where that isn't known already, and has it told. Somebody who has
// hinted at it may know that the comment is gone.
func (p *Previews) preview(ctx context.Context, pr PullRequest, base string, hinted bool) error {
	old := p.record(pr.Number)
	may, err := p.may(ctx, pr, old)
	if err != nil {
		return err
	}
	if old.Base == base && old.Head == pr.Head && old.May == may {
		if hinted && old.Told.Comment != 0 {
			return p.tell(ctx, pr.Number, func(r *record) { r.Verify = true })
		}
		return nil
	}
	if old.Head != pr.Head || old.Status.State == "" {
		pending := p.status(pr.Head, Pending, "is being planned")
		if err := p.tell(ctx, pr.Number, func(r *record) { r.begin(pr.Head, pending) }); err != nil {
			return err
		}
	}
	v, merge := verdict{}, ""
	if may {
		if v, merge, err = p.judge(ctx, base, pr.Head); err != nil {
			return err
		}
	} else {
		v = verdict{state: Pending, description: "comes from a fork; somebody who may write here starts its preview with the label " + StartLabel}
	}
	return p.tell(ctx, pr.Number, func(r *record) {
		r.Base, r.Merge, r.May, r.Planned = base, merge, may, time.Now().UTC().Truncate(time.Minute)
		r.Status = p.status(pr.Head, v.state, v.description)
		r.say(v, p.footer(r), p.marker(), p.Forge.CommentLimit())
		r.Verify = r.Verify || hinted && r.Told.Comment != 0
	})
}

// may reports whether a pull request is planned: one of the repository's own branches, and of a fork what somebody lets
// pass who may write to the repository, or has written. It is asked once for each commit.
func (p *Previews) may(ctx context.Context, pr PullRequest, old record) (bool, error) {
	switch {
	case !pr.Fork, p.Forks, pr.Allowed:
		return true, nil
	case old.Asked == pr.Head:
		return old.Writes, nil
	}
	may, err := p.Forge.MayWrite(ctx, pr.Author)
	if errors.Is(err, ErrNotFound) {
		may, err = false, nil // nobody of theirs
	}
	if err != nil {
		return false, fmt.Errorf("ask whether its author may write: %w", err)
	}
	return may, p.note(pr.Number, func(r *record) { r.Asked, r.Writes = pr.Head, may })
}

func (p *Previews) status(commit string, s State, description string) Status {
	return Status{Commit: commit, State: s, Context: p.Context, Description: shortened(plain(description), descriptionLimit)}
}

// tell changes a record, and has the forge told when that is stored.
func (p *Previews) tell(ctx context.Context, number int, change func(*record)) error {
	if err := p.note(number, change); err != nil {
		return err
	}
	return p.box.Put(ctx, outbox.Message{
		Kind: messageKind, Key: strconv.Itoa(number), Body: json.RawMessage("{}"), Expires: time.Now().Add(keepTrying),
	})
}

// deliver tells the forge what isn't told yet of a pull request.
func (p *Previews) deliver(ctx context.Context, key string, _ json.RawMessage) error {
	number, err := strconv.Atoi(key)
	if err != nil {
		return &outbox.Never{Err: err}
	}
	r := p.record(number)
	if r.Number == 0 {
		return nil // it was closed
	}
	statusErr := p.tellStatus(ctx, r)
	if statusErr != nil && !final(statusErr) {
		return statusErr
	}
	err = errors.Join(statusErr, p.tellComment(ctx, r)) // a token may be allowed one of them alone
	if final(err) {
		return &outbox.Never{Err: err}
	}
	return err
}

// final reports whether a forge has refused for good.
func final(err error) bool {
	var later *outbox.Later
	var answer *answerError
	if errors.As(err, &later) || !errors.As(err, &answer) {
		return false
	}
	return answer.Code == 400 || answer.Code == 413 || answer.Code == 422
}

// tellStatus sets the status, unless it was set. Where that isn't known, since the process was killed or no answer came,
// the forge is asked.
func (p *Previews) tellStatus(ctx context.Context, r record) error {
	if r.Status == r.Told.Status {
		return nil
	}
	if r.Status == r.Telling {
		has, err := p.Forge.HasStatus(ctx, r.Status)
		if err != nil {
			return err
		}
		if has {
			return p.amend(r.Number, func(now *record) { now.Told.Status = r.Status })
		}
	}
	if err := p.amend(r.Number, func(now *record) { now.Telling = r.Status }); err != nil {
		return err
	}
	if err := p.Forge.SetStatus(ctx, r.Status); err != nil {
		return err
	}
	return p.amend(r.Number, func(now *record) { now.Told.Status, now.Telling = r.Status, Status{} })
}

// tellComment makes the comment say what it should.
func (p *Previews) tellComment(ctx context.Context, r record) error {
	if r.Text == "" || r.Told.Text == r.Text && !r.Verify {
		return nil
	}
	there, err := p.comment(ctx, r)
	switch {
	case err != nil:
		return err
	case there.ID == 0:
		there.ID, err = p.Forge.AddComment(ctx, r.Number, r.Comment)
	case r.Told.Text != r.Text && !sameText(there.Body, r.Comment):
		err = p.Forge.EditComment(ctx, r.Number, there.ID, r.Comment)
	}
	if err != nil {
		return err
	}
	return p.amend(r.Number, func(now *record) {
		now.Told.Comment, now.Told.Text = there.ID, r.Text
		now.Verify = false
	})
}

// comment returns the comment that is there; its id is 0 where there is none. A comment that is known may have been
// deleted, and one that isn't may be there: of a state folder that was lost, or of a request whose answer was.
func (p *Previews) comment(ctx context.Context, r record) (Comment, error) {
	if r.Told.Comment != 0 {
		c, err := p.Forge.Comment(ctx, r.Number, r.Told.Comment)
		if !errors.Is(err, ErrNotFound) {
			return c, err
		}
	}
	found, err := p.Forge.FindComment(ctx, r.Number, p.marker())
	if errors.Is(err, ErrNotFound) {
		return Comment{}, nil
	}
	return found, err
}

// sameText reports whether a forge has a comment as it was sent: some change the ends of its lines.
func sameText(a, b string) bool {
	normal := func(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }
	return normal(a) == normal(b)
}
