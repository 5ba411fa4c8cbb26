package haproxy

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"hostctl/executors"
	"hostctl/planner"
)

// Answers of HAProxy 3.0.11, and what is no answer.
const (
	stateHeader = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port"
	stateLine   = "4 web-1 1 web-1-0 127.0.0.1 2 %d 1 1 0 1 0 2 6 0 0 0 - 81 - 0 0 - - 0"
)

func TestParseServers(t *testing.T) {
	for bits, want := range map[int]planner.ServerState{
		0: planner.ServerReady, 4: planner.ServerReady, // "disabled" in the configuration, and ready since
		1: planner.ServerMaint, 5: planner.ServerMaint, 0x20: planner.ServerMaint, 9: planner.ServerMaint,
		8: planner.ServerDrain, 12: planner.ServerDrain, 0x10: planner.ServerDrain,
	} {
		got, err := parseServers(stateHeader + "\n" + fmt.Sprintf(stateLine, bits))
		if err != nil || len(got) != 1 || got["web-1/web-1-0"] != (server{"127.0.0.1:81", want}) {
			t.Errorf("admin state %d: %v, %v; want %s", bits, got, err, want)
		}
	}
	if got, err := parseServers(stateHeader); err != nil || len(got) != 0 {
		t.Errorf("no servers: %v, %v", got, err)
	}
	for name, reply := range map[string]string{
		"nothing": "", "an error": "Can't find backend.", "another version": "2" + stateHeader[1:],
		"a cut line": stateHeader + "\n4 web-1 1", "no address": stateHeader + "\n" + strings.Replace(fmt.Sprintf(stateLine, 0), "127.0.0.1", "-", 1),
		"a column less": strings.Replace(stateHeader, "srv_admin_state ", "", 1),
	} {
		if got, err := parseServers(reply); err == nil {
			t.Errorf("%s: %v, want an error", name, got)
		}
	}
}

// Up is what runs and has passed its last check: a server that becomes ready runs at once, and is down after one check more.
func TestParseUp(t *testing.T) {
	for line, want := range map[string]bool{
		"4 web-1 1 web-1-0 127.0.0.1 2 0 1 1 0 6 3 2 6 0 0 0 - 81 - 0 0 - - 0":  true,
		"4 web-1 1 web-1-0 127.0.0.1 2 0 1 1 0 6 3 1 6 0 0 0 - 81 - 0 0 - - 0":  false, // a check has failed, or none was made
		"4 web-1 1 web-1-0 127.0.0.1 0 0 1 1 0 6 2 0 6 0 0 0 - 81 - 0 0 - - 0":  false,
		"4 web-1 1 web-1-0 127.0.0.1 2 0 1 1 0 1 0 1 14 0 0 0 - 81 - 0 0 - - 0": false,
	} {
		if got, err := parseUp(stateHeader + "\n" + line); err != nil || got["web-1/web-1-0"] != want {
			t.Errorf("%s: %v, %v; want %v", line, got, err, want)
		}
	}
	if got, err := parseUp(strings.Replace(stateHeader, "srv_check_health ", "", 1)); err == nil {
		t.Errorf("a column less: %v, want an error", got)
	}
}

func TestParseMap(t *testing.T) {
	got, err := parseMap("0x7f21ed7030e0 x.test web-1\n0x7f21ed703150 y.test two words")
	if d := cmp.Diff([]entry{{"x.test", "web-1"}, {"y.test", "two words"}}, got, cmp.AllowUnexported(entry{})); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	for _, reply := range []string{unknownMap, "x.test web-1", "0x1 x.test", "0x1 x.test ", "0x1  web-1", "0x1 x.test web-1\n"} {
		if got, err := parseMap(reply); err == nil {
			t.Errorf("%q: %v, want an error", reply, got)
		}
	}
}

