// Package transfer brings a site's folder, or all that a Valkey instance holds, from a node of one shard to a node of another, agent
// to agent, over mutual TLS. What follows is of folders; an instance's snapshot comes as a whole.
//
// The node that takes it pulls: it asks for what is in the folder, compares that with what it has, and asks for the files
// that differ. So a transfer that was cut off goes on where it was, and another one brings what has changed since. Both
// sides work beneath the site's folder and follow no symlink (see package beneath): what is in it is its tenant's.
package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hostctl/agent/agentpb"
	"hostctl/agent/beneath"
)

const (
	entriesAtOnce = 1000      // in one message
	chunkSize     = 256 << 10 // bytes
)

// SendEntries streams what is in a folder.
func SendEntries(dir *beneath.Dir, stream grpc.ServerStreamingServer[agentpb.EntryList]) error {
	list := &agentpb.EntryList{}
	err := dir.Walk(stream.Context(), func(e beneath.Entry) error {
		list.Entries = append(list.Entries, &agentpb.Entry{
			Path: []byte(e.Path), Mode: e.Mode, Uid: uint32(e.UID), Gid: uint32(e.GID), Size: e.Size, Modified: e.Modified, Link: []byte(e.Link),
		})
		if len(list.Entries) < entriesAtOnce {
			return nil
		}
		full := list
		list = &agentpb.EntryList{}
		return stream.Send(full)
	})
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	return stream.Send(list)
}

// SendContents streams files of a folder, which is a tenant's of this user id.
func SendContents(dir *beneath.Dir, uid int, paths [][]byte, stream grpc.ServerStreamingServer[agentpb.Chunk]) error {
	buffer := make([]byte, chunkSize)
	for i, p := range paths {
		if err := sendFile(stream.Context(), dir, uid, string(p), uint32(i), buffer, stream.Send); err != nil { //nolint:gosec // paths of one message
			return err
		}
	}
	return nil
}

func sendFile(ctx context.Context, dir *beneath.Dir, uid int, path string, index uint32, buffer []byte, send func(*agentpb.Chunk) error) error {
	f, before, err := dir.FileOf(path, uid)
	var odd *beneath.NotPlain
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, &odd) {
		return send(&agentpb.Chunk{Index: index, Gone: true})
	}
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	defer func() { _ = f.Close() }() // only read
	sum := sha256.New()
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n, err := f.Read(buffer)
		if n > 0 {
			sum.Write(buffer[:n])
			if err := send(&agentpb.Chunk{Index: index, Data: buffer[:n]}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return send(end(index, sum, int(f.Fd()), before))
		}
		if err != nil {
			return status.Error(codes.Internal, err.Error())
		}
	}
}

// end is the last chunk of a file.
func end(index uint32, sum hash.Hash, fd int, before unix.Stat_t) *agentpb.Chunk {
	var now unix.Stat_t
	err := unix.Fstat(fd, &now)
	same := err == nil && now.Size == before.Size && now.Mtim == before.Mtim
	return &agentpb.Chunk{Index: index, Sum: sum.Sum(nil), Changed: !same}
}
