package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"hostctl/agent/agentpb"
	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// sendBlobs sends the files of cs that the agent doesn't have. Blobs that can't be read here are returned with the reason:
// only what needs them is stopped.
func (a *Agent) sendBlobs(ctx context.Context, cs []planner.Change) (lacking map[schema.BlobID]error, err error) {
	lacking = map[schema.BlobID]error{}
	for ids := range slices.Chunk(blobsOf(cs), maxIDs) {
		missing, err := a.client.MissingBlobs(ctx, &agentpb.BlobIDs{Ids: ids})
		if err != nil {
			return nil, a.failed(ctx, err)
		}
		if err := a.putBlobs(ctx, missing.GetIds(), lacking); err != nil {
			return nil, err
		}
	}
	return lacking, nil
}

func (a *Agent) putBlobs(ctx context.Context, ids []string, lacking map[schema.BlobID]error) error {
	if len(ids) == 0 {
		return nil
	}
	stream, err := a.client.PutBlobs(ctx)
	if err != nil {
		return a.failed(ctx, err)
	}
	for _, id := range ids {
		data, err := a.readBlob(schema.BlobID(id))
		if err != nil {
			lacking[schema.BlobID(id)] = err
			continue
		}
		err = stream.Send(&agentpb.Blob{Id: id, Data: data})
		if errors.Is(err, io.EOF) { // the agent ended the call; why, CloseAndRecv says
			break
		}
		if err != nil {
			return a.failed(ctx, err)
		}
	}
	if _, err := stream.CloseAndRecv(); err != nil {
		return a.failed(ctx, err)
	}
	return nil
}

func (a *Agent) readBlob(id schema.BlobID) ([]byte, error) {
	if a.Blobs == nil {
		return nil, fmt.Errorf("read blob %s: no source of files", id)
	}
	data, err := a.Blobs.Read(id)
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", id, err)
	}
	return data, nil
}

// blobsOf returns the ids of all files that changes put in place, each once.
func blobsOf(cs []planner.Change) []string {
	var ids []string
	seen := map[schema.BlobID]bool{}
	for _, c := range cs {
		for _, f := range files(c) {
			if !seen[f.Blob] {
				seen[f.Blob] = true
				ids = append(ids, string(f.Blob))
			}
		}
	}
	return ids
}

func files(c planner.Change) []schema.ContentFile {
	w, ok := c.New.(planner.Webroot)
	if !ok || w.Kept {
		return nil
	}
	return w.Files
}

// lacks returns why a change can't be sent, or nil.
func lacks(c planner.Change, lacking map[schema.BlobID]error) error {
	for _, f := range files(c) {
		if err := lacking[f.Blob]; err != nil {
			return executors.Errorf(executors.Unknown, "%s: file %s: %w", c.Ref(), f.Path, err)
		}
	}
	return nil
}
