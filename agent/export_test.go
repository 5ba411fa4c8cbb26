package agent

import (
	"context"

	"hostctl/executors"
)

// LookOnce is one turn of Look.
func (a *Agent) LookOnce(ctx context.Context) executors.Report {
	r := a.look(ctx)
	a.reports.publish(r)
	return r
}
