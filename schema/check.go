package schema

// check applies the rules that hold between resources. A resource with errors of its own is passed over, and so is a
// reference that linking has reported.
func (c *catalog) check() {
	c.checkFormerNames()
	c.checkNodes()
	c.checkNetworks()
	c.checkPorts()
	c.checkHosts()
	c.checkDatabaseShards()
	c.checkValkey()
	c.checkTenants()
	c.checkShells()
	c.checkWebroots()
	c.checkDomains()
	c.checkHostnames()
	c.linkCertificates()
	c.checkTLS()
	c.checkZones()
	c.checkExternal()
	c.checkRecords()
	c.checkEmail()
}
