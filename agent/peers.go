package agent

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"hostctl/agent/agentpb"
	"hostctl/agent/beneath"
	"hostctl/agent/identity"
	"hostctl/agent/transfer"
)

// Sites are the sites' folders of a node.
type Sites interface {
	// Leaving returns the folder of a site that moves to the shard of a node, with its tenant's user id. It refuses every other.
	Leaving(site, node string) (*beneath.Dir, int, error)
}

// caller returns which node calls; "" is the controller, or the node's own socket.
func (a *Agent) caller(ctx context.Context) (string, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "", status.Error(codes.Unauthenticated, "nobody calls")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return "", nil
	}
	node, err := identity.Caller(info.State, a.Instance)
	if err != nil {
		return "", status.Error(codes.Unauthenticated, err.Error())
	}
	return node, nil
}

// mayCall refuses nodes all but what they may ask of each other.
func (a *Agent) mayCall(ctx context.Context, method string) error {
	node, err := a.caller(ctx)
	switch {
	case err != nil:
		return err
	case node == "", method == agentpb.Agent_Entries_FullMethodName, method == agentpb.Agent_Contents_FullMethodName:
		return nil
	}
	return status.Errorf(codes.PermissionDenied, "node %s isn't the controller", node)
}

func (a *Agent) unaryCaller(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := a.mayCall(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (a *Agent) streamCaller(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := a.mayCall(s.Context(), info.FullMethod); err != nil {
		return err
	}
	return next(srv, s)
}

// Entries streams what is in the folder of a site that moves.
func (a *Agent) Entries(r *agentpb.EntriesRequest, stream grpc.ServerStreamingServer[agentpb.EntryList]) error {
	dir, _, err := a.leaving(stream.Context(), r.GetSite())
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // only held for its path
	return transfer.SendEntries(dir, stream)
}

// Contents streams files of such a folder.
func (a *Agent) Contents(r *agentpb.ContentsRequest, stream grpc.ServerStreamingServer[agentpb.Chunk]) error {
	dir, uid, err := a.leaving(stream.Context(), r.GetSite())
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // only held for its path
	return transfer.SendContents(dir, uid, r.GetPaths(), stream)
}

func (a *Agent) leaving(ctx context.Context, site string) (*beneath.Dir, int, error) {
	node, err := a.caller(ctx)
	if err != nil {
		return nil, 0, err
	}
	if a.Sites == nil || node == "" {
		return nil, 0, status.Error(codes.PermissionDenied, "only nodes bring sites, from nodes that have some")
	}
	dir, uid, err := a.Sites.Leaving(site, node)
	if err != nil {
		return nil, 0, status.Error(codes.FailedPrecondition, err.Error())
	}
	return dir, uid, nil
}
