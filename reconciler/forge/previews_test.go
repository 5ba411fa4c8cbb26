package forge_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"hostctl/reconciler/forge"
	"hostctl/reconciler/forge/forgetest"
	"hostctl/reconciler/git"
	"hostctl/reconciler/git/gittest"
)

// scenarios are what happens to pull requests, the same on every forge, one after the other on one repository.
var scenarios = []struct {
	name string
	run  func(*world)
}{
	{"opened", opened}, {"pushed to", pushedTo}, {"ten pushes", tenPushes}, {"the base moves", baseMoves}, {"a conflict", conflict},
	{"from a fork", fromFork}, {"5xx and 429", comesBack}, {"comment deleted", commentDeleted}, {"others' comments", othersComments},
	{"a large plan", largePlan}, {"another leads", anotherLeads}, {"killed before it noted", killed}, {"a bad file", badFile},
	{"closed", closed}, {"the base is broken", baseBroken},
}

func TestPreviews(t *testing.T) {
	for _, kind := range forge.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, kind)
			for _, s := range scenarios {
				ok := t.Run(s.name, func(t *testing.T) {
					outer := w.TB
					w.TB = t
					defer func() { w.TB = outer }()
					s.run(w)
				})
				if !ok {
					break
				}
			}
			w.noToken()
		})
	}
}

// A mirror of the repository, over HTTP, brings the pull requests, and those that are closed go.
func TestPreviewsOfAMirror(t *testing.T) {
	w := stillWorld(t, forge.Gitea)
	served := gittest.Serve(t, filepath.Dir(w.repo.Bare), gittest.Options{Token: forgetest.Token})
	token := filepath.Join(t.TempDir(), "token")
	w.must(os.WriteFile(token, []byte(forgetest.Token+"\n"), 0o600))
	dir := filepath.Join(t.TempDir(), "mirror.git")
	mirror, err := git.OpenMirror(t.Context(), git.Remote{URL: served.URL + "/platform.git", Branch: "main", TokenFile: token}, dir, slog.New(slog.NewTextHandler(w.logs, nil)))
	w.must(err)
	w.repository, w.platform.Source = mirror, mirror
	w.start(w.newPreviews(filepath.Join(t.TempDir(), "previews")))
	defer func() { w.must(w.stop()) }()
	opened(w)
	baseMoves(w)
	closed(w)
	kept := gittest.Git(t, dir, "for-each-ref", "refs/previews/")
	if strings.Contains(kept, fmt.Sprintf("/%d/", w.number)) || !strings.Contains(kept, "/1/") {
		t.Errorf("it keeps\n%s", kept)
	}
	w.noToken()
}

// noToken checks that nothing that is written holds the token.
func (w *world) noToken() {
	if strings.Contains(w.logs.String(), forgetest.Token) {
		w.Error("the token is logged")
	}
	w.must(filepath.WalkDir(w.previews.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), forgetest.Token) {
			w.Errorf("%s holds the token", path)
		}
		return err
	}))
}

// A status says that it is being planned, then what comes of it, and after that the comment is made.
func opened(w *world) {
	w.Requests()
	id := w.commit("tenants/acme/opened.yaml", webroot("opened"))
	n := w.open(id)
	w.status(id, "success", "1 to create")
	c := w.said(n, "### What this change does\n\n**Plan: 1 to create, 0 to update, 0 to replace, 0 to delete.**")
	for _, want := range []string{"+ webroot ", "Applied now, it does just that.", fmt.Sprintf("In full: `hostctl preview %.12s`", id)} {
		if !strings.Contains(c.Body, want) {
			w.Errorf("the comment lacks %q:\n%s", want, c.Body)
		}
	}
	if !strings.HasPrefix(c.Body, "<!-- hostctl preview "+instance+" -->\n") {
		w.Errorf("it begins with %.80q", c.Body)
	}
	all := w.Statuses(id)
	if len(all) > 2 || len(all) == 2 && all[0].State != "pending" {
		w.Errorf("statuses: %v", all)
	}
	var posted []string
	for _, r := range w.Requests() {
		switch {
		case strings.HasPrefix(r, "POST ") && strings.Contains(r, "/statuses/"):
			posted = append(posted, "status")
		case strings.HasPrefix(r, "POST "):
			posted = append(posted, "comment")
		}
	}
	// That it is pending need not be told any more once it is planned.
	if got := slices.Compact(posted); !slices.Equal(got, []string{"status", "comment"}) {
		w.Errorf("posted: %v", posted)
	}
}

