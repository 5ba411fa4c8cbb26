// Package forge speaks to the forges that hold the config repository: GitHub, GitLab, and Gitea with its kin.
package forge

import (
	"fmt"
	"strings"
)

// Kind is which API a forge speaks.
type Kind string

// The kinds.
const (
	GitHub Kind = "github"
	GitLab Kind = "gitlab"
	Gitea  Kind = "gitea" // Forgejo too
)

// Kinds are all of them.
var Kinds = []Kind{GitHub, GitLab, Gitea}

// ParseKind returns the kind of a name.
func ParseKind(name string) (Kind, error) {
	names := make([]string, 0, len(Kinds))
	for _, k := range Kinds {
		if string(k) == name {
			return k, nil
		}
		names = append(names, string(k))
	}
	return "", fmt.Errorf("%q is no forge that is known; known are %s", name, strings.Join(names, ", "))
}
