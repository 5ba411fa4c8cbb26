// Package api is hostd's read API, /api/v1: what hostctl shows of a platform, for programs, over HTTP. It changes nothing.
//
// Who reads is known by a bearer token (RFC 6750), which is a person's of the platform, or one tenant's. A tenant's token
// sees what is that tenant's alone: of all else not even how much there is. Every answer is audited before it is given.
package api
