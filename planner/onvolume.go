package planner

import (
	"slices"
	"strings"
)

// StoredOn returns what is stored on a volume with data, as kinds of objects of a target, and so is gone with it: a web
// shard's files are its webroots, a service database is the catalog, the zones and RRsets of its cluster's DNS,
// a database node's the databases and their users.
func StoredOn(volume Ref) (target string, kinds []Kind) {
	if shard, ok := strings.CutSuffix(volume.Name, filesSuffix); ok {
		return shard, []Kind{KindWebroot}
	}
	if cluster, ok := strings.CutSuffix(volume.Name, dbSuffix+databaseSuffix); ok {
		return cluster + dnsSuffix, []Kind{KindCatalog, KindZone, KindRRset}
	}
	if shard, ok := strings.CutSuffix(volume.Name, mysqlSuffix); ok {
		return shard, []Kind{KindDatabase, KindDatabaseUser}
	}
	if shard, ok := strings.CutSuffix(volume.Name, valkeySuffix); ok {
		return shard, []Kind{KindValkey, KindValkeyUser}
	}
	return "", nil
}

// OnVolumes returns the objects of a state that are stored on volumes, sorted. The agent of a node is on its own volume.
func OnVolumes(s State, volumes []Ref) []Ref {
	if len(volumes) == 0 {
		return nil
	}
	kinds := map[string][]Kind{}
	own := map[Ref]bool{}
	for _, v := range volumes {
		own[v] = true
		if target, of := StoredOn(v); target != "" {
			kinds[target] = of
		}
	}
	var out []Ref
	for ref, o := range s {
		a, isAgent := o.(Agent)
		if isAgent && own[Ref{KindVolume, a.Target, a.Volume}] || slices.Contains(kinds[ref.Target], ref.Kind) {
			out = append(out, ref)
		}
	}
	return sorted(out)
}