// The comment is replaced, and what it said is folded away.
func pushedTo(w *world) {
	first := w.commit("tenants/acme/pushed.yaml", webroot("pushed"))
	n := w.open(first)
	before := w.said(n, "1 to create")
	id := w.more("tenants/acme/pushed-2.yaml", webroot("pushed-2"))
	w.Open(n, id)
	w.previews.Look(n)
	w.status(id, "success", "2 to create")
	c := w.said(n, "**Plan: 2 to create")
	if c.ID != before.ID || c.Edited != 1 {
		w.Errorf("comment %d was edited %d times, and %d was there before", c.ID, c.Edited, before.ID)
	}
	if want := fmt.Sprintf("<details><summary>Before, of %.12s</summary>\n\n### What this change does\n\n**Plan: 1 to create", first); !strings.Contains(c.Body, want) {
		w.Errorf("it doesn't fold away what it said before:\n%s", c.Body)
	}
}

// Of pushes in a row the newest is told.
func tenPushes(w *world) {
	id := w.commit("tenants/acme/ten.yaml", webroot("ten"))
	n := w.open(id)
	for i := range 10 {
		id = w.more(fmt.Sprintf("tenants/acme/ten-%d.yaml", i), webroot(fmt.Sprintf("ten-%d", i)))
		w.Open(n, id)
		w.previews.Look(n)
	}
	w.status(id, "success", "11 to create")
	if c := w.said(n, "**Plan: 11 to create"); c.Edited > 10 {
		w.Errorf("the comment was edited %d times", c.Edited)
	}
}

// When the base moves all is planned again. What comes to the same isn't told again.
func baseMoves(w *world) {
	id := w.commit("tenants/acme/moves.yaml", webroot("moves"))
	n := w.open(id)
	before := w.said(n, "1 to create")
	w.moveMain("README.md", "of no interest\n")
	w.previews.Look(0)
	w.settled(n)
	if all, c := w.Statuses(id), w.said(n, ""); len(all) > 2 || c.Edited != 0 || c.Body != before.Body {
		w.Errorf("it is told again: %v, %d edits", all, c.Edited)
	}
	w.moveMain("tenants/acme/moves.yaml", webroot("moves"))
	w.previews.Look(0)
	w.status(id, "success", "changes nothing")
	w.said(n, "### What this change does\n\n**No changes.**\n\n### What applying it now would do\n\n**Plan: 1 to create")
}

// settled waits until a pull request has been looked at since.
func (w *world) settled(number int) {
	w.Helper()
	w.Requests()
	w.previews.Look(number)
	w.until("another look", func() bool {
		return slices.ContainsFunc(w.Requests(), func(r string) bool {
			return strings.HasPrefix(r, "GET ") && (strings.Contains(r, "/comments") || strings.Contains(r, "/notes"))
		})
	})
}

func conflict(w *world) {
	id := w.commit("tenants/acme/acme.yaml", "# mine\n")
	w.moveMain("tenants/acme/acme.yaml", "# theirs\n"+w.repo.Git("show", "main:tenants/acme/acme.yaml")+"\n")
	n := w.open(id)
	w.status(id, "failure", "conflicts with main in tenants/acme/acme.yaml")
	w.said(n, "### It conflicts with the branch\n")
}

