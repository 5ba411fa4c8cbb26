package nginx

import (
	"net/netip"
	"slices"
	"testing"
)

// What is left of the private networks holds every address of them but the cluster's.
func TestWithout(t *testing.T) {
	for _, hole := range []string{"10.77.0.0/24", "172.16.0.0/16", "192.168.255.240/28", "203.0.113.0/24", "10.0.0.0/16"} {
		h := netip.MustParsePrefix(hole)
		left := without(private, h)
		in := func(address string) bool {
			a := netip.MustParseAddr(address)
			return slices.ContainsFunc(left, func(s string) bool { return netip.MustParsePrefix(s).Contains(a) })
		}
		for _, address := range []string{h.Addr().String(), h.Addr().Next().String(), lastOf(h).String()} {
			if in(address) {
				t.Errorf("without %s: %s is left", hole, address)
			}
		}
		for _, around := range []netip.Addr{h.Addr().Prev(), lastOf(h).Next()} {
			want := slices.ContainsFunc(private, func(s string) bool { return netip.MustParsePrefix(s).Contains(around) })
			if in(around.String()) != want {
				t.Errorf("without %s: %s is in what is left: %v", hole, around, !want)
			}
		}
		for _, address := range []string{"10.79.3.1", "172.31.255.255", "192.168.0.1", "fd00::1"} {
			if !h.Contains(netip.MustParseAddr(address)) && !in(address) {
				t.Errorf("without %s: %s isn't left", hole, address)
			}
		}
		for _, s := range left {
			if p := netip.MustParsePrefix(s); p != p.Masked() {
				t.Errorf("without %s: %s isn't a network", hole, s)
			}
		}
		if in("192.0.2.1") || in("127.0.0.1") {
			t.Errorf("without %s: an address is left that isn't private", hole)
		}
	}
}