func TestParseGetMap(t *testing.T) {
	value, found, err := parseGetMap(`type=str, case=sensitive, found=yes, idx=tree, key="a.test", value="web-1", type="str"`)
	if value != "web-1" || !found || err != nil {
		t.Errorf("%q, %v, %v", value, found, err)
	}
	if value, found, err := parseGetMap("type=str, case=sensitive, found=no"); value != "" || found || err != nil {
		t.Errorf("%q, %v, %v", value, found, err)
	}
	for _, reply := range []string{"", unknownMap, "type=str, case=sensitive", `found=yes, value="x"`, "type=str, found=yes"} {
		if _, _, err := parseGetMap(reply); err == nil {
			t.Errorf("%q: want an error", reply)
		}
	}
}

func TestParseMapCount(t *testing.T) {
	const list = "# id (file) description\n-1 (/m/other.map) pattern loaded … curr_ver=0 next_ver=0 entry_cnt=7\n" +
		"5 (/m/hosts.map) pattern loaded from file '/m/hosts.map' used by map at file '/etc/haproxy.cfg' line 18. curr_ver=0 next_ver=0 entry_cnt=12"
	if n, ok, err := parseMapCount(list, "/m/hosts.map"); n != 12 || !ok || err != nil {
		t.Errorf("%d, %v, %v", n, ok, err)
	}
	if n, ok, err := parseMapCount(list, "/m/hosts"); n != 0 || ok || err != nil {
		t.Errorf("a map that isn't there: %d, %v, %v", n, ok, err)
	}
	for _, reply := range []string{"", "Permission denied", list + "x", "# id (file) description\n5 (/m/hosts.map) pattern"} {
		if n, _, err := parseMapCount(reply, "/m/hosts.map"); err == nil {
			t.Errorf("%q: %d, want an error", reply, n)
		}
	}
}

func FuzzReplies(f *testing.F) {
	f.Add(stateHeader + "\n" + fmt.Sprintf(stateLine, 12))
	f.Add("0x7f21ed7030e0 x.test web-1")
	f.Add(`type=str, case=sensitive, found=yes, idx=tree, key="a.test", value="web-1", type="str"`)
	f.Add("Name: HAProxy\nPid: 8")
	f.Add("# pxname,svname,algo\nweb-1,BACKEND,hash")
	f.Add("# id (file) description\n5 (/m) x entry_cnt=3")
	f.Add("# bkname/svname bkid/svid addr port - purge_delay used_cur used_max\nweb-1/web-1-0 4/1 10.78.0.13 80 - 5000 3 4")
	f.Fuzz(func(t *testing.T, reply string) {
		if servers, err := parseServers(reply); err == nil {
			for name, s := range servers {
				if checkAddress(s.address) != nil && !strings.HasSuffix(s.address, ":0") && !strings.Contains(s.address, "%") || checkState(s.state) != nil {
					t.Errorf("server %q: %v", name, s)
				}
			}
		}
		if entries, err := parseMap(reply); err == nil {
			for _, e := range entries {
				if e.key == "" || e.value == "" || strings.ContainsAny(e.key+e.value, "\n") || strings.Contains(e.key, " ") {
					t.Errorf("entry %q", e)
				}
			}
		}
		if value, found, err := parseGetMap(reply); err != nil && (found || value != "") {
			t.Errorf("found with an error: %q", value)
		}
		_, _ = parseInfo(reply)
		_, _ = parseConnections(reply)
		_, _ = parseBalances(reply)
		_, _, _ = parseMapCount(reply, "/m")
	})
}

// What is read as a map file is what would be written.
func FuzzTable(f *testing.F) {
	f.Add([]byte("a.com web-1\nb.com web-2\n"))
	f.Add([]byte("a.com web-1\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := parseTable(b)
		if err != nil {
			return
		}
		again, err := parseTable(table.bytes())
		if err != nil || !maps.Equal(table, again) || len(table.bytes()) != len(b) {
			t.Errorf("%q became %q: %v", b, table.bytes(), err)
		}
	})
}

