package reconciler

import "time"

// Follower is the ability of a Source to tell how it stands with the remote repository that it follows.
type Follower interface {
	Remote() RemoteStatus
}

// RemoteStatus is how a Source stands with the remote repository that it follows.
type RemoteStatus struct {
	URL    string    `json:"url"` // without a secret
	Branch string    `json:"branch"`
	Read   time.Time `json:"read,omitzero"`   // when it was last read; zero for not since hostd started
	Error  string    `json:"error,omitempty"` // why it couldn't be read since
}

// remote returns how the source stands with what it follows; nil where it follows nothing.
func (r *Reconciler) remote() *RemoteStatus {
	if r == nil { // of a loop that doesn't run
		return nil
	}
	if f, ok := r.Source.(Follower); ok {
		s := f.Remote()
		return &s
	}
	return nil
}
