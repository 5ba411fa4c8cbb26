// Package haproxy is the executor of a load balancer: backends, their servers, the map that leads host names to backends or
// elsewhere, and their certificates. It runs beside HAProxy 3.0, speaks to its sockets and writes its files.
//
// Every change goes the same way, in this order: the file, the running process, and a look at what the process then has.
// The file comes first, so a crash or a restart at any point is still right, and applying once more finishes the rest.
//
//	backends   in haproxy.cfg; another set of backends takes a reload, confirmed by the master process
//	servers    in haproxy.cfg, and by `add server`, `set server`, `del server` without a reload
//	certs      in a file each (mode 0400) and their list, and by `new ssl cert`, `set ssl cert`, `commit ssl cert`, `add ssl crt-list`
//	routes     in hosts.map, and by `add map`, `set map`, `del map`; many at once by `prepare map` … `commit map`
//
// What is written in haproxy.cfg below the image's own global and defaults sections is ours, and is read back from there:
// there is no other state.
//
// External drives an HAProxy that others made: their haproxy.cfg stays, and what is ours stands in a section of their map's
// file. Servers are added to backends that they declare, and routes lead to these; there are no certificates.
package haproxy
