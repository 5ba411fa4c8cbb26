// Package powerdns is the executor of the DNS of a cluster: zones and their RRsets, by PowerDNS's HTTP API and by nothing
// else, for what is written into its database directly is neither checked nor served at once.
//
// A zone's account names the inventory it belongs to; a zone of another one is never touched. Each zone gets one PATCH a
// batch, which PowerDNS carries out as one transaction, never two at a time. The serial is PowerDNS's own business
// (soa_edit_api), and RRsets that nobody applied are shown by Observe and left alone. On a server that others made, a zone
// of theirs is taken over by changes that say so (planner.Change.Adopt).
//
// A catalog is a zone of kind Producer with the TSIG key of all transfers; its members are primary zones. Nobody else's
// zones are copied.
//
// The API: https://doc.powerdns.com/authoritative/http-api/zone.html
package powerdns
