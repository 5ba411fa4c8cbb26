//go:build !race

package planner_test

const histories = "3000"
