package inventory

// InsideKinds are the kinds of objects that go with a container.
var InsideKinds = insideKinds
