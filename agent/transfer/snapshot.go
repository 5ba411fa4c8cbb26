package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hostctl/agent/agentpb"
	"hostctl/executors"
	"hostctl/planner"
)

// SendSnapshot streams a snapshot and since when nothing was written; without one that alone.
func SendSnapshot(freeze string, snapshot io.Reader, stream grpc.ServerStreamingServer[agentpb.SnapshotPart]) error {
	if err := stream.Send(&agentpb.SnapshotPart{Freeze: freeze}); err != nil || snapshot == nil {
		return err
	}
	sum, buffer := sha256.New(), make([]byte, chunkSize)
	for {
		n, err := snapshot.Read(buffer)
		if n > 0 {
			sum.Write(buffer[:n])
			if err := stream.Send(&agentpb.SnapshotPart{Data: buffer[:n]}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return stream.Send(&agentpb.SnapshotPart{Sum: sum.Sum(nil)})
		}
		if err != nil {
			return status.Error(codes.Internal, err.Error())
		}
	}
}

// Snapshot writes all that a frozen Valkey instance holds on another node, and returns which freeze that is of. Where into is
// nil it only asks for that.
func (p Puller) Snapshot(ctx context.Context, from planner.CopySource, instance string, into io.Writer) (freeze string, err error) {
	conn, err := p.connect(planner.Peer(from))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }() // all was read
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream where it isn't read to its end
	freeze, err = snapshot(ctx, agentpb.NewAgentClient(conn), instance, into)
	doing := fmt.Sprintf("bring instance %s from node %s", instance, from.Node)
	switch {
	case ctx.Err() != nil:
		return "", executors.NotTried(ctx)
	case status.Code(err) == codes.Unavailable:
		return "", executors.Errorf(executors.Unreachable, "%s: %w", doing, err)
	case status.Code(err) == codes.FailedPrecondition:
		return "", executors.Errorf(executors.Drifted, "%s: %w", doing, err)
	case err != nil:
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	return freeze, nil
}

func snapshot(ctx context.Context, far agentpb.AgentClient, instance string, into io.Writer) (freeze string, err error) {
	stream, err := far.Snapshot(ctx, &agentpb.SnapshotRequest{Instance: instance, FreezeOnly: into == nil})
	if err != nil {
		return "", err
	}
	first, err := stream.Recv()
	if err != nil {
		return "", err
	}
	if first.GetFreeze() == "" || into == nil {
		return first.GetFreeze(), nil
	}
	sum := sha256.New()
	for {
		part, err := stream.Recv()
		if err != nil {
			return "", err // also where it ends without the last part
		}
		if len(part.GetSum()) > 0 {
			if !bytes.Equal(part.GetSum(), sum.Sum(nil)) {
				return "", errors.New("what came isn't what was sent")
			}
			return first.GetFreeze(), nil
		}
		if _, err := io.MultiWriter(into, sum).Write(part.GetData()); err != nil {
			return "", err
		}
	}
}
