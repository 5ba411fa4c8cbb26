// Package remote is the near end of a node agent: an executor whose far side is the executors of a node.
package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"hostctl/agent/agentpb"
	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

const (
	// ConnectTimeout is how long a node may take to accept a connection: a dead one must not hold up a run.
	ConnectTimeout = 3 * time.Second

	maxMessage = 16 << 20 // as the agent's
	maxBatch   = 3 << 20  // bytes of changes in one message
	maxIDs     = 20_000   // blob ids in one message
	maxSecret  = 64 << 10 // bytes of a secret's value
)

// Options say which agent to speak to, and for whom.
type Options struct {
	Address  string // host:port
	Node     string
	TLS      *tls.Config // see identity.CA.ClientTLS
	Instance string
	Fence    int64               // number of the run
	Blobs    executors.Blobs     // the files of webroots; nil where none are applied
	Policy   *schema.DriftPolicy // what the node does about drift from now on; nil: as before
	Secrets  executors.Secrets   // the values of secrets; nil where none are applied
}

// Agent is an executor and observer at the other end of a connection.
type Agent struct {
	Options
	conn   *grpc.ClientConn
	client agentpb.AgentClient
}

// Dial returns the agent at an address. It doesn't wait for the connection, which is made when it is first needed, and
// again whenever it was lost.
func Dial(o Options) (*Agent, error) {
	conn, err := grpc.NewClient("passthrough:///"+o.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(o.TLS)),
		grpc.WithConnectParams(grpc.ConnectParams{
			MinConnectTimeout: ConnectTimeout,
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
	)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", o.Node, err)
	}
	return &Agent{Options: o, conn: conn, client: agentpb.NewAgentClient(conn)}, nil
}

// Close ends the connection.
func (a *Agent) Close() error { return a.conn.Close() }

// Hello asks the agent who it is: the node is ready when it answers.
func (a *Agent) Hello(ctx context.Context) (*agentpb.HelloReply, error) {
	h, err := a.client.Hello(ctx, &agentpb.HelloRequest{})
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	return h, nil
}

// Apply implements executors.Executor. Files that the agent lacks are sent before the changes that put them in place.
func (a *Agent) Apply(ctx context.Context, cs []planner.Change) []error {
	if ctx.Err() != nil {
		return executors.All(len(cs), a.failed(ctx, ctx.Err()))
	}
	errs := make([]error, len(cs))
	lacking, err := a.sendBlobs(ctx, cs)
	if err != nil {
		return executors.All(len(cs), err)
	}
	for _, m := range messages(cs) {
		a.applyMessage(ctx, cs, m, lacking, errs)
	}
	return errs
}

// messages cuts a batch into what goes into one message each, as indices of changes.
func messages(cs []planner.Change) [][]int {
	var ms [][]int
	size := maxBatch
	for i, c := range cs {
		n := 200
		if c.Old != nil {
			n += len(planner.Encode(c.Old))
		}
		if c.New != nil {
			n += len(planner.Encode(c.New))
		}
		if _, ok := c.New.(planner.Secret); ok {
			n += maxSecret
		}
		if size+n > maxBatch {
			ms, size = append(ms, nil), 0
		}
		ms[len(ms)-1] = append(ms[len(ms)-1], i)
		size += n
	}
	return ms
}

// applyMessage sends the changes with these indices and writes their errors. What lacks a blob isn't sent.
func (a *Agent) applyMessage(ctx context.Context, cs []planner.Change, indices []int, lacking map[schema.BlobID]error, errs []error) {
	r := &agentpb.ApplyRequest{Instance: a.Instance, Fence: a.Fence, Policy: policy(a.Policy)}
	var sent []int
	for _, i := range indices {
		if errs[i] = lacks(cs[i], lacking); errs[i] != nil {
			continue
		}
		m := encode(cs[i])
		if m.Secret, errs[i] = a.reveal(ctx, cs[i]); errs[i] == nil {
			sent = append(sent, i)
			r.Changes = append(r.Changes, m)
		}
	}
	if len(sent) == 0 {
		return
	}
	reply, err := a.client.Apply(ctx, r)
	if err == nil && len(reply.GetResults()) != len(sent) {
		err = fmt.Errorf("%d results for %d changes", len(reply.GetResults()), len(sent))
	}
	for n, i := range sent {
		if err != nil {
			errs[i] = a.failed(ctx, err)
			continue
		}
		errs[i] = decode(reply.GetResults()[n])
	}
}

// Observe implements executors.Observer.
func (a *Agent) Observe(ctx context.Context) ([]planner.Object, error) {
	stream, err := a.client.Observe(ctx, &agentpb.ObserveRequest{})
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	var objects []planner.Object
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, a.failed(ctx, err)
		}
		o, err := planner.Decode(m.GetObject())
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", a.Node, err)
		}
		objects = append(objects, o)
	}
}

// Present implements executors.Reader.
func (a *Agent) Present(ctx context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	found := map[planner.Ref]planner.Object{}
	for part := range slices.Chunk(refs, maxIDs) {
		r := &agentpb.PresentRequest{}
		for _, ref := range part {
			r.Refs = append(r.Refs, ref.String())
		}
		stream, err := a.client.Present(ctx, r)
		if err != nil {
			return nil, a.failed(ctx, err)
		}
		for {
			m, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, a.failed(ctx, err)
			}
			o, err := presentObject(m)
			if err != nil {
				return nil, fmt.Errorf("node %s: %w", a.Node, err)
			}
			found[o.Ref()] = o
		}
	}
	return found, nil
}

func presentObject(m *agentpb.PresentObject) (planner.Object, error) {
	if m.GetAltered() == "" {
		return planner.Decode(m.GetObject())
	}
	ref, err := planner.ParseRef(string(m.GetObject()))
	return executors.Altered{Is: ref, How: m.GetAltered()}, err
}

func encode(c planner.Change) *agentpb.Change {
	m := &agentpb.Change{Action: string(c.Action), Expect: string(c.Expect), Id: int64(c.ID), Force: c.Force, Adopt: c.Adopt}
	if c.Old != nil {
		m.Old = planner.Encode(c.Old)
	}
	if c.New != nil {
		m.New = planner.Encode(c.New)
	}
	return m
}

// decode returns the error that a result stands for.
func decode(r *agentpb.Result) error {
	if r.GetKind() == "" {
		return nil
	}
	return &executors.Error{Kind: executors.Kind(r.GetKind()), Batch: r.GetBatch(), Err: errors.New(r.GetMessage())}
}

// failed gives an error of a call its kind.
func (a *Agent) failed(ctx context.Context, err error) error {
	kind := executors.Unknown
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded:
		kind = executors.Unreachable
	case codes.ResourceExhausted, codes.Aborted:
		kind = executors.Busy
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
		kind = executors.Refused
	}
	if ctx.Err() != nil {
		kind, err = executors.Canceled, context.Cause(ctx)
	}
	if s, ok := status.FromError(err); ok {
		err = errors.New(s.Message())
	}
	return executors.Errorf(kind, "node %s: %w", a.Node, err)
}
