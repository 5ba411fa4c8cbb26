package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"hostctl/agent/agentpb"
	"hostctl/agent/beneath"
	"hostctl/agent/identity"
	"hostctl/executors"
	"hostctl/planner"
)

// Puller pulls for one node.
type Puller struct {
	Instance string
	TLS      string // folder of the node's certificate, its key and the CA
}

// maxMessage is the most bytes of one message: names may be long.
const maxMessage = 16 << 20

// Pull makes a folder what the folder of a site is on the shard that it moves from: it brings what differs, and removes what
// isn't there. The nodes of that shard are asked one after the other, until one answers.
func (p Puller) Pull(ctx context.Context, from planner.Copy, site string, into *beneath.Dir, own Owners) (Brought, error) {
	var err error = executors.Errorf(executors.Unreachable, "no node of shard %s is known", from.Shard)
	for _, n := range from.Nodes {
		var brought Brought
		brought, err = p.pullFrom(ctx, n, site, into, own)
		if executors.KindOf(err) != executors.Unreachable {
			return brought, err
		}
	}
	return Brought{}, err
}

func (p Puller) pullFrom(ctx context.Context, from planner.Peer, site string, into *beneath.Dir, own Owners) (Brought, error) {
	conn, err := p.connect(from)
	if err != nil {
		return Brought{}, err
	}
	defer func() { _ = conn.Close() }() // all was read
	brought, err := sync(ctx, &far{client: agentpb.NewAgentClient(conn), site: site}, into, own)
	switch {
	case ctx.Err() != nil:
		return brought, executors.NotTried(ctx)
	case status.Code(err) == codes.Unavailable:
		return brought, executors.Errorf(executors.Unreachable, "bring site %s from node %s: %w", site, from.Node, err)
	case err != nil:
		return brought, fmt.Errorf("bring site %s from node %s: %w", site, from.Node, err)
	}
	return brought, nil
}

// connect returns a connection to the agent of a node, which must have that node's certificate.
func (p Puller) connect(to planner.Peer) (*grpc.ClientConn, error) {
	file := func(name string) string { return filepath.Join(p.TLS, name) }
	secure, err := identity.NodeTLS(file("ca.crt"), file("node.crt"), file("node.key"), p.Instance, to.Node)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("passthrough:///"+to.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(secure)), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", to.Node, err)
	}
	return conn, nil
}

// far is the folder at the other end.
type far struct {
	client agentpb.AgentClient
	site   string
}

// entries returns what is in the folder, folders before what is in them.
func (f *far) entries(ctx context.Context) ([]beneath.Entry, error) {
	stream, err := f.client.Entries(ctx, &agentpb.EntriesRequest{Site: f.site})
	if err != nil {
		return nil, err
	}
	var all []beneath.Entry
	for {
		list, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		for _, e := range list.GetEntries() {
			all = append(all, beneath.Entry{
				Path: string(e.GetPath()), Mode: e.GetMode(), UID: int(e.GetUid()), GID: int(e.GetGid()),
				Size: e.GetSize(), Modified: e.GetModified(), Link: string(e.GetLink()),
			})
		}
	}
}

// contents asks for files and calls take for each, in order, with what its chunks are to be had from.
func (f *far) contents(ctx context.Context, paths [][]byte, take func(i int, next func() (*agentpb.Chunk, error)) error) error {
	stream, err := f.client.Contents(ctx, &agentpb.ContentsRequest{Site: f.site, Paths: paths})
	if err != nil {
		return err
	}
	for i := range paths {
		next := func() (*agentpb.Chunk, error) {
			c, err := stream.Recv()
			if err == nil && int(c.GetIndex()) != i {
				err = fmt.Errorf("a part of file %d came for file %d", c.GetIndex(), i)
			}
			return c, err
		}
		if err := take(i, next); err != nil {
			return err
		}
	}
	return nil
}
