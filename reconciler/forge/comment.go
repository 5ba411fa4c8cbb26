package forge

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"hostctl/planner"
)

const (
	maxEarlier  = 5       // plans that are kept to be folded away
	longEarlier = 1 << 16 // bytes of one: a longer one isn't kept
	reserve     = 2048    // bytes of a comment for what isn't the plan
)

// marker is the first line of our comments, which nobody sees.
func (p *Previews) marker() string { return fmt.Sprintf("<!-- hostctl preview %s -->\n", p.Instance) }

// footer says of what the comment is, and how to see all of it.
func (p *Previews) footer(r *record) string {
	merged := ""
	if r.Base != "" && r.Merge != "" {
		merged = fmt.Sprintf(", merged into %.12s of the branch", r.Base)
	}
	return fmt.Sprintf("\n---\nPlanned %s UTC: %.12s%s. In full: `hostctl preview %.12s`\n", r.Planned.Format("2006-01-02 15:04"), r.Head, merged, r.Head)
}

// say sets what the comment says, in at most limit bytes. Neither the time, nor the branch's commit, nor what applying it
// now would do are worth to be told again by themselves: they change whenever anybody merges anything.
func (r *record) say(v verdict, footer, marker string, limit int) {
	section := v.section
	r.Section = section
	if section == "" {
		return
	}
	text := section
	room := limit - len(marker) - len(section) - len(footer)
	for _, e := range r.Earlier {
		folded := fmt.Sprintf("\n<details><summary>Before, of %.12s</summary>\n\n%s\n</details>\n", e.Head, e.Section)
		if len(folded) > room {
			break
		}
		text += folded
		room -= len(folded)
	}
	sum := sha256.Sum256([]byte(r.Head + string(v.state) + cmp.Or(v.news, section)))
	r.Text = hex.EncodeToString(sum[:])
	r.Comment = marker + text + footer
}

// plain is a text for where there is no markup, on one line.
func plain(s string) string { return planner.Printable(oneLine(s)) }
