package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
)

// uploadPack is a conversation with git-upload-pack(1) at the other end, in version 0 of the protocol
// (gitprotocol-pack(5)): it tells its references, and sends what is asked for once.
type uploadPack interface {
	// references returns what the remote advertises. It is asked once.
	references() (*packp.AdvRefs, error)
	// send sends a request, and returns what comes of it.
	send(request []byte) (io.ReadCloser, error)
	// close ends the conversation; one that has failed leaves no connection for the next.
	close(failed bool) error
}

const (
	// maxReferences is how many bytes the list of references may have.
	maxReferences = 64 << 20
	// maxPack is how many bytes one fetch may have. A configuration of 10,000 tenants has 20 MiB, with all its history.
	maxPack = 1 << 30
)

var (
	errTooMuch = errors.New("cut, for it is more than a config repository has")
	// errNotGit says that what answers isn't a git server, as where a forge shows its login page.
	errNotGit = errors.New("what answers there is no git server; is the URL that of the repository, and may the token read it?")
)

// advertised reads a list of references. One that is empty is that of a repository without commits; one that can't be
// read is never taken for it (G8).
func advertised(r io.Reader) (*packp.AdvRefs, error) {
	refs := packp.NewAdvRefs()
	switch err := refs.Decode(r); {
	case errors.Is(err, packp.ErrEmptyAdvRefs):
		return packp.NewAdvRefs(), nil
	case errors.Is(err, errTooMuch):
		return nil, errTooMuch
	case errors.Is(err, packp.ErrEmptyInput):
		return nil, errors.New("it sends nothing; is there a repository at that path, and may the key or the token read it?")
	case err != nil:
		return nil, fmt.Errorf("read its references: %w", tidy(err))
	}
	return refs, nil
}

// tidy makes one printable line of an error that quotes what another machine sent.
func tidy(err error) error {
	line := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return ' '
		}
		return r
	}, err.Error())
	if len(line) > maxSaid {
		line = line[:maxSaid]
	}
	return &remoteError{line: strings.Join(strings.Fields(line), " "), err: err}
}

// remoteError is an error whose text comes from another machine.
type remoteError struct {
	line string
	err  error
}

func (e *remoteError) Error() string { return e.line }

// Unwrap returns the cause.
func (e *remoteError) Unwrap() error { return e.err }

// fetchPack asks for commits and passes the pack that holds them, and all that they need and haves don't, to keep.
func fetchPack(ctx context.Context, far uploadPack, refs *packp.AdvRefs, wants, haves []plumbing.Hash, keep func(io.Reader) error) (err error) {
	req := packp.NewUploadPackRequest()
	req.Wants, req.Haves = wants, haves
	for _, c := range []capability.Capability{capability.OFSDelta, capability.NoProgress} {
		if refs.Capabilities.Supports(c) {
			if err := req.Capabilities.Set(c); err != nil {
				return err
			}
		}
	}
	banded := refs.Capabilities.Supports(capability.Sideband64k)
	if banded {
		if err := req.Capabilities.Set(capability.Sideband64k); err != nil {
			return err
		}
	}
	var request bytes.Buffer
	if err := errors.Join(req.UploadRequest.Encode(&request), req.UploadHaves.Encode(&request, false)); err != nil {
		return err
	}
	if err := pktline.NewEncoder(&request).EncodeString("done\n"); err != nil {
		return err
	}
	body, err := far.send(request.Bytes())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	response := packp.NewUploadPackResponse(req)
	if err := response.Decode(body); err != nil {
		return fmt.Errorf("ask for %s: %w", wants[0], tidy(err))
	}
	var pack io.Reader = response
	if banded {
		pack = sideband.NewDemuxer(sideband.Sideband64k, response)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return keep(pack)
}
