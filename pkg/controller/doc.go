// Package controller turns EgressIPs, nodes and pods into placements, handshakes with the nodes' agents, and rows
// of the northbound database.
//
// One goroutine, the Writer of the leader, does all of it in passes. A pass reads the caches, plans
// (assign.Compute), tells nodes what to prepare (EgressNode.spec), compiles the rows of what changed, writes them
// in one fenced transaction, and reports (EgressIP.status). Deciding is in pure functions: prepare, serve, podSets
// and report. What has to happen later than something else is decided from acknowledged facts, never from the
// memory of having done it, so that a new leader carries on where the last one was stopped.
package controller
