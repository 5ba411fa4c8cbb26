package schema

// check applies the rules that hold between resources. A resource with errors of its own is passed over.
func (c *catalog) check() {
}
