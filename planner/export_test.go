package planner

// Spared returns how many plans were made without planning everything.
func (m *Memo) Spared() int { return m.spared }

// DecodeCanonical and DecodeAny are the two ways of Decode.
var (
	DecodeCanonical = decodeCanonical
	DecodeAny       = decodeAny
)
