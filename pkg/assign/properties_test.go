package assign

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// subnets are few, so that nodes overlap in what they can host.
var subnets = []string{"10.1.0.%d/24", "10.2.0.%d/24", "fd01::%d/64"}

// drawFacts draws small clusters in which conflicts, lost nodes and lack of room are all likely.
func drawFacts(t *rapid.T, maxNodes, maxRequests, maxAddresses int) Facts {
	var f Facts
	for i := range rapid.IntRange(0, maxNodes).Draw(t, "nodes") {
		n := Node{
			Name:       fmt.Sprintf("n%d", i),
			Assignable: rapid.IntRange(0, 9).Draw(t, "assignable") > 0,
			Ready:      rapid.IntRange(0, 9).Draw(t, "ready") > 0,
			TakesNew:   rapid.IntRange(0, 4).Draw(t, "takesNew") > 0,
		}
		for _, s := range subnets {
			if rapid.Bool().Draw(t, "in "+s) {
				p := netip.MustParsePrefix(fmt.Sprintf(s, i+1))
				n.Primary = append(n.Primary, p)
				n.Addresses = append(n.Addresses, p.Addr())
			}
		}
		f.Nodes = append(f.Nodes, n)
	}
	address := rapid.Custom(func(t *rapid.T) string {
		s := rapid.SampledFrom(subnets).Draw(t, "subnet")
		return netip.MustParsePrefix(fmt.Sprintf(s, rapid.IntRange(3, 19).Draw(t, "host"))).Addr().String()
	})
	for i := range rapid.IntRange(1, maxRequests).Draw(t, "requests") {
		r := Request{Name: fmt.Sprintf("e%d", i), Current: make(map[netip.Addr]string)}
		r.Addresses = rapid.SliceOfN(address, 0, maxAddresses).Draw(t, "addresses")
		for _, a := range r.Addresses {
			if rapid.Bool().Draw(t, "hosted") {
				r.Current[netip.MustParseAddr(a)] = fmt.Sprintf("n%d", rapid.IntRange(0, maxNodes).Draw(t, "host node"))
			}
		}
		f.Requests = append(f.Requests, r)
	}
	return f
}

func nodeNamed(f Facts, name string) *Node {
	i := slices.IndexFunc(f.Nodes, func(n Node) bool { return n.Name == name })
	if i < 0 {
		return nil
	}
	return &f.Nodes[i]
}

// hostable states the rule of eligibility again, from the manual rather than from the code.
func hostable(n *Node, a netip.Addr) bool {
	return n != nil && n.Assignable && n.Ready &&
		slices.ContainsFunc(n.Primary, func(p netip.Prefix) bool { return p.Masked().Contains(a) })
}

func TestEveryPlanKeepsTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFacts(t, 4, 4, 5)
		p := Compute(f)

		hostOf := make(map[netip.Addr]string)
		hosted := make(map[string]bool)
		for i, x := range p.Placements {
			n := nodeNamed(f, x.Node)
			if !hostable(n, x.Address) {
				t.Fatalf("%v: node %+v cannot host it", x, n)
			}
			if other, ok := hostOf[x.Address]; ok {
				t.Fatalf("%s is on %s and on %s", x.Address, other, x.Node)
			}
			hostOf[x.Address] = x.Node
			if key := x.EgressIP + "@" + x.Node; hosted[key] {
				t.Fatalf("node %s hosts two addresses of %s: %v", x.Node, x.EgressIP, p.Placements)
			} else {
				hosted[key] = true
			}
			request := slices.IndexFunc(f.Requests, func(r Request) bool { return r.Name == x.EgressIP })
			if !n.TakesNew && f.Requests[request].Current[x.Address] != x.Node {
				t.Fatalf("%v is new on a node whose agent is silent", x)
			}
			if i > 0 && p.Placements[i-1].EgressIP > x.EgressIP {
				t.Fatalf("placements are not in the order of requests: %v", p.Placements)
			}
		}
		checkEveryAddressIsAnsweredOnce(t, f, p)
	})
}