// What comes from a fork waits for somebody who may write to the repository, or is written by one.
func fromFork(w *world) {
	fork := func(author string) (int, string) {
		w.number++
		id := w.commit(fmt.Sprintf("tenants/acme/fork-%d.yaml", w.number), webroot("fork"))
		w.OpenFork(w.number, id, author)
		w.previews.Look(w.number)
		return w.number, id
	}
	n, id := fork("mallory")
	w.status(id, "pending", "comes from a fork; somebody who may write here starts its preview with the label "+forge.StartLabel)
	w.previews.Look(n)
	other, theirs := fork("ann")
	w.status(theirs, "success", "1 to create")
	w.said(other, "1 to create")
	if len(w.Comments(n)) > 0 || len(w.Statuses(id)) > 2 {
		w.Errorf("a fork is told %v, %v", w.Comments(n), w.Statuses(id))
	}
	w.Label(n, forge.StartLabel)
	w.previews.Look(n)
	w.status(id, "success", "1 to create")
}

// A forge that is down, or asks for time, loses nothing, and gets the status before the comment.
func comesBack(w *world) {
	var refused atomic.Int64
	w.Break(func(rw http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method == http.MethodGet || refused.Load() >= 3:
			return false
		case refused.Add(1) == 1:
			http.Error(rw, "<html>no JSON</html>", http.StatusServiceUnavailable)
		default:
			rw.Header().Set("Retry-After", "1")
			http.Error(rw, `{"message":"slow down, `+forgetest.Token+`"}`, http.StatusTooManyRequests)
		}
		return true
	})
	id := w.commit("tenants/acme/back.yaml", webroot("back"))
	n := w.open(id)
	w.said(n, "1 to create")
	w.status(id, "success", "1 to create")
	w.Break(nil)
	if got := refused.Load(); got != 3 {
		w.Errorf("%d requests were refused", got)
	}
}

// A comment that somebody has deleted is made again.
func commentDeleted(w *world) {
	n := w.open(w.commit("tenants/acme/deleted.yaml", webroot("deleted")))
	before := w.said(n, "1 to create")
	w.Delete(before.ID)
	w.previews.Look(n)
	if c := w.said(n, "1 to create"); c.ID == before.ID || c.Body != before.Body {
		w.Errorf("it is made again as %q", c.Body)
	}
}

// A comment isn't ours for beginning as ours do, nor for being written by the same login.
func othersComments(w *world) {
	w.number++
	id := w.commit("tenants/acme/others.yaml", webroot("others"))
	w.Write(w.number, "mallory", "<!-- hostctl preview "+instance+" -->\nthe marker of ours")
	w.Write(w.number, "ann", "I say: <!-- hostctl preview "+instance+" -->")
	w.number--
	n := w.open(id)
	w.said(n, "1 to create")
	for _, c := range w.Comments(n) {
		if c.Edited > 0 {
			w.Errorf("the comment of %s was edited", c.Login)
		}
	}
}

func largePlan(w *world) {
	if w.Kind == forge.Gitea {
		return // its limit is GitHub's
	}
	w.commit("README.md", "large\n")
	for i := range 400 {
		name := fmt.Sprintf("large-%d", i)
		w.repo.Write("tenants/"+name+"/all.yaml", "apiVersion: hosting/v1\nkind: Tenant\nmetadata: {name: "+name+"}\nspec: {plan: small, shards: {web: web-1}}\n---\n"+webroot("www"))
	}
	id := w.repo.Commit("400 tenants")
	n := w.open(id)
	w.status(id, "success", "800 to create")
	c := w.said(n, "**Plan: 800 to create")
	cut := strings.Contains(c.Body, "lines aren't shown")
	if w.Kind == forge.GitLab && (cut || len(c.Body) < 70_000) || w.Kind != forge.GitLab && (!cut || len(c.Body) > 65_536 || len(c.Body) < 40_000) {
		w.Errorf("a comment of %d bytes, cut: %v\n%.900s", len(c.Body), cut, c.Body)
	}
	if want := fmt.Sprintf("In full: `hostctl preview %.12s`\n", id); !strings.HasSuffix(c.Body, want) {
		w.Errorf("it ends with %q", c.Body[len(c.Body)-100:])
	}
	w.Close(n)
}

