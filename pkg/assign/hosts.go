package assign

import (
	"net/netip"
	"slices"
	"strings"
)

// none is the index of no node and of no address.
const none = -1

// hosts are the nodes, and how many addresses of all EgressIPs each was given so far.
type hosts struct {
	nodes []Node // by name
	load  []int  // node -> addresses
}

func newHosts(nodes []Node) *hosts {
	byName := slices.SortedFunc(slices.Values(nodes), func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	return &hosts{nodes: byName, load: make([]int, len(byName))}
}

// find is the index of the node of that name.
func (h *hosts) find(name string) int {
	i, found := slices.BinarySearchFunc(h.nodes, name, func(n Node, name string) int { return strings.Compare(n.Name, name) })
	if !found {
		return none
	}
	return i
}

// suits reports whether a node may host an address, be it new there or not.
func (h *hosts) suits(node int, addr netip.Addr) bool {
	n := &h.nodes[node]
	if !n.Assignable || !n.Ready {
		return false
	}
	return slices.ContainsFunc(n.Primary, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// names lists the nodes that pass, in order.
func (h *hosts) names(pass func(node int) bool) []string {
	var names []string
	for i := range h.nodes {
		if pass(i) {
			names = append(names, h.nodes[i].Name)
		}
	}
	return names
}
