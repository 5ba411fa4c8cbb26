package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"hostctl/executors"
	"hostctl/planner"
)

// copyFiles puts the files of a container into it before its first start.
func (e *Executor) copyFiles(ctx context.Context, id string, o planner.Container) error {
	if e.o.Files == nil {
		return nil
	}
	files, err := e.o.Files(o)
	if err != nil {
		return executors.Errorf(executors.KindOf(err), "%s: prepare its files: %w", o.Ref(), err)
	}
	if len(files) == 0 {
		return nil
	}
	folders, err := e.missingFolders(ctx, id, slices.Sorted(maps.Keys(files)))
	if err != nil {
		return fail(o.Ref(), "look for the folders of its files", err)
	}
	archive, err := pack(folders, files)
	if err != nil {
		return fail(o.Ref(), "pack its files", err)
	}
	if err := e.engine.CopyToContainer(ctx, id, "/", archive, container.CopyToContainerOptions{}); err != nil {
		return fail(o.Ref(), "copy its files", err)
	}
	return nil
}

// missingFolders returns the folders of paths that aren't in a container, parents first.
func (e *Executor) missingFolders(ctx context.Context, id string, paths []string) ([]string, error) {
	missing := map[string]bool{}
	for _, p := range paths {
		for dir := path.Dir(path.Clean(p)); dir != "/" && dir != "." && !missing[dir]; dir = path.Dir(dir) {
			_, err := e.engine.ContainerStatPath(ctx, id, dir)
			if err == nil {
				break
			}
			if !cerrdefs.IsNotFound(err) {
				return nil, err
			}
			missing[dir] = true
		}
	}
	return slices.Sorted(maps.Keys(missing)), nil
}

// pack makes a tar of folders (mode 0755) and files, all root's, with paths relative to the root.
func pack(folders []string, files map[string]File) (io.Reader, error) {
	const folderMode = 0o755
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, dir := range folders {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(dir, "/") + "/", Mode: folderMode}); err != nil {
			return nil, err
		}
	}
	for _, p := range slices.Sorted(maps.Keys(files)) {
		f := files[p]
		h := &tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(path.Clean(p), "/"), Mode: int64(f.Mode.Perm()), Size: int64(len(f.Content))}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.Content); err != nil {
			return nil, err
		}
	}
	return &b, w.Close()
}
