package planner

import "hostctl/schema"

// Route says what becomes of requests for a host name: they go to a backend, or elsewhere. It is an entry of HAProxy's map.
// Name: the host name.
type Route struct {
	Meta
	Backend    string       `json:"backend"`              // "" where requests are sent elsewhere
	Redirect   string       `json:"redirect,omitempty"`   // where else: http(s)://host[:port], path and query are kept; or a whole URL
	Code       int          `json:"code,omitempty"`       // status of Redirect
	ForceHTTPS bool         `json:"forceHTTPS,omitempty"` // a request without TLS is sent to the same place with it
	HSTS       *schema.HSTS `json:"hsts,omitempty"`
}

// Ref implements Object.
func (o Route) Ref() Ref { return o.ref(KindRoute) }

// Cert is the certificate that a load balancer answers with for a host name. Name: the host name. Either it is made on the
// node, by itself and for a year, or it is what the tenant brings.
type Cert struct {
	Meta
	SelfSigned bool   `json:"selfSigned,omitempty"`
	Chain      string `json:"chain,omitempty"` // PEM, the host's certificate first: public
	Key        *Held  `json:"key,omitempty"`   // the secret on the node with the PEM of the key
}

// Ref implements Object.
func (o Cert) Ref() Ref { return o.ref(KindCert) }
