package git

import (
	"context"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
)

// maxVain is how often a tag is asked for that doesn't come.
const maxVain = 3

// newApprovals returns the tags of the remote that approve commits which are here, and that aren't here as they are there.
// A name that is no approval's is passed over, and so is a tag that was brought in vain.
func (m *Mirror) newApprovals(refs map[string]plumbing.Hash) map[string]plumbing.Hash {
	found := map[string]plumbing.Hash{}
	for name, id := range refs {
		commit, who, ok := strings.Cut(strings.TrimPrefix(name, ApprovalTags), "/")
		if !strings.HasPrefix(name, ApprovalTags) || !ok || !plumbing.IsHash(commit) || strings.ContainsAny(who, `/\`) || plumbing.ReferenceName(name).Validate() != nil {
			continue
		}
		if at, err := m.readRef(plumbing.ReferenceName(name)); err == nil && at == id.String() || m.vain[id] >= maxVain {
			continue
		}
		if m.has(plumbing.NewHash(commit)) {
			found[name] = id
		}
	}
	return found
}

// followApprovals brings tags that approve commits. What keeps it from that is logged: the branch is followed all the same.
func (m *Mirror) followApprovals(ctx context.Context, tags map[string]plumbing.Hash) (brought bool) {
	for name, id := range tags {
		err := m.exchange(ctx, func(ctx context.Context, far uploadPack, refs *packp.AdvRefs) error {
			return m.bring(ctx, far, refs, []plumbing.Hash{id})
		})
		if err == nil {
			err = m.setRef(plumbing.ReferenceName(name), id)
		}
		switch {
		case ctx.Err() != nil:
			return brought
		case err != nil:
			m.vain[id]++
			m.log.Warn("an approval can't be read", "url", m.address.String(), "tag", name, "error", err)
		default:
			brought = true
		}
	}
	return brought
}