// When another hostd takes the lead it goes on where the first has stopped, and tells nothing twice.
func anotherLeads(w *world) {
	id := w.commit("tenants/acme/leads.yaml", webroot("leads"))
	n := w.open(id)
	w.said(n, "1 to create")
	w.must(w.stop())
	lost := w.newPreviews(w.previews.Dir)
	lost.Check = func() error { return errors.New("another hostd has taken over") }
	w.start(lost)
	w.Open(n, w.more("tenants/acme/leads-2.yaml", webroot("leads-2")))
	lost.Look(n)
	if w.stop() == nil {
		w.Error("one that doesn't lead works on")
	}
	id2 := w.repo.Git("rev-parse", "HEAD")
	if len(w.Statuses(id2)) > 0 {
		w.Errorf("one that doesn't lead says %v", w.Statuses(id2))
	}
	w.Open(n, id)
	w.start(w.newPreviews(w.previews.Dir))
	w.settled(n)
	if all, c := w.Statuses(id), w.said(n, ""); len(all) > 2 || c.Edited != 0 {
		w.Errorf("it is told twice: %v, %d edits", all, c.Edited)
	}
}

// One that was killed between what it did and the note of it asks whether it did.
func killed(w *world) {
	id := w.commit("tenants/acme/killed.yaml", webroot("killed"))
	n := w.open(id)
	w.said(n, "1 to create")
	w.must(w.stop())
	file := filepath.Join(w.previews.Dir, fmt.Sprintf("%d.json", n))
	b, err := os.ReadFile(file)
	w.must(err)
	telling := `"telling":{"Commit":"` + id + `","State":"success","Context":"hostctl","Description":"1 to create"},"unknown":{`
	w.must(os.WriteFile(file, []byte(strings.Replace(string(b), `"told":{`, telling, 1)), 0o600))
	w.start(w.newPreviews(w.previews.Dir))
	w.moveMain("tenants/acme/other.yaml", webroot("other")) // it is planned again, and told
	w.previews.Look(n)
	w.settledAgain(n)
	if all, c := w.Statuses(id), w.said(n, ""); len(all) > 2 || c.Edited > 1 {
		w.Errorf("told twice: %v, %d edits", all, c.Edited)
	}
}

// settledAgain waits until the previews have told all there is.
func (w *world) settledAgain(number int) {
	w.Helper()
	file := filepath.Join(w.previews.Dir, fmt.Sprintf("%d.json", number))
	w.until("all is told", func() bool {
		b, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(b), `"told":{"status":{"Commit"`) && strings.Contains(string(b), `"comment":`)
	})
}

// The first problem is in the status, all of them with their places in the comment.
func badFile(w *world) {
	id := w.commit("tenants/acme/bad.yaml", "# a comment\n"+strings.Replace(webroot("bad"), "static", "cobol", 1)+"  colour: red\n")
	n := w.open(id)
	w.status(id, "failure", "tenants/acme/bad.yaml:6:19: webroot/bad: spec.runtime.type: ")
	c := w.said(n, "### Not accepted\n\n```text\ntenants/acme/bad.yaml:6:19: ")
	if !strings.Contains(c.Body, id+"/tenants/acme/bad.yaml#L6)") || !strings.Contains(c.Body, id+"/tenants/acme/bad.yaml#L7)") {
		w.Errorf("it leads to no lines:\n%s", c.Body)
	}
}

