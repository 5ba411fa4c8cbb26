package haproxy

import (
	"strings"
	"testing"

	"hostctl/planner"
)

const sharedFile = `# sites of the shop
legacy.example.com	old-farm
  spaced.example.com   old farm
# hostctl 3f0c: from here to the end all is generated, and read back. Changes made here by hand are lost.
# backend web-1
# server web-1/web-1-0 10.77.0.10:80 ready
a.example.com web-1
# hostctl end
late.example.com old-farm
`

func TestShared(t *testing.T) {
	s, err := parseShared(sharedFile, "3f0c")
	if err != nil {
		t.Fatal(err)
	}
	if s.ours.servers["web-1/web-1-0"] != (server{"10.77.0.10:80", planner.ServerReady}) || s.ours.routes["a.example.com"] != "web-1" || len(s.ours.backends) != 1 {
		t.Errorf("ours: %+v", s.ours)
	}
	if got := s.theirs["spaced.example.com"]; len(got) != 1 || got[0] != "old farm" || len(s.theirs) != 3 {
		t.Errorf("theirs: %q", s.theirs)
	}
	s.taken["legacy.example.com"] = true
	delete(s.ours.routes, "a.example.com")
	const want = `# sites of the shop
  spaced.example.com   old farm
late.example.com old-farm
# hostctl 3f0c: from here to the end all is generated, and read back. Changes made here by hand are lost.
# backend web-1
# server web-1/web-1-0 10.77.0.10:80 ready
# hostctl end
`
	if got := string(s.bytes("3f0c")); got != want {
		t.Errorf("written:\n%s\nwant:\n%s", got, want)
	}
}

// B12: a section that isn't as we write it is not read as another one.
func TestB12_SharedMapFile(t *testing.T) {
	begin := sectionBegin + "3f0c" + sectionText + "\n"
	for name, text := range map[string]string{
		"another inventory": strings.Replace(sharedFile, "hostctl 3f0c", "hostctl 4711", 1),
		"no end":            begin + "a.example.com web-1\n",
		"no begin":          "a.example.com web-1\n" + sectionEnd + "\n",
		"twice":             begin + sectionEnd + "\n" + begin + sectionEnd + "\n",
		"a name twice":      begin + "a.example.com web-1\na.example.com web-2\n" + sectionEnd + "\n",
		"a comment":         begin + "# by hand\n" + sectionEnd + "\n",
		"no backend":        begin + "a.example.com\n" + sectionEnd + "\n",
		"no name":           begin + "A.example.com web-1\n" + sectionEnd + "\n",
		"an odd address":    begin + "# server web-1/web-1-0 localhost:80 ready\n" + sectionEnd + "\n",
		"an odd state":      begin + "# server web-1/web-1-0 192.0.2.1:80 up\n" + sectionEnd + "\n",
		"CRLF":              begin + "a.example.com web-1\r\n" + sectionEnd + "\n",
	} {
		if _, err := parseShared(text, "3f0c"); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// What was read is written as it was, others' lines byte for byte; and it is read as the same again.
func FuzzShared(f *testing.F) {
	f.Add(sharedFile)
	f.Add("")
	f.Add("\n\n# hostctl end\n")
	f.Add("a b\r\nc")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseShared(text, "3f0c")
		if err != nil {
			return
		}
		b := s.bytes("3f0c")
		again, err := parseShared(string(b), "3f0c")
		if err != nil || string(again.bytes("3f0c")) != string(b) {
			t.Errorf("%q is written as %q, and that is read as another one: %v", text, b, err)
		}
		if len(s.ours.routes)+len(s.ours.backends)+len(s.ours.servers) == 0 && !strings.Contains(text, sectionBegin) && text != "" && string(b) != strings.TrimSuffix(text, "\n")+"\n" {
			t.Errorf("%q is written as %q", text, b)
		}
	})
}

// What stands in the rules and in the list is read as it was written, others' lines byte for byte, or not at all.
func FuzzSharedRulesAndList(f *testing.F) {
	o := Options{Certs: "/l.hostctl", List: "/l"}
	begin, end := sectionBegin+"3f0c"+sectionText+"\n", sectionEnd+"\n"
	f.Add("moved.example.com -|-|-|302|https://a.example/\n"+begin+"a.example.com web-1|https|5sp|-|-\n"+end, "/c/theirs.pem [alpn h2] b.example.com !c.example.com\n"+begin+"/l.hostctl/a.example.com.pem a.example.com\n"+end)
	f.Add(begin+"a.example.com web-1\n"+end, begin+"/etc/shadow a.example.com\n"+end)
	f.Fuzz(func(t *testing.T, rules, list string) {
		s, err := parseShared("", "3f0c")
		if err != nil || s.readRules(rules, "3f0c") != nil || s.readList(list, "3f0c", o) != nil {
			return
		}
		again, _ := parseShared("", "3f0c")
		wroteRules, wroteList := string(s.rulesBytes("3f0c")), string(s.listBytes("3f0c", o))
		if err := again.readRules(wroteRules, "3f0c"); err != nil || string(again.rulesBytes("3f0c")) != wroteRules {
			t.Errorf("%q is written as %q, and that is read as another one: %v", rules, wroteRules, err)
		}
		if err := again.readList(wroteList, "3f0c", o); err != nil || string(again.listBytes("3f0c", o)) != wroteList {
			t.Errorf("%q is written as %q, and that is read as another one: %v", list, wroteList, err)
		}
		for host := range s.ours.certs {
			if checkHost(host) != nil {
				t.Errorf("a certificate for %q", host)
			}
		}
	})
}

// FuzzSharedList: an entry is ours only where it is exactly what was added.
func FuzzSharedList(f *testing.F) {
	o := Options{Certs: "/l.hostctl", List: "/l"}
	f.Add("/l.hostctl/a.example.com.pem:3 a.example.com\n/c/theirs.pem:1 [alpn h2 ocsp-update on] B.example.com *.example.org\n")
	f.Add("/l.hostctl/a.example.com.pem a.example.com\n:1\n[ ]\n")
	f.Add("/c/theirs.pem:1 [alpn h2 ocsp-update on] B.example.com *.example.org\n")
	f.Fuzz(func(t *testing.T, text string) {
		ours, theirs := o.parseSharedList(text)
		for host, entry := range ours {
			if !isWord(entry) || !strings.HasPrefix(entry, o.certFile(host)+":") {
				t.Errorf("%q: %s is at %q", text, host, entry)
			}
		}
		if text == "/c/theirs.pem:1 [alpn h2 ocsp-update on] B.example.com *.example.org\n" && (!theirs["b.example.com"] || theirs["alpn"]) {
			t.Errorf("theirs: %v", theirs)
		}
	})
}