func checkEveryAddressIsAnsweredOnce(t *rapid.T, f Facts, p Plan) {
	answers := make(map[string]int)
	for _, x := range p.Placements {
		answers[x.EgressIP+"/"+x.Address.String()]++
	}
	for _, x := range p.Refusals {
		answers[x.EgressIP+"/"+x.Address]++
		if x.Message == "" || x.Reason == "" {
			t.Fatalf("refusal without words: %+v", x)
		}
	}
	want := make(map[string]int)
	for _, r := range f.Requests {
		for _, a := range r.Addresses {
			want[r.Name+"/"+a] = 1
		}
	}
	if diff := cmp.Diff(want, answers); diff != "" {
		t.Fatalf("answers for an address (-want +got):\n%s", diff)
	}
}

func TestTheOrderOfNodesDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFacts(t, 4, 4, 5)
		want := Compute(f)
		f.Nodes = rapid.Permutation(f.Nodes).Draw(t, "permutation")
		if diff := cmp.Diff(places(want), places(Compute(f))); diff != "" {
			t.Fatalf("placements (-first order +other order):\n%s", diff)
		}
		if diff := cmp.Diff(want.Refusals, Compute(f).Refusals); diff != "" {
			t.Fatalf("refusals (-first order +other order):\n%s", diff)
		}
	})
}

func TestComputeDoesNotChangeItsInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFacts(t, 4, 3, 4)
		before := slices.Clone(f.Nodes)
		hosted := maps.Clone(f.Requests[0].Current)
		Compute(f)
		for i := range before {
			if before[i].Name != f.Nodes[i].Name {
				t.Fatalf("nodes were reordered")
			}
		}
		if !maps.Equal(hosted, f.Requests[0].Current) {
			t.Fatalf("Current was changed")
		}
	})
}

// carryOut puts a plan into the facts.
func carryOut(f Facts, p Plan) Facts {
	requests := slices.Clone(f.Requests)
	for i := range requests {
		requests[i].Current = make(map[netip.Addr]string)
		for _, x := range p.Placements {
			if x.EgressIP == requests[i].Name {
				requests[i].Current[x.Address] = x.Node
			}
		}
	}
	f.Requests = requests
	return f
}

func TestAPlanThatWasCarriedOutChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFacts(t, 4, 4, 5)
		want := Compute(f)
		got := Compute(carryOut(f, want))
		if diff := cmp.Diff(places(want), places(got)); diff != "" {
			t.Fatalf("placements (-first +second):\n%s", diff)
		}
		if diff := cmp.Diff(want.Refusals, got.Refusals); diff != "" {
			t.Fatalf("refusals (-first +second):\n%s", diff)
		}
	})
}

func TestANodeThatJoinsMovesNothingThatCouldStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFacts(t, 4, 4, 3)
		first := Compute(f)
		if slices.ContainsFunc(first.Refusals, func(r Refusal) bool { return r.Reason != Taken }) {
			t.Skip("moves may be needed to place the rest")
		}
		f = carryOut(f, first)
		f.Nodes = append(slices.Clone(f.Nodes), egressNode("a new one", "10.1.0.99/24", "10.2.0.99/24", "fd01::99/64"))
		if diff := cmp.Diff(places(first), places(Compute(f))); diff != "" {
			t.Fatalf("placements (-before +after a node joined):\n%s", diff)
		}
	})
}

func TestInOneSubnetNodesDifferByAtMostOneAddress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f Facts
		load := make(map[string]int)
		for i := range rapid.IntRange(1, 6).Draw(t, "nodes") {
			n := egressNode(fmt.Sprintf("n%d", i), fmt.Sprintf("10.1.0.%d/16", i+1))
			load[n.Name] = 0
			f.Nodes = append(f.Nodes, n)
		}
		for i := range rapid.IntRange(0, 9).Draw(t, "requests") {
			r := Request{Name: fmt.Sprintf("e%d", i)}
			for a := range rapid.IntRange(1, 8).Draw(t, "addresses") {
				r.Addresses = append(r.Addresses, fmt.Sprintf("10.1.%d.%d", i+1, a))
			}
			f.Requests = append(f.Requests, r)
		}
		for _, x := range Compute(f).Placements {
			load[x.Node]++
		}
		loads := slices.Collect(maps.Values(load))
		if slices.Max(loads)-slices.Min(loads) > 1 {
			t.Fatalf("load = %v", load)
		}
	})
}
