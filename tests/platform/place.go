package platform

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"hostctl/examples"
)

// MoveOff gives the demo's repository in the clone a network and ports that no other platform on this machine has, those
// of other processes included, so that several run side by side. The place is held until release is called.
func (p Platform) MoveOff() (release func(), err error) {
	slot, release, err := takeSlot()
	if err != nil {
		return nil, err
	}
	return release, errors.Join(
		p.Replace("10.77.0.0/24", subnet(slot)),
		p.Replace("{first: 20000, last: 20999}", fmt.Sprintf("{first: %d, last: %d}", 21000+slot*40, 21000+slot*40+39)),
	)
}

// WriteSites writes examples/demo into the clone, without the tenants that are there to be looked at and what they alone need:
// most tests are quicker with less.
func (p Platform) WriteSites() error {
	if err := os.CopyFS(p.Clone(), examples.Demo()); err != nil {
		return fmt.Errorf("write the example: %w", err)
	}
	for _, more := range []string{"tenants/hooli", "tenants/initech", "clusters/eu-1/data.yaml"} {
		if err := os.RemoveAll(filepath.Join(p.Clone(), more)); err != nil {
			return fmt.Errorf("write the example: %w", err)
		}
	}
	return nil
}

// takeSlot reserves one of 100 places on this machine: it is taken as long as its port is. One whose network the engine still
// has is left alone: a test run that was killed has left it.
func takeSlot() (slot int, release func(), err error) {
	networks, err := subnets()
	if err != nil {
		return 0, nil, err
	}
	for slot := range 100 {
		if strings.Contains(networks, subnet(slot)+"\n") {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 26000+slot))
		if err == nil {
			return slot, func() { _ = l.Close() }, nil
		}
	}
	return 0, nil, errors.New("100 platforms under test already")
}

func subnet(slot int) string { return fmt.Sprintf("10.78.%d.0/24", slot) }

// subnets lists those of the engine's networks, a line each.
func subnets() (string, error) {
	ids, err := exec.Command("docker", "network", "ls", "--quiet", "--filter", "driver=bridge").Output()
	if err != nil {
		return "", fmt.Errorf("docker network ls: %w", err)
	}
	// Networks of other tests come and go meanwhile: of those that are gone nothing is printed.
	out, _ := exec.Command("docker", append([]string{"network", "inspect", "--format", "{{range .IPAM.Config}}{{.Subnet}}{{end}}"}, strings.Fields(string(ids))...)...).Output()
	return string(out), nil
}

// Replace replaces a text in every file of the clone that holds it; one must.
func (p Platform) Replace(old, with string) error {
	found := false
	err := filepath.WalkDir(p.Clone(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.Name() == ".git" {
				return fs.SkipDir
			}
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(b, []byte(old)) {
			return err
		}
		found = true
		return os.WriteFile(path, bytes.ReplaceAll(b, []byte(old), []byte(with)), 0o644)
	})
	if err == nil && !found {
		err = fmt.Errorf("no file of the clone holds %q", old)
	}
	return err
}
