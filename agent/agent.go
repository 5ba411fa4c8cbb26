// Package agent is the part of hostctl that runs inside every node: a gRPC server around the executors of the node's
// role. It is an executor at the other end of a wire (executors/remote is the near end), with five things added: it
// takes orders from its own instance only and never from a run that was superseded, it checks again all that it is sent,
// it remembers what it was told to make, and it looks after that by itself (Look).
//
// The packages below hold what nodes need: agent/users, agent/webroots, agent/php and agent/nginx are the executors of a
// web node, agent/cron runs its jobs, agent/mysql that of a database node, agent/valkey that of a Valkey node;
// agent/s6, agent/beneath, agent/generation and agent/argv are what those are written with.
package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"hostctl/agent/agentpb"
	"hostctl/agent/blobs"
	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// MaxMessage is the most bytes of one message either way. Clients stay far below it.
const MaxMessage = 16 << 20

// Options say what an agent is and what it serves.
type Options struct {
	Node      string // its name
	Role      string
	Instance  string // the only one it takes orders from
	Binary    string // SHA-256 of the running program, hex
	Store     *Store
	Blobs     *blobs.Folder
	Executors map[planner.Kind]executors.Executor // by the kind of what they apply; one may stand under several kinds
	Sites     Sites                               // that other nodes may bring to theirs; nil: none
	Instances Instances                           // that other nodes may bring to theirs; nil: none
	Log       *slog.Logger                        // nil logs nothing

	// Alone says that the node is the only one of its group: what is the group's is its own to look after.
	Alone bool

	CheckEvery time.Duration                                                       // between two looks at the own node; 0: DefaultCheckEvery
	Health     func(context.Context) []executors.Part                              // nil: only whether the executors answer
	Usage      func(ctx context.Context, tenants map[int]string) []executors.Usage // of tenants by uid; nil: unknown
}

// Agent serves the executors of one node.
type Agent struct {
	agentpb.UnimplementedAgentServer
	Options
	turn     chan struct{} // held by the one batch that is being applied, or by what heals
	heals    heals         // used by who has the turn
	reports  reports
	stopping chan struct{}
	stop     func()
}

// New returns an agent; nothing is served yet.
func New(o Options) *Agent {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	stopping := make(chan struct{})
	return &Agent{
		Options: o, turn: make(chan struct{}, 1), heals: heals{},
		stopping: stopping, stop: sync.OnceFunc(func() { close(stopping) }),
	}
}

// Server returns the gRPC server that controllers reach, over mutual TLS (see identity.ServerTLS).
func (a *Agent) Server(c *tls.Config) *grpc.Server {
	s := a.server(credentials.NewTLS(c))
	agentpb.RegisterAgentServer(s, a)
	return s
}

// LocalServer returns the server for the node itself, to stand on a unix socket that only root may open: it says who
// the agent is and that it serves, and can do nothing.
func (a *Agent) LocalServer() *grpc.Server {
	s := a.server(insecure.NewCredentials())
	agentpb.RegisterAgentServer(s, hello{a: a})
	return s
}

