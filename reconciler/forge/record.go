package forge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hostctl/reconciler/durable"
	"hostctl/reconciler/outbox"
)

// record is what was planned for a pull request, and what of it the forge was told.
type record struct {
	Number  int       `json:"number"`
	Head    string    `json:"head"`            // the pull request's commit
	Base    string    `json:"base,omitempty"`  // the branch's; "" until it is planned
	Merge   string    `json:"merge,omitempty"` // what they make together; "" where they conflict
	Planned time.Time `json:"planned,omitzero"`
	May     bool      `json:"may,omitempty"`    // it may be planned
	Asked   string    `json:"asked,omitempty"`  // the commit for which it was asked whether its author may write to the repository
	Writes  bool      `json:"writes,omitempty"` // the answer

	Status  Status    `json:"status"`
	Section string    `json:"section,omitempty"` // what the comment says of the plan
	Earlier []earlier `json:"earlier,omitempty"` // the newest first
	Comment string    `json:"comment,omitempty"` // all of it
	Text    string    `json:"text,omitempty"`    // hash of what people would want to be told again; "": no comment is made

	Telling Status `json:"telling,omitzero"` // a status that was being set
	Verify  bool   `json:"verify,omitempty"` // the comment may have been deleted
	Told    told   `json:"told"`
}

// told is what the forge has taken.
type told struct {
	Status  Status `json:"status,omitzero"`
	Comment int64  `json:"comment,omitempty"` // id
	Text    string `json:"text,omitempty"`    // record.Text
}

// earlier is the plan of a commit that another one has followed.
type earlier struct {
	Head    string `json:"head"`
	Section string `json:"section"`
}

// begin turns to another commit. What was said of the one before is kept to be folded away.
func (r *record) begin(head string, pending Status) {
	if r.Section != "" && r.Head != head && len(r.Section) <= longEarlier {
		r.Earlier = append([]earlier{{r.Head, r.Section}}, r.Earlier[:min(len(r.Earlier), maxEarlier-1)]...)
	}
	r.Head, r.Base, r.Merge, r.Section = head, "", "", ""
	r.Status = pending
}

const recordSuffix = ".json"

func (p *Previews) path(number int) string {
	return filepath.Join(p.Dir, strconv.Itoa(number)+recordSuffix)
}

// load reads the records, and what the outbox holds. A record that can't be read is as good as none: the pull request is
// planned again, and its comment found.
func (p *Previews) load() error {
	if err := os.MkdirAll(p.Dir, 0o700); err != nil {
		return err
	}
	files, err := os.ReadDir(p.Dir)
	if err != nil {
		return err
	}
	records := map[int]*record{}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), recordSuffix)
		number, err := strconv.Atoi(name)
		if !ok || err != nil {
			continue
		}
		b, err := os.ReadFile(filepath.Join(p.Dir, f.Name()))
		var r record
		if err == nil {
			err = json.Unmarshal(b, &r)
		}
		if err != nil || r.Number != number {
			p.Log.Warn("what was told of a pull request can't be read; it is planned again", "number", number, "error", err)
			continue
		}
		records[number] = &r
	}
	p.mu.Lock()
	p.records = records
	p.mu.Unlock()
	p.box, err = outbox.Open(filepath.Join(p.Dir, "outbox"), p.Log)
	if err != nil {
		return err
	}
	p.box.Check = p.Check
	return nil
}

// record returns what is known of a pull request; its number is 0 where that is nothing.
func (p *Previews) record(number int) record {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.records[number]; r != nil {
		return *r
	}
	return record{}
}

// note changes a record, and makes it where there is none. It is durable when it returns.
func (p *Previews) note(number int, change func(*record)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.noteLocked(number, change)
}

// amend changes a record, unless it was dropped.
func (p *Previews) amend(number int, change func(*record)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.records[number] == nil {
		return nil
	}
	return p.noteLocked(number, change)
}

func (p *Previews) noteLocked(number int, change func(*record)) error {
	if err := p.leads(); err != nil {
		return err
	}
	r := record{Number: number}
	if old := p.records[number]; old != nil {
		r = *old
	}
	change(&r)
	b, err := json.Marshal(r)
	if err == nil {
		err = durable.WriteFile(p.path(number), b)
	}
	if err != nil {
		return fmt.Errorf("note what is told of pull request %d: %w", number, err)
	}
	p.records[number] = &r
	return nil
}

// drop removes a record.
func (p *Previews) drop(number int) (known bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.records[number] == nil {
		return false, nil
	}
	if err := p.leads(); err != nil {
		return true, err
	}
	if err := os.Remove(p.path(number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return true, err
	}
	delete(p.records, number)
	return true, nil
}
