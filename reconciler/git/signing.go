package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"hostctl/reconciler"
	"hostctl/schema"
)

// Signing is whose signatures commits must carry and who must have approved them, as one commit has it.
type Signing struct {
	rules     []schema.SigningRule
	approvals []schema.ApprovalRule
	signers   []schema.Signer
	keys      openpgp.EntityList
	revoked   map[string]bool // fingerprints
}

// Signing reads the rules and keys of a commit; commit "" has none. What can't be read is a *reconciler.RulesError.
func (s *Source) Signing(ctx context.Context, commit string) (*Signing, error) {
	if commit == "" {
		return &Signing{}, nil
	}
	t, err := s.Tree(ctx, commit)
	if err != nil {
		return nil, err
	}
	if c, ok := t.(io.Closer); ok {
		defer func() { _ = c.Close() }() // only read
	}
	trust, err := schema.TrustOf(t)
	if err != nil {
		return nil, &reconciler.RulesError{Err: err}
	}
	if len(trust.Signing)+len(trust.Approvals) == 0 {
		return &Signing{}, nil
	}
	files, p := trust.Keys, &Signing{rules: trust.Signing, approvals: trust.Approvals}
	var errs [3]error
	p.signers, errs[0] = schema.ParseSigners(files[schema.SignersFile])
	p.revoked, errs[1] = schema.ParseRevoked(files[schema.RevokedFile])
	if armoured := files[schema.OpenPGPFile]; len(armoured) > 0 {
		if p.keys, errs[2] = openpgp.ReadArmoredKeyRing(bytes.NewReader(armoured)); errs[2] != nil {
			errs[2] = fmt.Errorf("%s: isn't a list of OpenPGP public keys; write what 'gpg --armor --export' prints", schema.OpenPGPFile)
		}
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, &reconciler.RulesError{Err: err}
	}
	if len(p.signers)+len(p.keys) == 0 {
		return nil, &reconciler.RulesError{Err: fmt.Errorf("%s and %s hold no key, and rules ask for signatures; put the signers' keys there", schema.SignersFile, schema.OpenPGPFile)}
	}
	return p, nil
}

