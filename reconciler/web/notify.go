package web

import (
	"context"
	"encoding/json"
	"net/http"
)

// maxName bounds what is asked for by name, in bytes.
const maxName = 4096

// Named is what a request names.
type Named struct {
	Name string `json:"name"`
}

// NotifyTest serves, to those who can open the socket, a test of how somebody is told:
//
//	POST /local/v1/notify/test   Named in; 502 with the reason where it didn't work
func NotifyTest(test func(ctx context.Context, name string) error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /local/v1/notify/test", func(w http.ResponseWriter, r *http.Request) {
		var q Named
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxName)).Decode(&q); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := test(r.Context(), q.Name); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	})
	return mux
}

// NotifyTest has hostd tell somebody that this is a test.
func (c *Client) NotifyTest(ctx context.Context, name string) error {
	q, err := json.Marshal(Named{name})
	if err != nil {
		return err
	}
	body, err := c.do(ctx, http.MethodPost, "/local/v1/notify/test", q)
	if err != nil {
		return err
	}
	return body.Close()
}
