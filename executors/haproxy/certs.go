package haproxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hostctl/executors"
	"hostctl/planner"
)

// certs are the host names with a certificate of their own: those of the list file. A value is what its file is to hold,
// nil where it stays as it is.
type certs map[string][]byte

func (o Options) certList() string { return cmp.Or(o.List, filepath.Join(o.Certs, "list")) }

func (o Options) certFile(host string) string { return filepath.Join(o.Certs, host+".pem") }

// hostOfCert is the host name of a certificate's file, "" if the file isn't one of ours.
func (o Options) hostOfCert(file string) string {
	host, ok := strings.CutSuffix(filepath.Base(file), ".pem")
	if !ok || filepath.Dir(file) != o.Certs || checkHost(host) != nil {
		return ""
	}
	return host
}

// list returns the list as HAProxy reads it: a file and the one name that it is for (configuration manual 5.1, crt-list).
func (c certs) list(o Options) []byte {
	var b strings.Builder
	for _, host := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&b, "%s %s\n", o.certFile(host), host)
	}
	return []byte(b.String())
}

// parseCertList reads what list wrote, or what `show ssl crt-list -n` shows of it after its first line, where a file has
// its line's number after it. A name of the first kind is in the map with "", one of the other with "file:number".
func (o Options) parseCertList(text string, numbered bool) (map[string]string, error) {
	found := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		entry, host, ok := strings.Cut(line, " ")
		file, number := entry, ""
		if numbered {
			if i := strings.LastIndexByte(entry, ':'); i >= 0 {
				file, number = entry[:i], entry
			}
		}
		_, twice := found[host]
		if !ok || o.hostOfCert(file) != host || host == "" || twice || numbered != (number != "") || !isWord(entry) {
			return nil, fmt.Errorf("line %s: want a file and its host name", quote(line))
		}
		found[host] = number
	}
	return found, nil
}

func (e *Executor) loadCerts() (certs, error) {
	b, err := os.ReadFile(e.o.certList())
	if errors.Is(err, fs.ErrNotExist) {
		return certs{}, nil
	}
	if err != nil {
		return nil, err
	}
	names, err := e.o.parseCertList(string(b), false)
	if err != nil {
		return nil, executors.Errorf(executors.Conflict, "%s: %w", e.o.certList(), err)
	}
	c := make(certs, len(names))
	for host := range names {
		c[host] = nil
	}
	return c, nil
}

// stageCert notes what the file of a certificate is to hold. One that was made here and is good for long stays.
func (e *Executor) stageCert(m model, o planner.Cert) error {
	if f, err := e.readCert(o.Name); o.SelfSigned && err == nil && sameCert(e.observed(o.Name, f), o) {
		m.certs[o.Name] = nil
		return nil
	}
	b, err := e.makeCert(o, time.Now())
	if err == nil {
		m.certs[o.Name] = b
	}
	return err
}

func sameCert(a, b planner.Cert) bool {
	a.Meta, b.Meta = planner.Meta{}, planner.Meta{}
	return planner.HashOf(a) == planner.HashOf(b)
}

// readCert reads the file of a host name's certificate.
func (e *Executor) readCert(host string) (certFile, error) {
	b, err := os.ReadFile(e.o.certFile(host))
	if err != nil {
		return certFile{}, err
	}
	return parseCertFile(b)
}

// observed is the certificate of a file. One that was made here and is due for the next is not what was made.
func (e *Executor) observed(host string, f certFile) planner.Cert {
	c := planner.Cert{Meta: planner.Meta{Target: e.o.Target, Name: host}}
	if f.source.SelfSigned {
		c.SelfSigned = time.Until(f.until) > renewBefore
		return c
	}
	c.Chain, c.Key = f.chain, f.source.Key
	return c
}

// saveCerts writes the files of certificates, then the list. What left the list is removed when HAProxy has let it go.
func (e *Executor) saveCerts(c certs) error {
	if err := e.saveCertFiles(c); err != nil {
		return err
	}
	return writeIfOther(e.o.certList(), c.list(e.o), nil)
}

