package git

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

const (
	// maxPacks is how many packs a mirror may have before they are made one: each fetch brings one, and each is looked
	// into for every object.
	maxPacks = 50
	// unreachableFor is how long git keeps what no reference leads to: merges of previews, and what was forgotten.
	unreachableFor = "2.weeks.ago"
	// rewrittenFor is how long the commit is kept where a branch was before it was rewritten.
	rewrittenFor = 90 * 24 * time.Hour

	repackTimeout = 10 * time.Minute
)

// tidyUp makes one pack of many, where there are many, and drops what has had its time. That it can't be done is logged,
// and harms nothing but speed.
func (m *Mirror) tidyUp(ctx context.Context) {
	packs, err := filepath.Glob(filepath.Join(m.gitDir, "objects", "pack", "*.pack"))
	if err != nil || len(packs) <= maxPacks {
		return
	}
	if err := m.tidyUpNow(ctx); err != nil && ctx.Err() == nil {
		m.log.Warn("the mirror isn't repacked", "folder", m.gitDir, "packs", len(packs), "error", err)
	}
}

func (m *Mirror) tidyUpNow(ctx context.Context) error {
	if err := m.dropRewritten(); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"repack", "-A", "-d", "-l", "-q", "--unpack-unreachable=" + unreachableFor},
		{"prune", "--expire=" + unreachableFor},
	} {
		if err := m.git(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// git runs git in the mirror, which holds no configuration but ours.
func (m *Mirror) git(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, repackTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = m.gitDir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + m.gitDir, "LC_ALL=C", "GIT_DIR=" + m.gitDir,
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_ATTR_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
	}
	cmd.WaitDelay = time.Second
	var stderr said
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[0], err, stderr.String())
	}
	return nil
}

func (m *Mirror) dropRewritten() error {
	files, err := filepath.Glob(filepath.Join(m.gitDir, filepath.FromSlash(rewritten), "*"))
	if err != nil {
		return err
	}
	repo, err := m.repository()
	if err != nil {
		return err
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || time.Since(info.ModTime()) < rewrittenFor {
			continue
		}
		if err := repo.Storer.RemoveReference(plumbing.ReferenceName(rewritten + filepath.Base(file))); err != nil {
			return err
		}
	}
	return nil
}
