package schema_test

import (
	"encoding/hex"
	"encoding/pem"
	"net/netip"
	"strings"
	"testing"

	"hostctl/schema"
)

// FuzzDatabaseValues: what ends up in SQL is what it says, and is read as itself again. No error quotes a hash.
func FuzzDatabaseValues(f *testing.F) {
	seed(f)
	for _, s := range []string{
		"10.0.0.0/8", "192.0.2.7", "0.0.0.0/0", "10.1.2.3/8", "::1/128", "10.0.0.0/8' OR '1", "shop", "sh_op", "sh`op", "utf8mb4_bin", "latin1",
		"0x" + "24412430303524" + strings.Repeat("61", 63), "2441243030352430313233343536373839303132333435363738396161", "$A$005$",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if network, err := schema.ParseUserHost(s); err == nil {
			p, bad := netip.ParsePrefix(network)
			if again, err := schema.ParseUserHost(network); bad != nil || !p.Addr().Is4() || err != nil || again != network {
				t.Fatalf("%q is read as the network %q", s, network)
			}
		}
		if hash, err := schema.ParsePasswordHash(s); err == nil {
			if b, bad := hex.DecodeString(hash); bad != nil || len(b) != 70 || !strings.HasPrefix(string(b), "$A$") {
				t.Fatalf("%q is read as the hash %q", s, hash)
			}
		} else if len(s) > 12 && strings.Contains(err.Error(), s) {
			t.Fatalf("the error quotes %q", s)
		}
		for _, check := range []func(string) error{schema.CheckDatabaseName, schema.CheckDatabaseUser} {
			if check(s) == nil && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
				t.Fatalf("%q is a name in SQL", s)
			}
		}
		if schema.CheckCollation(s, s) == nil && s != "binary" {
			t.Fatalf("%q is a character set with a collation of its name", s)
		}
	})
}

// FuzzMachineValues: addresses, networks and clients are read as themselves again.
func FuzzMachineValues(f *testing.F) {
	seed(f)
	for _, s := range []string{"10.77.0.0/24", "10.77.0.1/24", "2001:db8::/64", "192.0.2.1", "::ffff:192.0.2.1", "fe80::1%eth0", "010.0.0.1", "NET_ADMIN", "SYS_ADMIN", "all"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := schema.ParseAddress(s); err == nil {
			if again, err := schema.ParseAddress(a.String()); err != nil || again != a || a.Zone() != "" {
				t.Fatalf("%q is read as the address %q", s, a)
			}
		}
		if p, err := schema.ParseSubnet(s); err == nil {
			if again, err := schema.ParseSubnet(p.String()); err != nil || again != p || p.Masked() != p {
				t.Fatalf("%q is read as the network %q", s, p)
			}
		}
		if c, err := schema.ParseClients(s); err == nil {
			if again, err := schema.ParseClients(c); err != nil || again != c || strings.ContainsAny(c, " ;{}\n\"'") {
				t.Fatalf("%q is read as the clients %q", s, c)
			}
		}
		if schema.CheckCapability(s) == nil && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") != "" {
			t.Fatalf("%q is a capability", s)
		}
	})
}

// FuzzPrivateKey: of a PEM file one key in one block is left, and no error tells what is in it.
func FuzzPrivateKey(f *testing.F) {
	block := func(kind, text string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(text)}))
	}
	f.Add([]byte(block("PRIVATE KEY", "a key")))
	f.Add([]byte(block("EC PARAMETERS", "curve") + block("EC PRIVATE KEY", "a key")))
	f.Add([]byte(block("PRIVATE KEY", "one") + block("PRIVATE KEY", "two")))
	f.Add([]byte(block("ENCRYPTED PRIVATE KEY", "a key")))
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"))
	f.Add([]byte("no PEM at all"))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := schema.PrivateKey(b)
		if err != nil {
			if len(b) > 12 && strings.Contains(err.Error(), string(b)) {
				t.Fatalf("the error holds what was read: %v", err)
			}
			return
		}
		one, rest := pem.Decode(key)
		if one == nil || len(rest) > 0 || !strings.HasSuffix(one.Type, "PRIVATE KEY") || len(one.Headers) > 0 {
			t.Fatalf("%q is left of %q", key, b)
		}
		if _, err := schema.CheckPair(b, key); err != nil && strings.Contains(err.Error(), string(key)) {
			t.Fatalf("the error holds the key: %v", err)
		}
	})
}
