package api

// audience is for whom a route is. The zero value is nobody.
type audience int

const (
	nobody    audience = iota
	readers            // whoever has a token: each sees what is its own
	operators          // tokens of the platform; for others it isn't there
	anybody            // without a token: it tells nothing of the platform
)

// route is one thing that can be read.
type route struct {
	Path   string // below /api/v1, as net/http's patterns have it
	Name   string
	Doc    string
	For    audience
	Query  []param
	Answer any // of the type that is answered
	Handle func(*call) (any, error)
	Stream func(*call) error // in place of Handle: server-sent events of type Answer
}

// sees reports whether a route is there for somebody.
func (rt *route) sees(who Identity) bool {
	switch whose := who.Scope.Whose(); {
	case rt == nil || who.Token == "":
		return false
	case rt.For == operators:
		return whose.All
	default:
		return rt.For == readers && (whose.All || whose.Tenant != "")
	}
}

// routes are all there are. What isn't in here doesn't answer.
var routes []route

func init() { //nolint:gochecknoinits // a handler of the table describes the table
	routes = []route{
		{Path: "/openapi.json", Name: "openapi", Doc: "This description.", For: anybody, Answer: map[string]any{}, Handle: openAPI},
		{Path: "/status", Name: "status", Doc: "How the platform stands, or what is one tenant's.", For: readers, Query: []param{paramTenant}, Answer: Status{}, Handle: status},
		{Path: "/resources", Name: "resources", Doc: "What is declared, at the commit that was applied last, by kind, tenant and name.", For: readers,
			Query: []param{paramKind, paramTenant, paramLimit, paramCursor}, Answer: Page[Resource]{}, Handle: resources},
		{Path: "/resources/{kind}/{name}", Name: "resource", Doc: "One resource, with its file, line and commit.", For: readers,
			Query: []param{paramTenant}, Answer: Resource{}, Handle: resource},
		{Path: "/resources/{kind}/{name}/history", Name: "history", Doc: "The commits that have changed the file of a resource, the newest first.", For: readers,
			Query: []param{paramTenant, paramLimit, paramCursor}, Answer: Page[Commit]{}, Handle: history},
		{Path: "/objects", Name: "objects", Doc: "What really is, as it was applied last: the inventory's records, by reference.", For: readers,
			Query: []param{paramObject, paramTenant, paramDirty, paramLimit, paramCursor}, Answer: Page[Object]{}, Handle: objects},
		{Path: "/objects/{ref...}", Name: "object", Doc: "One object by its reference: kind/target/name.", For: readers, Answer: Object{}, Handle: object},
		{Path: "/why", Name: "why", Doc: "The way of a host name or an object through all that it needs, with the file, line and commit behind each part.", For: readers,
			Query: []param{paramName, paramTenant}, Answer: Way{}, Handle: why},
		{Path: "/runs", Name: "runs", Doc: "Runs, the newest first; of a tenant those that change something of its own.", For: readers,
			Query: []param{paramTenant, paramLimit, paramCursor}, Answer: Page[Run]{}, Handle: runs},
		{Path: "/runs/{run}", Name: "run", Doc: "One run.", For: readers, Query: []param{paramTenant}, Answer: Run{}, Handle: run},
		{Path: "/runs/{run}/changes", Name: "changes", Doc: "The journal of a run, in the order of its plan.", For: readers,
			Query: []param{paramTenant, paramLimit, paramCursor}, Answer: Page[Change]{}, Handle: changes},
		{Path: "/runs/{run}/plan", Name: "runPlan", Doc: "The plan that a run carries out.", For: readers,
			Query: []param{paramTenant, paramLimit, paramCursor}, Answer: Plan{}, Handle: planOfRun},
		{Path: "/runs/{run}/events", Name: "runEvents", Doc: "What happens in a run, as it happens; the last event is of type run.", For: readers,
			Query: []param{paramTenant}, Answer: Event{}, Stream: runEvents},
		{Path: "/plan", Name: "plan", Doc: "What applying the newest commit would do now.", For: readers,
			Query: []param{paramTenant, paramLimit, paramCursor}, Answer: Plan{}, Handle: planOfHead},
		{Path: "/drift", Name: "drift", Doc: "What the latest look at all far sides has found to differ from what was applied.", For: readers,
			Query: []param{paramTenant, paramLimit, paramCursor}, Answer: Drift{}, Handle: drift},
		{Path: "/nodes", Name: "nodes", Doc: "What each node has told last of itself.", For: operators,
			Query: []param{paramLimit, paramCursor}, Answer: Page[Node]{}, Handle: nodes},
		{Path: "/events", Name: "events", Doc: "What happens, as it happens.", For: readers, Query: []param{paramTenant}, Answer: Event{}, Stream: events},
	}
}
