package schema

import (
	"slices"
	"strconv"

	"gopkg.in/yaml.v3"
)

func decodeEmailDomain(d *decoder, spec *yaml.Node) any {
	for _, field := range []string{"domain", "servers", "spf", "dkim", "catchAll"} {
		d.mark("spec."+field, child(spec, field))
	}
	spf, dmarc, dns := child(spec, "spf"), child(spec, "dmarc"), child(spec, "dns")
	e := &EmailDomain{
		Domain:    parsed(d, child(spec, "domain"), ParseHostname),
		Servers:   list(d, child(spec, "servers"), ParseHostname),
		SPF:       SPF{Include: list(d, child(spf, "include"), ParseInclude), All: d.plain(child(spf, "all"))},
		DMARC:     DMARC{Policy: d.plain(child(dmarc, "policy")), Reports: list(d, child(dmarc, "reports"), ParseDestination)},
		CatchAll:  d.value(child(spec, "catchAll"), CheckSlug),
		ManageDNS: d.flag(child(dns, "manage"), true),
		TTL:       d.integer(child(dns, "ttl"), 0),
	}
	if e.SPF.All == "" {
		e.SPF.All = "softfail"
	}
	if e.DMARC.Policy == "" {
		e.DMARC.Policy = "none"
	}
	d.unique(child(spec, "servers"), e.Servers)
	d.unique(child(spf, "include"), e.SPF.Include)
	d.unique(child(dmarc, "reports"), e.DMARC.Reports)
	for i, n := range items(child(spec, "dkim")) {
		d.mark("spec.dkim["+strconv.Itoa(i)+"]", n)
		key := parsed(d, child(n, "publicKey"), ParseDKIMKey)
		key.Selector = d.value(child(n, "selector"), CheckSelector)
		if slices.ContainsFunc(e.DKIM, func(k DKIMKey) bool { return k.Selector == key.Selector }) && key.Selector != "" {
			d.fail(child(n, "selector"), "%q names two keys; give each its own selector", key.Selector)
		}
		e.DKIM = append(e.DKIM, key)
	}
	return e
}

func decodeEmailAccount(d *decoder, spec *yaml.Node) any {
	d.mark("spec.address", child(spec, "address"))
	return &EmailAccount{
		Address:      parsed(d, child(spec, "address"), ParseEmailAddress),
		DisplayName:  d.value(child(spec, "displayName"), CheckDisplayName),
		Quota:        parsed(d, child(spec, "quota"), ParseQuantity),
		PasswordHash: d.value(child(spec, "passwordHash"), CheckMailPasswordHash),
	}
}

func decodeEmailAlias(d *decoder, spec *yaml.Node) any {
	accounts := child(spec, "accounts")
	d.mark("spec.address", child(spec, "address"))
	a := &EmailAlias{
		Address:  parsed(d, child(spec, "address"), ParseEmailAddress),
		Accounts: list(d, accounts, checked(CheckSlug)),
	}
	for i, n := range items(accounts) {
		d.mark("spec.accounts["+strconv.Itoa(i)+"]", n)
	}
	d.unique(accounts, a.Accounts)
	return a
}

func decodeEmailForward(d *decoder, spec *yaml.Node) any {
	destinations := child(spec, "destinations")
	for _, field := range []string{"address", "destinations", "keepCopy"} {
		d.mark("spec."+field, child(spec, field))
	}
	f := &EmailForward{
		Address:      parsed(d, child(spec, "address"), ParseEmailAddress),
		Destinations: list(d, destinations, ParseDestination),
		KeepCopy:     d.flag(child(spec, "keepCopy"), false),
	}
	d.unique(destinations, f.Destinations)
	return f
}

func decodeEmailAutoreply(d *decoder, spec *yaml.Node) any {
	until := child(spec, "until")
	d.mark("spec.account", child(spec, "account"))
	a := &EmailAutoreply{
		Account: d.value(child(spec, "account"), CheckSlug),
		Subject: d.value(child(spec, "subject"), func(s string) error { return CheckText(s, 200) }),
		Body:    d.value(child(spec, "body"), CheckBody),
		From:    parsed(d, child(spec, "from"), ParseDate),
		Until:   parsed(d, until, ParseDate),
	}
	if !a.Until.IsZero() && a.Until.Before(a.From) {
		d.fail(until, "is before spec.from; swap them")
	}
	return a
}
