package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"hostctl/planner"
)

// encodePlan returns a plan's content hash and its JSON.
func encodePlan(p planner.Plan) (hash, body string, err error) {
	b, err := json.Marshal(p)
	if err != nil {
		return "", "", fmt.Errorf("encode plan: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), string(b), nil
}
