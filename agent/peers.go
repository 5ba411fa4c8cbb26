package agent

import (
	"context"
	"os"
	"slices"

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

// Instances are the Valkey instances of a node.
type Instances interface {
	// Snapshot returns all that an instance holds that moves to a node, and since when nothing was written there. It refuses every
	// other. Without data the snapshot is nil.
	Snapshot(ctx context.Context, instance, node string, data bool) (freeze string, snapshot *os.File, err error)
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

// ofNodes is what nodes may ask of each other.
var ofNodes = []string{agentpb.Agent_Entries_FullMethodName, agentpb.Agent_Contents_FullMethodName, agentpb.Agent_Snapshot_FullMethodName}

// mayCall refuses nodes all but what they may ask of each other.
func (a *Agent) mayCall(ctx context.Context, method string) error {
	node, err := a.caller(ctx)
	switch {
	case err != nil:
		return err
	case node == "", slices.Contains(ofNodes, method):
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

// Snapshot streams all that an instance holds that moves.
func (a *Agent) Snapshot(r *agentpb.SnapshotRequest, stream grpc.ServerStreamingServer[agentpb.SnapshotPart]) error {
	node, err := a.caller(stream.Context())
	if err != nil {
		return err
	}
	if a.Instances == nil || node == "" {
		return status.Error(codes.PermissionDenied, "only nodes bring instances, from nodes that have some")
	}
	freeze, snapshot, err := a.Instances.Snapshot(stream.Context(), r.GetInstance(), node, !r.GetFreezeOnly())
	if err != nil {
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	if snapshot == nil {
		return transfer.SendSnapshot(freeze, nil, stream)
	}
	defer func() { _ = snapshot.Close() }() // only read
	return transfer.SendSnapshot(freeze, snapshot, stream)
}