// saveCertFiles writes the files of certificates.
func (e *Executor) saveCertFiles(c certs) error {
	if err := os.MkdirAll(e.o.Certs, 0o700); err != nil {
		return err
	}
	for _, host := range slices.Sorted(maps.Keys(c)) {
		if c[host] == nil {
			continue
		}
		if err := replaceFile(e.o.certFile(host), c[host], 0o400, nil); err != nil {
			return err
		}
	}
	return nil
}

// convergeCerts makes the running process answer with the certificates that the files have: those of touched, and the
// others where its list says that something is missing or too much.
func (e *Executor) convergeCerts(ctx context.Context, m model, touched []planner.Ref, problems map[planner.Ref]error) error {
	running, err := e.runningCerts(ctx)
	if err != nil {
		return err
	}
	hosts := map[string]bool{}
	for _, r := range touched {
		if r.Kind == planner.KindCert {
			hosts[r.Name] = true
		}
	}
	for host := range m.certs {
		if _, there := running[host]; !there {
			hosts[host] = true
		}
	}
	for host := range running {
		if _, wanted := m.certs[host]; !wanted {
			hosts[host] = true
		}
	}
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		if _, wanted := m.certs[host]; wanted {
			err = e.putCert(ctx, host, running, m.certs[host] != nil)
		} else {
			err = e.removeCert(ctx, host, running)
		}
		if err != nil {
			problems[planner.Ref{Kind: planner.KindCert, Target: e.o.Target, Name: host}] = err
		}
	}
	return nil
}

// runningCerts returns the entries of the running list by host name. A process without the list runs the image's
// configuration.
func (e *Executor) runningCerts(ctx context.Context) (map[string]string, error) {
	reply, err := e.socket.ask(ctx, "show", "ssl", "crt-list", "-n", e.o.certList())
	if err != nil || reply == "didn't find the specified filename" {
		return nil, err
	}
	head, text, _ := strings.Cut(reply, "\n")
	if head != "# "+e.o.certList() {
		return nil, unexpected("show ssl crt-list", reply)
	}
	entries, err := e.o.parseCertList(text, true)
	if err != nil {
		return nil, executors.Errorf(executors.Unknown, "haproxy: show ssl crt-list: %w", err)
	}
	return entries, nil
}

const noCert = "Can't display the certificate: Not found or the certificate is a bundle!"

// fingerprint returns that of the certificate that the process has of a file; "" where it has an empty one; ok is false
// where it has none.
func (e *Executor) fingerprint(ctx context.Context, file string) (sum string, ok bool, err error) {
	reply, err := e.socket.ask(ctx, "show", "ssl", "cert", file)
	if err != nil || reply == noCert {
		return "", false, err
	}
	sum, err = parseFingerprint(reply, file)
	if err != nil {
		return "", false, unexpected("show ssl cert", reply)
	}
	return sum, true, nil
}

// parseFingerprint reads `show ssl cert <file>`: "Name: value" lines.
func parseFingerprint(reply, file string) (string, error) {
	named, sum := false, ""
	for line := range strings.SplitSeq(reply, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "Filename":
			named = value == file
		case "SHA1 FingerPrint":
			sum = value
		}
	}
	if !named {
		return "", fmt.Errorf("no line Filename: %s", file)
	}
	return sum, nil
}