// What passes is one word: of a command, of a line, of a map.
func FuzzTokens(f *testing.F) {
	for _, s := range []string{"a.com", "a.com;disable frontend http", "a.com\nset map", "web-1", "192.0.2.1:80", "[2001:db8::1]:80", "ready"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for what, err := range map[string]error{
			"host": checkHost(s), "backend": checkBackend("backend", s), "address": checkAddress(s), "state": checkState(planner.ServerState(s)),
		} {
			if err == nil && !isWord(s) {
				t.Errorf("%s %q passes and isn't a word", what, s)
			}
			if err != nil && (executors.KindOf(err) != executors.Refused || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' })) {
				t.Errorf("%s %q: %q", what, s, err)
			}
		}
		if isWord(s) && strings.ContainsAny(s, " \t\r\n;\"'\\#<{}$`") {
			t.Errorf("%q is a word", s)
		}
	})
}

func models(t *rapid.T) model {
	m := model{head: "global\n    log stdout local0\ndefaults\n    mode http\n\n", backends: map[string]string{}, servers: map[string]server{}, routes: table{}}
	for range rapid.IntRange(0, 4).Draw(t, "backends") {
		name := rapid.StringMatching(`[a-z][a-z0-9-]{0,8}`).Draw(t, "backend")
		m.backends[name] = balanceHost
		for range rapid.IntRange(0, 3).Draw(t, "servers") {
			node := rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,7}`).Draw(t, "node")
			m.servers[name+"/"+node] = server{
				rapid.SampledFrom([]string{"192.0.2.1:80", "[2001:db8::1]:8080"}).Draw(t, "address"),
				rapid.SampledFrom([]planner.ServerState{planner.ServerReady, planner.ServerDrain, planner.ServerMaint}).Draw(t, "state"),
			}
		}
	}
	return m
}

// The configuration is the state: what is written is read back. Servers don't make another generation, all else does.
func TestConfigIsRead(t *testing.T) {
	o := Options{}.withDefaults()
	rapid.Check(t, func(t *rapid.T) {
		m := models(t)
		text := o.render(m)
		got, err := parseConfig(text)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(m, got, cmp.AllowUnexported(model{}, server{})); d != "" {
			t.Fatalf("-written +read:\n%s\n%s", d, text)
		}
		if o.render(got) != text {
			t.Fatal("written once more it is another text")
		}
		bare := m.clone()
		bare.servers = nil
		if o.generation(bare) != o.generation(m) {
			t.Fatal("servers make another generation")
		}
		bare.backends["one-more"] = balanceHost
		if m.backends["one-more"] == "" && o.generation(bare) == o.generation(m) {
			t.Fatal("another backend makes no other generation")
		}
	})
}

func TestConfigOfImage(t *testing.T) {
	m, err := parseConfig("# head\nglobal\n    tune.bufsize 65536\ndefaults\n    mode http\n\nfrontend http\n    bind :80\nbackend x\n    server a 192.0.2.1:80\n")
	if err != nil || m.head != "# head\nglobal\n    tune.bufsize 65536\ndefaults\n    mode http\n\n" || len(m.backends)+len(m.servers) != 0 {
		t.Errorf("%+v, %v", m, err)
	}
	if m.bufferSize() != 65536 || (model{}).bufferSize() != 16384 {
		t.Error("tune.bufsize")
	}
}

func TestConfigOfOthers(t *testing.T) {
	o := Options{}.withDefaults()
	m := model{head: "global\n", backends: map[string]string{"web-1": balanceHost}, servers: map[string]server{"web-1/a": {"192.0.2.1:80", planner.ServerReady}}, routes: table{}}
	text := o.render(m)
	for _, bad := range []string{
		strings.Replace(text, "192.0.2.1:80", "example.com:80", 1),
		strings.Replace(text, "server a ", "server A ", 1),
		strings.Replace(text, "server a ", "server ", 1),
		strings.Replace(text, "rise 1", "rise 1 disabled # nothing", 1),
		text + "backend be_unknown\n    server a 192.0.2.1:80\n",
	} {
		if _, err := parseConfig(bad); err == nil || !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("read without an error: %v\n%s", err, bad)
		}
	}
}
