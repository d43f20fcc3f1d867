// Package assign decides which node hosts which address of which EgressIP. It is a pure function of plain values:
// the same facts give the same plan, whatever the order in which nodes are listed.
//
// # Rules
//
//   - An address is hosted by an egress node (labelled and Ready) whose primary subnet contains it.
//   - No address is on two nodes, and no node hosts two addresses of one EgressIP, whatever their family.
//   - What cannot be a source address, or belongs to a node, a reserved network or an older EgressIP, is refused.
//   - An address stays where it is while that node may host it, unless another address of the same EgressIP can be
//     placed only if it moves. Only nodes with a live agent are given addresses that they do not host yet.
//   - Addresses are spread evenly: the least loaded nodes are taken first, then the first by name.
//
// # What is guaranteed
//
// For every EgressIP the number of placed addresses is the largest possible; among such placements the number of
// addresses that move is the smallest possible, and among those the nodes that are taken are the least loaded.
//
// The argument: nodes have no capacity yet, so EgressIPs do not compete for nodes, and each is a problem of its own,
// a matching between its addresses and the nodes with a cost on every pair (a move outweighs any load). Seating
// every address that may stay costs nothing, so it is the cheapest way to serve those addresses. From there each
// step follows the cheapest augmenting path: an unplaced address takes a node, its address another, until one ends
// on a free node. Such a path keeps every address placed that was placed. While a larger matching exists there is
// an augmenting path (Berge), and cheapest paths keep a matching the cheapest of its size (successive shortest
// paths for minimum-cost flow), so the search is complete.
//
// Across EgressIPs the spread is greedy, in the order of precedence: it is within one address of even when all nodes
// may host all addresses and nothing was placed before, and no more is claimed otherwise. Once nodes have
// capacities, EgressIPs do compete: the problem is then a flow through address, (EgressIP, node) and node, whose
// augmenting paths run through several EgressIPs; the search is the same, over that larger graph.
package assign