func (a *Agent) server(c credentials.TransportCredentials) *grpc.Server {
	s := grpc.NewServer(
		grpc.Creds(c),
		grpc.MaxRecvMsgSize(MaxMessage), grpc.MaxSendMsgSize(MaxMessage),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(a.unaryPanics, a.unaryCaller), grpc.ChainStreamInterceptor(a.streamPanics, a.streamCaller),
	)
	h := health.NewServer()
	h.SetServingStatus(agentpb.Agent_ServiceDesc.ServiceName, healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(s, h)
	return s
}

// hello serves Hello alone.
type hello struct {
	agentpb.UnimplementedAgentServer
	a *Agent
}

func (h hello) Hello(ctx context.Context, r *agentpb.HelloRequest) (*agentpb.HelloReply, error) {
	return h.a.Hello(ctx, r)
}

// Hello says who the agent is.
func (a *Agent) Hello(context.Context, *agentpb.HelloRequest) (*agentpb.HelloReply, error) {
	fence, err := a.Store.Fence()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	kinds := make([]string, 0, len(a.Executors))
	for k := range a.Executors {
		kinds = append(kinds, string(k))
	}
	slices.Sort(kinds)
	return &agentpb.HelloReply{Node: a.Node, Role: a.Role, Instance: a.Instance, Binary: a.Binary, Kinds: kinds, Fence: fence}, nil
}

// MissingBlobs returns those of the named blobs that aren't here.
func (a *Agent) MissingBlobs(_ context.Context, r *agentpb.BlobIDs) (*agentpb.BlobIDs, error) {
	missing := &agentpb.BlobIDs{}
	for _, id := range r.GetIds() {
		if !a.Blobs.Has(schema.BlobID(id)) {
			missing.Ids = append(missing.Ids, id)
		}
	}
	return missing, nil
}

// PutBlobs keeps blobs.
func (a *Agent) PutBlobs(stream grpc.ClientStreamingServer[agentpb.Blob, agentpb.PutBlobsReply]) error {
	for b, err := range received(stream) {
		if err != nil {
			return err
		}
		if err := a.Blobs.Put(schema.BlobID(b.GetId()), b.GetData()); err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
	}
	return stream.SendAndClose(&agentpb.PutBlobsReply{})
}

// Observe streams what all the node's executors observe.
func (a *Agent) Observe(_ *agentpb.ObserveRequest, stream grpc.ServerStreamingServer[agentpb.ObservedObject]) error {
	for _, e := range a.distinct() {
		o, ok := e.(executors.Observer)
		if !ok {
			continue
		}
		objects, err := o.Observe(stream.Context())
		if err != nil {
			return status.Error(codes.Internal, err.Error())
		}
		for _, x := range objects {
			if err := stream.Send(&agentpb.ObservedObject{Object: planner.Encode(x)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Present streams what is there of the named objects.
func (a *Agent) Present(r *agentpb.PresentRequest, stream grpc.ServerStreamingServer[agentpb.PresentObject]) error {
	refs := make([]planner.Ref, len(r.GetRefs()))
	for i, text := range r.GetRefs() {
		var err error
		if refs[i], err = planner.ParseRef(text); err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
	}
	for _, e := range a.distinct() {
		reader, ok := e.(executors.Reader)
		mine := slices.DeleteFunc(slices.Clone(refs), func(r planner.Ref) bool { return a.Executors[r.Kind] == nil || !same(a.Executors[r.Kind], e) })
		if !ok || len(mine) == 0 {
			continue
		}
		found, err := reader.Present(stream.Context(), mine)
		if err != nil {
			return status.Error(codes.Internal, err.Error())
		}
		for _, o := range found {
			if err := stream.Send(presentObject(o)); err != nil {
				return err
			}
		}
	}
	return nil
}

func presentObject(o planner.Object) *agentpb.PresentObject {
	if a, ok := o.(executors.Altered); ok {
		return &agentpb.PresentObject{Object: []byte(a.Is.String()), Altered: a.How}
	}
	return &agentpb.PresentObject{Object: planner.Encode(o)}
}

// distinct returns each executor once, in the order of the ladder.
func (a *Agent) distinct() []executors.Executor {
	var es []executors.Executor
	for _, k := range planner.Ladder {
		if e, ok := a.Executors[k]; ok && !slices.ContainsFunc(es, func(o executors.Executor) bool { return same(o, e) }) {
			es = append(es, e)
		}
	}
	return es
}

// serves reports whether what has this target is this node's: its own, or what it shares with the other nodes of a group
// (web-1-0 serves what is of web-1).
func (a *Agent) serves(target string) bool {
	if target == a.Node {
		return true
	}
	n, ok := strings.CutPrefix(a.Node, target+"-")
	return ok && n != "" && strings.Trim(n, "0123456789") == ""
}

func (a *Agent) unaryPanics(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (_ any, err error) {
	defer a.recovered(info.FullMethod, &err)
	return next(ctx, req)
}

func (a *Agent) streamPanics(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer a.recovered(info.FullMethod, &err)
	return next(srv, s)
}

// recovered turns a panic into an error, so that one bad request doesn't end the agent.
func (a *Agent) recovered(doing string, err *error) {
	if p := recover(); p != nil {
		a.Log.Error("panic", "doing", doing, "panic", p, "stack", string(debug.Stack()))
		*err = errors.Join(*err, status.Error(codes.Internal, fmt.Sprintf("%s: panic: %v", doing, p)))
	}
}
