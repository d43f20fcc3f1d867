package assign

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The brute force tries every way to seat addresses on nodes under the rules that the manual states, and knows
// nothing of paths.

// score is what placements are compared by: more placed, then fewer moved, then less loaded nodes.
type score struct{ placed, moved, load int }

func (s score) better(o score) bool {
	if s.placed != o.placed {
		return s.placed > o.placed
	}
	if s.moved != o.moved {
		return s.moved < o.moved
	}
	return s.load < o.load
}

// rooted is a request as the brute force sees it: admitted addresses, and the node that each may stay on.
type rooted struct {
	name  string
	addrs []netip.Addr
	home  []string
}

// root repeats the rule of who may stay: on a node that can host it, the first listed if two are on one node.
func root(f Facts) []rooted {
	claimed := make(map[netip.Addr]bool)
	var out []rooted
	for _, r := range f.Requests {
		x := rooted{name: r.Name}
		for _, written := range r.Addresses {
			a := netip.MustParseAddr(written)
			isNode := slices.ContainsFunc(f.Nodes, func(n Node) bool { return slices.Contains(n.Addresses, a) })
			if claimed[a] || isNode {
				continue
			}
			claimed[a] = true
			home := r.Current[a]
			if !hostable(nodeNamed(f, home), a) || slices.Contains(x.home, home) {
				home = ""
			}
			x.addrs, x.home = append(x.addrs, a), append(x.home, home)
		}
		out = append(out, x)
	}
	return out
}

// best is the best score of seating the addresses from i on; whoever may stay is not left out.
func (x rooted) best(f Facts, load map[string]int, used map[string]bool, i int, s score) score {
	if i == len(x.addrs) {
		return s
	}
	best := score{placed: -1}
	if x.home[i] == "" {
		best = x.best(f, load, used, i+1, s)
	}
	for _, n := range f.Nodes {
		stays := n.Name == x.home[i]
		if used[n.Name] || !hostable(&n, x.addrs[i]) || !stays && !n.TakesNew {
			continue
		}
		next := score{placed: s.placed + 1, moved: s.moved, load: s.load + load[n.Name]}
		if !stays && x.home[i] != "" {
			next.moved++
		}
		used[n.Name] = true
		if got := x.best(f, load, used, i+1, next); got.better(best) {
			best = got
		}
		delete(used, n.Name)
	}
	return best
}

// drawTight draws one EgressIP whose addresses compete for few nodes, most of them hosted already: where paths are long.
func drawTight(t *rapid.T) Facts {
	const kinds = 5
	subnet := func(kind int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(kind), 0, 1}), 24)
	}
	var f Facts
	for i := range rapid.IntRange(3, 6).Draw(t, "nodes") {
		n := egressNode(fmt.Sprintf("n%d", i))
		for kind := range kinds {
			if rapid.IntRange(0, 2).Draw(t, "in subnet") == 0 {
				n.Primary = append(n.Primary, subnet(kind))
			}
		}
		f.Nodes = append(f.Nodes, n)
	}
	r := Request{Name: "tight", Current: make(map[netip.Addr]string)}
	for i := range rapid.IntRange(2, 6).Draw(t, "addresses") {
		a := netip.AddrFrom4([4]byte{10, byte(rapid.IntRange(0, kinds-1).Draw(t, "kind")), 0, byte(100 + i)})
		r.Addresses = append(r.Addresses, a.String())
		if rapid.IntRange(0, 2).Draw(t, "hosted") > 0 {
			r.Current[a] = rapid.SampledFrom(f.Nodes).Draw(t, "host").Name
		}
	}
	f.Requests = []Request{r}
	return f
}

func TestNoSeatingPlacesMoreOrMovesLess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkBest(t, drawFacts(t, 4, 3, 4))
		for range 20 {
			checkBest(t, drawTight(t))
		}
	})
}

// checkBest compares the plan with the best seating of each EgressIP, in order of precedence.
func checkBest(t *rapid.T, f Facts) {
	node := make(map[netip.Addr]string)
	for _, x := range Compute(f).Placements {
		node[x.Address] = x.Node
	}
	requests := root(f)
	load := make(map[string]int) // what each node hosts before an EgressIP is filled
	for _, x := range requests {
		for _, home := range x.home {
			load[home]++
		}
	}
	for _, x := range requests {
		for _, home := range x.home {
			load[home]--
		}
		var got score
		for i, a := range x.addrs {
			if node[a] == "" {
				continue
			}
			got.placed++
			got.load += load[node[a]]
			if x.home[i] != "" && x.home[i] != node[a] {
				got.moved++
			}
		}
		if want := x.best(f, load, make(map[string]bool), 0, score{}); got != want {
			t.Fatalf("%s: %+v, but %+v is possible: %v", x.name, got, want, node)
		}
		for _, a := range x.addrs {
			if node[a] != "" {
				load[node[a]]++
			}
		}
	}
}
