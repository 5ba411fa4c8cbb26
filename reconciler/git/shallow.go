package git

import (
	"errors"
	"fmt"
)

// errShallow says what a clone lacks.
var errShallow = errors.New("this clone is shallow and may lack what they have in common: 'git fetch --unshallow', or fetch-depth: 0 (GIT_DEPTH: 0) where a forge's CI has made it")

// Shallow returns an error with the way out where the repository is a clone without all of its history.
func (s *Source) Shallow() error {
	repo, err := s.repository()
	if err != nil {
		return fmt.Errorf("open repository %s: %w", s.gitDir, err)
	}
	ends, err := repo.Storer.Shallow()
	if err != nil {
		return fmt.Errorf("read %s: %w", s.gitDir, err)
	}
	if len(ends) > 0 {
		return errShallow
	}
	return nil
}