// putCert brings a certificate to the running process, if it hasn't it or the file is fresh, and looks: HAProxy tells which
// certificate it has, and not with which chain. Management guide 9.3: "new ssl cert", "set ssl cert", "commit ssl cert", "add ssl
// crt-list".
func (e *Executor) putCert(ctx context.Context, host string, running map[string]string, fresh bool) error {
	file := e.o.certFile(host)
	f, err := e.readCert(host)
	if err != nil {
		return executors.Errorf(executors.Conflict, "haproxy: %s: %w", file, err)
	}
	have, there, err := e.fingerprint(ctx, file)
	if err != nil {
		return err
	}
	if !there {
		reply, err := e.socket.ask(ctx, "new", "ssl", "cert", file)
		if err := expect(reply, err, "new ssl cert "+file, "New empty certificate store '"+file+"'!"); err != nil {
			return err
		}
	}
	if fresh || have != f.fingerprint {
		if err := e.setCert(ctx, file, f.payload); err != nil {
			return err
		}
	}
	if _, listed := running[host]; !listed {
		reply, err := e.socket.send(ctx, []string{"add", "ssl", "crt-list", e.o.certList()}, file+" "+host+"\n")
		if err := succeeded(reply, err, "add ssl crt-list "+host); err != nil {
			return err
		}
	}
	have, _, err = e.fingerprint(ctx, file)
	if err == nil && have != f.fingerprint {
		err = executors.Errorf(executors.Busy, "haproxy: the certificate of %s isn't the one that was set", host)
	}
	return err
}

// setCert replaces a certificate in one step: until then the process answers with the one before.
func (e *Executor) setCert(ctx context.Context, file, payload string) error {
	reply, err := e.socket.send(ctx, []string{"set", "ssl", "cert", file}, payload)
	if err != nil {
		return err
	}
	if reply != "Transaction created for certificate "+file+"!" && reply != "Transaction updated for certificate "+file+"!" {
		_, _ = e.socket.ask(context.WithoutCancel(ctx), "abort", "ssl", "cert", file) // there may be none
		return unexpected("set ssl cert "+file, reply)
	}
	reply, err = e.socket.ask(ctx, "commit", "ssl", "cert", file)
	return succeeded(reply, err, "commit ssl cert "+file)
}

// succeeded is expect for commands that tell how they get on, and "Success!" last.
func succeeded(reply string, err error, what string) error {
	if err == nil && !strings.HasSuffix(reply, "\nSuccess!") {
		err = unexpected(what, reply)
	}
	return err
}

// removeCert takes a certificate out of the running process, then removes its file.
func (e *Executor) removeCert(ctx context.Context, host string, running map[string]string) error {
	if err := e.dropCert(ctx, host, running); err != nil {
		return err
	}
	if err := os.Remove(e.o.certFile(host)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// dropCert takes a certificate out of the running process. Management guide 9.3: "del ssl crt-list", "del ssl cert".
func (e *Executor) dropCert(ctx context.Context, host string, running map[string]string) error {
	file := e.o.certFile(host)
	if entry := running[host]; entry != "" {
		reply, err := e.socket.ask(ctx, "del", "ssl", "crt-list", e.o.certList(), entry)
		if err := expect(reply, err, "del ssl crt-list "+entry, "Entry '"+file+"' deleted in crtlist '"+e.o.certList()+"'!"); err != nil {
			return err
		}
	}
	_, there, err := e.fingerprint(ctx, file)
	if err != nil {
		return err
	}
	if there {
		reply, err := e.socket.ask(ctx, "del", "ssl", "cert", file)
		if err := expect(reply, err, "del ssl cert "+file, "Certificate '"+file+"' deleted!"); err != nil {
			return err
		}
	}
	return nil
}

// presentCerts returns the certificates that the process answers with, of some host names or of all. One whose file is
// damaged, or isn't what the process has, is one without content.
func (e *Executor) presentCerts(ctx context.Context, asked func(host string) bool) ([]planner.Object, error) {
	running, err := e.runningCerts(ctx)
	if err != nil {
		return nil, err
	}
	return e.certObjects(ctx, running, asked)
}

func (e *Executor) certObjects(ctx context.Context, running map[string]string, asked func(host string) bool) ([]planner.Object, error) {
	var out []planner.Object
	for _, host := range slices.Sorted(maps.Keys(running)) {
		if !asked(host) {
			continue
		}
		c := planner.Cert{Meta: planner.Meta{Target: e.o.Target, Name: host}}
		if f, err := e.readCert(host); err == nil {
			have, _, err := e.fingerprint(ctx, e.o.certFile(host))
			if err != nil {
				return nil, err
			}
			if have == f.fingerprint {
				c = e.observed(host, f)
			}
		}
		out = append(out, c)
	}
	return out, nil
}