// What is closed, or is to go elsewhere, is forgotten.
func closed(w *world) {
	n := w.open(w.commit("tenants/acme/closed.yaml", webroot("closed")))
	w.said(n, "1 to create")
	other := w.open(w.commit("tenants/acme/elsewhere.yaml", webroot("elsewhere")))
	w.said(other, "1 to create")
	w.Close(n)
	w.Retarget(other, "next")
	w.previews.Look(n)
	w.previews.Look(0)
	w.until("they are forgotten", func() bool {
		_, err := os.Stat(filepath.Join(w.previews.Dir, fmt.Sprintf("%d.json", n)))
		_, otherErr := os.Stat(filepath.Join(w.previews.Dir, fmt.Sprintf("%d.json", other)))
		return os.IsNotExist(err) && os.IsNotExist(otherErr)
	})
}

// What is wrong with the base isn't blamed on who proposes something else, and who mends it may.
func baseBroken(w *world) {
	good := w.repo.Git("rev-parse", "main")
	w.moveMain("platform/broken.yaml", "kind: [\n")
	id := w.commit("tenants/acme/broken.yaml", webroot("broken"))
	n := w.open(id)
	w.status(id, "error", "main itself can't be planned: platform/broken.yaml:")
	w.said(n, "That isn't this change's doing.")
	worse := w.commit("tenants/acme/worse.yaml", strings.Replace(webroot("worse"), "static", "cobol", 1))
	w.open(worse)
	w.status(worse, "failure", "tenants/acme/worse.yaml:")
	mend := w.commit("platform/broken.yaml", "# nothing\n")
	n = w.open(mend)
	w.status(mend, "success", "mends main; then ")
	w.said(n, "### It mends the branch\n")
	w.repo.Push("--force", good+":main")
}

// A token that isn't taken is no reason to say it.
func TestTokenIsNeverSaid(t *testing.T) {
	repo := gittest.New(t, t.TempDir(), "platform.git")
	repo.Commit("nothing")
	for _, kind := range forge.Kinds {
		s := forgetest.Serve(t, kind, repo)
		const wrong = "hunter2-hunter2"
		far, err := forge.New(forge.Options{Kind: kind, URL: s.URL, Project: forgetest.Project, Token: func() (string, error) { return wrong, nil }})
		if err != nil {
			t.Fatal(err)
		}
		for name, fault := range map[string]gittest.Fault{
			"answered 401": nil,
			"the forge has moved the project to evil.test/": gittest.Redirect("https://evil.test"),
			"answered 418: you said …": func(w http.ResponseWriter, r *http.Request) bool {
				w.WriteHeader(http.StatusTeapot)
				fmt.Fprintf(w, `{"message": "you said %s"}`, wrong)
				return true
			},
		} {
			s.Break(fault)
			_, err = far.PullRequest(t.Context(), 1)
			if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), wrong) {
				t.Errorf("%s: %v, want %q", kind, err, name)
			}
		}
	}
}

func TestWhereAForgeIs(t *testing.T) {
	for _, c := range []struct{ kind, url, project, want string }{
		{"github", "", "acme/platform", ""},
		{"gitlab", "", "acme/sub/platform", ""},
		{"gitea", "http://127.0.0.1:3000/api/v1", "acme/platform", ""},
		{"gitea", "", "acme/platform", "no URL"},
		{"github", "http://git.acme.test/api/v3", "acme/platform", "wants https"},
		{"github", "https://ann:hunter2@git.acme.test/api/v3", "acme/platform", "put the token into a file"},
		{"github", "https://git.acme.test/api/v3?a=b", "acme/platform", "no more"},
		{"github", "https://ann:hunter2@[", "acme/platform", "can't be read"},
		{"github", "", "acme", "want owner/name"},
		{"github", "", "acme/a/b", "want owner/name"},
		{"github", "", "acme/..", "want owner/name"},
		{"github", "", "acme/a?b", "want owner/name"},
		{"svn", "https://svn.test", "acme/a", "no forge that is known"},
	} {
		_, err := forge.New(forge.Options{Kind: forge.Kind(c.kind), URL: c.url, Project: c.project})
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%v: %v", c, err)
		}
	}
}
