package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"hostctl/agent/agentpb"
)

// ping asks the agent of this node whether it serves.
func ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the program ends with it
	health, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: agentpb.Agent_ServiceDesc.ServiceName})
	if err != nil {
		return fmt.Errorf("the agent doesn't answer at %s: %w", socket, err)
	}
	if health.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		return fmt.Errorf("the agent says %s", health.GetStatus())
	}
	hello, err := agentpb.NewAgentClient(conn).Hello(ctx, &agentpb.HelloRequest{})
	if err != nil {
		return err
	}
	fmt.Printf("%s %s sha256:%s\n", hello.GetNode(), hello.GetRole(), hello.GetBinary())
	return nil
}