// Unsigned returns the commits that to has and from hasn't, the newest first, which the rules ask for a signature that they
// don't carry. A merge is asked for what differs from its first parent, as any commit is.
func (s *Source) Unsigned(ctx context.Context, p *Signing, from, to string) ([]reconciler.Lack, error) {
	if len(p.rules) == 0 {
		return nil, nil
	}
	repo, err := s.repository()
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", s.gitDir, err)
	}
	var found []reconciler.Lack
	var failed error
	err = s.eachBetween(ctx, from, to, func(c *object.Commit) {
		if failed != nil {
			return
		}
		u, err := p.judge(repo, c)
		if failed = err; u != nil {
			found = append(found, *u)
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("check signatures: %w", err)
	}
	return found, nil
}

// judge returns what is wrong with the signature of a commit, nil where nothing is.
func (p *Signing) judge(repo *gogit.Repository, c *object.Commit) (*reconciler.Lack, error) {
	files, err := changedFiles(c)
	if err != nil {
		return nil, err
	}
	var principals []string
	why, judged := "", false
	for _, file := range files {
		var signers []string
		asked, allowed := false, false
		for _, r := range p.rules {
			if !r.Names(file) {
				continue
			}
			if !judged {
				judged = true
				if principals, why, err = p.signedBy(repo, c); err != nil {
					return nil, err
				}
			}
			asked, allowed = true, allowed || why == "" && r.Allows(principals)
			signers = append(signers, r.Signers...)
		}
		if asked && !allowed {
			if why == "" {
				why = fmt.Sprintf("%s signed it, who may not", strings.Join(principals, ", "))
			}
			slices.Sort(signers)
			subject, _, _ := strings.Cut(c.Message, "\n")
			return &reconciler.Lack{Commit: c.Hash.String(), Subject: subject, File: file, Wanted: slices.Compact(signers), Why: why}, nil
		}
	}
	return nil, nil
}

// changedFiles returns the paths that differ between a commit and its first parent, sorted; of a rename both.
func changedFiles(c *object.Commit) ([]string, error) {
	tree, err := c.Tree()
	if err != nil {
		return nil, err
	}
	var before *object.Tree
	if c.NumParents() > 0 {
		parent, err := c.Parent(0)
		if err != nil {
			return nil, err
		}
		if before, err = parent.Tree(); err != nil {
			return nil, err
		}
	}
	changes, err := object.DiffTree(before, tree)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, change := range changes {
		for _, name := range []string{change.From.Name, change.To.Name} {
			if name != "" {
				files = append(files, name)
			}
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// signedBy returns the names of who signed a commit, or why its signature is none.
func (p *Signing) signedBy(repo *gogit.Repository, c *object.Commit) (principals []string, why string, err error) {
	o, err := repo.Storer.EncodedObject(plumbing.CommitObject, c.Hash)
	if err != nil {
		return nil, "", err
	}
	raw, err := readAll(o)
	if err != nil {
		return nil, "", err
	}
	signed, signature := splitSignature(raw)
	principals, why = p.verify(signed, signature, c.Committer.When)
	return principals, why, nil
}

// The first lines of the signatures that are understood.
const (
	beginSSH     = "-----BEGIN SSH SIGNATURE-----"
	beginOpenPGP = "-----BEGIN PGP SIGNATURE-----"
)

// verify returns the names of who signed some bytes, or why their signature is none.
func (p *Signing) verify(signed, signature []byte, at time.Time) (principals []string, why string) {
	switch {
	case len(signature) == 0:
		return nil, "it isn't signed"
	case bytes.HasPrefix(signature, []byte(beginSSH)):
		return p.bySSH(signed, signature, at)
	case bytes.HasPrefix(signature, []byte(beginOpenPGP)):
		return p.byOpenPGP(signed, signature, at)
	}
	return nil, "its signature is neither of SSH nor of OpenPGP"
}

// splitSignature takes the signature out of a commit's bytes, as git does before it checks it: the header gpgsig with its
// continued lines, and that of the same commit under another hash function (gitformat-signature(5)).
func splitSignature(raw []byte) (signed, signature []byte) {
	header, body, _ := bytes.Cut(raw, []byte("\n\n"))
	in := ""
	for line := range bytes.Lines(append(header, '\n')) {
		continued, isContinued := bytes.CutPrefix(line, []byte(" "))
		if !isContinued {
			name, _, _ := bytes.Cut(line, []byte(" "))
			if in = string(name); in == "gpgsig" {
				continued = bytes.TrimPrefix(line, []byte("gpgsig "))
			}
		}
		switch in {
		case "gpgsig":
			signature = append(signature, continued...)
		case "gpgsig-sha256":
		default:
			signed = append(signed, line...)
		}
	}
	return append(append(signed, '\n'), body...), signature
}

// bySSH checks a signature in the SSHSIG format, of git's namespace.
func (p *Signing) bySSH(signed, armoured []byte, at time.Time) (principals []string, why string) {
	sig, err := sshsig.Unarmor(armoured)
	if err != nil {
		return nil, "its SSH signature can't be read"
	}
	fingerprint := ssh.FingerprintSHA256(sig.PublicKey)
	if p.revoked[fingerprint] {
		return nil, "it is signed with the revoked key " + fingerprint
	}
	if err := sshsig.Verify(bytes.NewReader(signed), sig, sig.PublicKey, sig.HashAlgorithm, "git"); err != nil {
		return nil, "its SSH signature doesn't fit it"
	}
	known := false
	for _, s := range p.signers {
		if !bytes.Equal(s.Key.Marshal(), sig.PublicKey.Marshal()) {
			continue
		}
		known = true
		if (s.ValidAfter.IsZero() || !at.Before(s.ValidAfter)) && (s.ValidUntil.IsZero() || at.Before(s.ValidUntil)) {
			principals = append(principals, s.Principals...)
		}
	}
	switch {
	case !known:
		return nil, fmt.Sprintf("it is signed with %s, which %s doesn't list", fingerprint, schema.SignersFile)
	case len(principals) == 0:
		return nil, fmt.Sprintf("it is signed with %s, which wasn't valid at its time", fingerprint)
	}
	return principals, ""
}

// byOpenPGP checks a signature of OpenPGP (RFC 9580). A key that is revoked, or had ended at the time of the commit, signs
// nothing. The signature is made a moment after the commit is given its time.
func (p *Signing) byOpenPGP(signed, armoured []byte, at time.Time) (principals []string, why string) {
	who, err := openpgp.CheckArmoredDetachedSignature(p.keys, bytes.NewReader(signed), bytes.NewReader(armoured), &packet.Config{Time: func() time.Time { return at.Add(time.Minute) }})
	if err != nil {
		return nil, "its OpenPGP signature isn't one of a valid key in " + schema.OpenPGPFile
	}
	fingerprint := fmt.Sprintf("%x", who.PrimaryKey.Fingerprint)
	if p.revoked[fingerprint] || who.Revoked(time.Now()) {
		return nil, "it is signed with the revoked key " + fingerprint
	}
	for _, id := range who.Identities {
		principals = append(principals, id.UserId.Email)
	}
	slices.Sort(principals)
	return principals, ""
}
