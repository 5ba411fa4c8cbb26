package schema

import "cmp"

// UnmanagedPolicy is what becomes of records that are in a zone and that nobody declares. "" says nothing.
type UnmanagedPolicy string

// The policies.
const (
	UnmanagedReport UnmanagedPolicy = "report" // they are told of, and left alone
	UnmanagedDelete UnmanagedPolicy = "delete" // the next plan deletes them
	UnmanagedIgnore UnmanagedPolicy = "ignore" // nobody tells of them
)

// UnmanagedIn returns what becomes of records that nobody declares in a zone: what the zone says, else the platform.
func (m Manifest) UnmanagedIn(z *Zone) UnmanagedPolicy {
	return cmp.Or(z.Unmanaged, m.Platform.Unmanaged, UnmanagedReport)
}
