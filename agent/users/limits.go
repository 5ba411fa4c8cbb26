package users

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"hostctl/planner"
)

func checkLimits(l planner.Limits) error {
	for _, n := range []int64{l.Memory, l.NanoCPUs, l.Tasks, l.Disk, l.Inodes} {
		if n < 0 {
			return fmt.Errorf("%d is no limit", n)
		}
	}
	return nil
}

// limitsFile holds what a user may use, for the agent itself to read: passwd(5) has no place for it.
func (m *Manager) limitsFile(login string) string {
	return filepath.Join(m.o.Root, "/etc/hostctl/limits", login)
}

func (m *Manager) putLimits(u planner.User) error {
	have, err := m.limits(u.Login)
	switch {
	case err == nil && have == u.Limits:
		return nil
	case u.Limits == planner.Limits{}:
		return unlink(m.limitsFile(u.Login))
	}
	text, err := json.Marshal(u.Limits)
	if err != nil {
		return err
	}
	return replace(m.limitsFile(u.Login), append(text, '\n'), 0o600, 0)
}

// limits returns what a user may use. A file that isn't what this version writes is none.
func (m *Manager) limits(login string) (planner.Limits, error) {
	b, err := os.ReadFile(m.limitsFile(login))
	var l planner.Limits
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return planner.Limits{}, nil
	case err != nil:
		return planner.Limits{}, err
	case json.Unmarshal(b, &l) == nil && checkLimits(l) == nil:
		return l, nil
	}
	return planner.Limits{}, nil
}
