package git

import (
	"fmt"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// DefaultBranch is the branch of a new repository.
const DefaultBranch = "main"

// Init makes an empty bare repository in a folder that doesn't exist or is empty. Its branch is DefaultBranch.
func Init(dir string) error {
	_, err := gogit.PlainInitWithOptions(dir, &gogit.PlainInitOptions{Bare: true, InitOptions: initOptions})
	if err != nil {
		return fmt.Errorf("make repository %s: %w", dir, err)
	}
	return nil
}

var initOptions = gogit.InitOptions{DefaultBranch: plumbing.NewBranchReferenceName(DefaultBranch)}

// InitWorkTree makes a folder with files a work tree whose first commit, on DefaultBranch, holds all of them, with a
// remote "origin" to push to. It returns the commit. Nothing is pushed.
func InitWorkTree(dir, origin string, by Info) (commit string, err error) {
	commit, err = initWorkTree(dir, origin, by)
	if err != nil {
		return "", fmt.Errorf("make work tree %s: %w", dir, err)
	}
	return commit, nil
}

func initWorkTree(dir, origin string, by Info) (string, error) {
	repo, err := gogit.PlainInitWithOptions(dir, &gogit.PlainInitOptions{InitOptions: initOptions})
	if err != nil {
		return "", err
	}
	if _, err := repo.CreateRemote(&config.RemoteConfig{Name: "origin", URLs: []string{origin}}); err != nil {
		return "", fmt.Errorf("add remote: %w", err)
	}
	err = repo.CreateBranch(&config.Branch{Name: DefaultBranch, Remote: "origin", Merge: initOptions.DefaultBranch})
	if err != nil {
		return "", fmt.Errorf("track remote: %w", err)
	}
	work, err := repo.Worktree()
	if err != nil {
		return "", err
	}
	if err := work.AddWithOptions(&gogit.AddOptions{All: true}); err != nil {
		return "", fmt.Errorf("add files: %w", err)
	}
	who := &object.Signature{Name: by.Author, Email: by.Email, When: by.Time}
	id, err := work.Commit(by.Subject, &gogit.CommitOptions{Author: who})
	if err != nil {
		return "", fmt.Errorf("commit: %w", err)
	}
	return id.String(), nil
}
