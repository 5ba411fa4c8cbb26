package nginx

import (
	"net/netip"
	"strings"
)

// private are the networks that nobody has to himself (RFC 1918, RFC 4193).
var private = []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"}

// trusted are the addresses and networks from which a request's word on who the client is counts, of an entry of Vhost.Front.
func trusted(front string) []string {
	if but, ok := strings.CutPrefix(front, "!"); ok {
		if hole, err := netip.ParsePrefix(but); err == nil { // as check has seen
			return without(private, hole)
		}
	}
	return []string{front}
}

// without returns networks that hold what some others hold, but for one.
func without(networks []string, hole netip.Prefix) []string {
	var left []string
	for _, s := range networks {
		for p := netip.MustParsePrefix(s); ; {
			if !p.Overlaps(hole) {
				left = append(left, p.String())
				break
			}
			if p.Bits() >= hole.Bits() {
				break // all of it is in the hole
			}
			lower := netip.PrefixFrom(p.Addr(), p.Bits()+1)
			upper := netip.PrefixFrom(lastOf(lower).Next(), p.Bits()+1)
			if lower.Overlaps(hole) {
				left, p = append(left, upper.String()), lower
			} else {
				left, p = append(left, lower.String()), upper
			}
		}
	}
	return left
}

// lastOf is the last address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b) // it has an address's length
	return a
}
