//go:build race

package planner_test

// Under the race detector a history takes ten times as long, and the planner has no goroutines to race.
const histories = "300"
