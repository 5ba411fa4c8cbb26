// Package planner decides. It lowers a manifest to objects (Expand), compares them with what is live (Diff), and puts
// the changes in an order in which they can be carried out (Order). New does all three.
//
// The package is pure: no context, clock, network, randomness or log. The same manifest and the same live state give the
// same plan, byte for byte. What it decides (node, port, address, uid, order) executors carry out.
package planner
