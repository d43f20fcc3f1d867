package assign

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// egressNode is a labelled, Ready node with a live agent.
func egressNode(name string, primary ...string) Node {
	n := Node{Name: name, Assignable: true, Ready: true, TakesNew: true}
	for _, p := range primary {
		prefix := netip.MustParsePrefix(p)
		n.Primary = append(n.Primary, prefix)
		n.Addresses = append(n.Addresses, prefix.Addr())
	}
	return n
}

func with(n Node, change func(*Node)) Node {
	change(&n)
	return n
}

func current(pairs ...string) map[netip.Addr]string {
	m := make(map[netip.Addr]string)
	for i := 0; i < len(pairs); i += 2 {
		m[netip.MustParseAddr(pairs[i])] = pairs[i+1]
	}
	return m
}

// places writes the placements as "egressip/address@node".
func places(p Plan) []string {
	var out []string
	for _, x := range p.Placements {
		out = append(out, x.EgressIP+"/"+x.Address.String()+"@"+x.Node)
	}
	return out
}

// refusals writes the refusals as "egressip/address: reason".
func refusals(p Plan) []string {
	var out []string
	for _, x := range p.Refusals {
		out = append(out, x.EgressIP+"/"+x.Address+": "+string(x.Reason))
	}
	return out
}

var three = []Node{
	egressNode("n1", "172.18.0.11/16"),
	egressNode("n2", "172.18.0.12/16"),
	egressNode("n3", "172.18.0.13/16"),
}

func TestCompute(t *testing.T) {
	silent := func(n *Node) { n.TakesNew = false }
	tests := []struct {
		name         string
		facts        Facts
		wantPlaces   []string
		wantRefusals []string
	}{{
		name:       "an address goes to the first of equally loaded nodes",
		facts:      Facts{Nodes: three, Requests: []Request{{Name: "a", Addresses: []string{"172.18.0.200"}}}},
		wantPlaces: []string{"a/172.18.0.200@n1"},
	}, {
		name: "addresses of one EgressIP go to different nodes, and what exceeds them is refused",
		facts: Facts{Nodes: three, Requests: []Request{
			{Name: "a", Addresses: []string{"172.18.0.200", "172.18.0.201", "172.18.0.202", "172.18.0.203"}}}},
		wantPlaces:   []string{"a/172.18.0.200@n1", "a/172.18.0.201@n2", "a/172.18.0.202@n3"},
		wantRefusals: []string{"a/172.18.0.203: NotEnoughNodes"},
	}, {
		name: "an IPv4 and an IPv6 address of one EgressIP do not share a node",
		facts: Facts{
			Nodes:    []Node{egressNode("n1", "172.18.0.11/16", "fd00::11/64")},
			Requests: []Request{{Name: "a", Addresses: []string{"172.18.0.200", "fd00::200"}}}},
		wantPlaces:   []string{"a/172.18.0.200@n1"},
		wantRefusals: []string{"a/fd00::200: NotEnoughNodes"},
	}, {
		name: "the least loaded node is taken first, counting what stays",
		facts: Facts{Nodes: three, Requests: []Request{
			{Name: "a", Addresses: []string{"172.18.0.200"}},
			{Name: "b", Addresses: []string{"172.18.0.201"}, Current: current("172.18.0.201", "n1")}}},
		wantPlaces: []string{"a/172.18.0.200@n2", "b/172.18.0.201@n1"},
	}, {
		name: "an address stays on its node although another is less loaded",
		facts: Facts{Nodes: three, Requests: []Request{
			{Name: "a", Addresses: []string{"172.18.0.200"}, Current: current("172.18.0.200", "n3")},
			{Name: "b", Addresses: []string{"172.18.0.201"}, Current: current("172.18.0.201", "n3")}}},
		wantPlaces: []string{"a/172.18.0.200@n3", "b/172.18.0.201@n3"},
	}, {
		name: "an address stays on a node whose agent is silent, but a new one does not go there",
		facts: Facts{Nodes: []Node{with(three[0], silent), three[1]}, Requests: []Request{
			{Name: "a", Addresses: []string{"172.18.0.200"}, Current: current("172.18.0.200", "n1")},
			{Name: "b", Addresses: []string{"172.18.0.201"}, Current: current("172.18.0.201", "n2")},
			{Name: "c", Addresses: []string{"172.18.0.202"}}}},
		wantPlaces: []string{"a/172.18.0.200@n1", "b/172.18.0.201@n2", "c/172.18.0.202@n2"},
	}, {
		name: "a silent agent is the reason when it is the only one",
		facts: Facts{Nodes: []Node{with(three[0], silent)},
			Requests: []Request{{Name: "a", Addresses: []string{"172.18.0.200"}}}},
		wantRefusals: []string{"a/172.18.0.200: NoAgent"},
	}, {
		name: "an address leaves a node that lost its label, one that is not Ready, and one that is gone",
		facts: Facts{
			Nodes: []Node{
				with(three[0], func(n *Node) { n.Assignable = false }),
				with(three[1], func(n *Node) { n.Ready = false }),
				three[2],
			},
			Requests: []Request{
				{Name: "a", Addresses: []string{"172.18.0.200"}, Current: current("172.18.0.200", "n1")},
				{Name: "b", Addresses: []string{"172.18.0.201"}, Current: current("172.18.0.201", "n2")},
				{Name: "c", Addresses: []string{"172.18.0.202"}, Current: current("172.18.0.202", "n9")}}},
		wantPlaces: []string{"a/172.18.0.200@n3", "b/172.18.0.201@n3", "c/172.18.0.202@n3"},
	}, {
		name: "an address leaves a node whose subnet does not contain it any more",
		facts: Facts{Nodes: []Node{egressNode("n1", "10.0.0.11/24"), egressNode("n2", "172.18.0.12/16")},
			Requests: []Request{{Name: "a", Addresses: []string{"172.18.0.200"}, Current: current("172.18.0.200", "n1")}}},
		wantPlaces: []string{"a/172.18.0.200@n2"},
	}, {
		name: "of two addresses that are on one node, the second moves",
		facts: Facts{Nodes: three, Requests: []Request{{Name: "a", Addresses: []string{"172.18.0.200", "172.18.0.201"},
			Current: current("172.18.0.200", "n2", "172.18.0.201", "n2")}}},
		wantPlaces: []string{"a/172.18.0.200@n2", "a/172.18.0.201@n1"},
	}, {
		name: "an address moves when that makes room for one that fits nowhere else",
		facts: Facts{
			Nodes: []Node{egressNode("n1", "172.18.0.11/16", "fd00::11/64"), egressNode("n2", "172.18.0.12/16")},
			Requests: []Request{{Name: "a", Addresses: []string{"172.18.0.200", "fd00::200"},
				Current: current("172.18.0.200", "n1")}}},
		wantPlaces: []string{"a/172.18.0.200@n2", "a/fd00::200@n1"},
	}, {
		name: "an address does not move to a node whose agent is silent, not even to make room",
		facts: Facts{
			Nodes: []Node{egressNode("n1", "172.18.0.11/16", "fd00::11/64"), with(egressNode("n2", "172.18.0.12/16"), silent)},
			Requests: []Request{{Name: "a", Addresses: []string{"172.18.0.200", "fd00::200"},
				Current: current("172.18.0.200", "n1")}}},
		wantPlaces:   []string{"a/172.18.0.200@n1"},
		wantRefusals: []string{"a/fd00::200: NotEnoughNodes"},
	}, {
		name: "an address belongs to the older EgressIP, wherever it was before",
		facts: Facts{Nodes: three, Requests: []Request{
			{Name: "old", Addresses: []string{"172.18.0.200"}},
			{Name: "new", Addresses: []string{"172.18.0.200"}, Current: current("172.18.0.200", "n2")}}},
		wantPlaces:   []string{"old/172.18.0.200@n1"},
		wantRefusals: []string{"new/172.18.0.200: Taken"},
	}, {
		name: "an address that is listed twice, in whatever form, counts once",
		facts: Facts{Nodes: []Node{egressNode("n1", "fd00::11/64"), egressNode("n2", "fd00::12/64")},
			Requests: []Request{{Name: "a", Addresses: []string{"fd00::200", "FD00:0::0200", "bad", "bad"}}}},
		wantPlaces:   []string{"a/fd00::200@n1"},
		wantRefusals: []string{"a/bad: InvalidAddress"},
	}, {
		name: "without a labelled node that is Ready, nothing is placed",
		facts: Facts{Nodes: []Node{with(three[0], func(n *Node) { n.Ready = false }), with(three[1], func(n *Node) { n.Assignable = false })},
			Requests: []Request{{Name: "a", Addresses: []string{"172.18.0.200"}}}},
		wantRefusals: []string{"a/172.18.0.200: NoEgressNode"},
	}, {
		name:         "an address in no egress node's subnet is refused",
		facts:        Facts{Nodes: three, Requests: []Request{{Name: "a", Addresses: []string{"10.9.9.9"}}}},
		wantRefusals: []string{"a/10.9.9.9: NoSubnet"},
	}, {
		name: "one refused address does not hold up the others",
		facts: Facts{Nodes: three, Requests: []Request{
			{Name: "a", Addresses: []string{"172.18.0.11", "172.18.0.200"}}}},
		wantPlaces:   []string{"a/172.18.0.200@n1"},
		wantRefusals: []string{"a/172.18.0.11: NodeAddress"},
	}}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			p := Compute(tc.facts)
			if diff := cmp.Diff(tc.wantPlaces, places(p)); diff != "" {
				t.Errorf("placements (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantRefusals, refusals(p)); diff != "" {
				t.Errorf("refusals (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatMakesRoomGoesToTheLeastLoadedNode(t *testing.T) {
	p := Compute(Facts{
		Nodes: []Node{egressNode("n1", "172.18.0.11/16", "fd00::11/64"), three[1], three[2]},
		Requests: []Request{
			{Name: "a", Addresses: []string{"172.18.0.200", "fd00::200"}, Current: current("172.18.0.200", "n1")},
			{Name: "b", Addresses: []string{"172.18.0.201"}, Current: current("172.18.0.201", "n2")},
		}})
	if diff := cmp.Diff([]string{"a/172.18.0.200@n3", "a/fd00::200@n1", "b/172.18.0.201@n2"}, places(p)); diff != "" {
		t.Errorf("placements (-want +got):\n%s", diff)
	}
}

// Six nodes for seven addresses, four of which (d, b, a, c) have a home. Placing v makes b move. Placing x then makes
// a move, and b move on, which is one move more; placing y instead would make c and d move.
func TestAnAddressThatMovesAnywayMovesOnAtNoFurtherCost(t *testing.T) {
	in := func(name string, subnets ...string) Node {
		n := egressNode(name)
		for _, s := range subnets {
			n.Primary = append(n.Primary, netip.MustParsePrefix(s))
		}
		return n
	}
	a, b, c, d, v, x, y := "10.1.0.1/24", "10.2.0.1/24", "10.3.0.1/24", "10.4.0.1/24", "10.5.0.1/24", "10.6.0.1/24", "10.7.0.1/24"
	p := Compute(Facts{
		Nodes: []Node{in("n1", a, x), in("n2", b, v), in("n3", c, y), in("n4", c, d), in("n5", a, b), in("n6", b, d)},
		Requests: []Request{{
			Name:      "e",
			Addresses: []string{"10.4.0.9", "10.2.0.9", "10.1.0.9", "10.3.0.9", "10.7.0.9", "10.6.0.9", "10.5.0.9"},
			Current:   current("10.4.0.9", "n4", "10.2.0.9", "n2", "10.1.0.9", "n1", "10.3.0.9", "n3"),
		}}})
	want := []string{"e/10.4.0.9@n4", "e/10.2.0.9@n6", "e/10.1.0.9@n5", "e/10.3.0.9@n3", "e/10.6.0.9@n1", "e/10.5.0.9@n2"}
	if diff := cmp.Diff(want, places(p)); diff != "" {
		t.Errorf("placements (-want +got):\n%s", diff)
	}
}

func TestPlacementsAreInTheOVNNetwork(t *testing.T) {
	p := Compute(Facts{Nodes: three, Requests: []Request{{Name: "a", Addresses: []string{"172.18.0.200"}}}})
	want := []Placement{{EgressIP: "a", Address: netip.MustParseAddr("172.18.0.200"), Node: "n1", Network: "ovn"}}
	if diff := cmp.Diff(want, p.Placements, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("placements (-want +got):\n%s", diff)
	}
}

func TestMessagesNameWhatIsInTheWay(t *testing.T) {
	nodes := []Node{
		egressNode("n1", "172.18.0.11/16", "fd00::11/64"),
		with(egressNode("n2", "10.7.0.2/31"), func(n *Node) {
			n.Addresses = append(n.Addresses, netip.MustParseAddr("192.0.2.7"))
		}),
	}
	reserved := []Reserved{{Prefix: netip.MustParsePrefix("172.18.128.0/24"), What: "service network"}}
	tests := []struct {
		address string
		reason  Reason
		words   []string
	}{
		{"10.0.0", InvalidAddress, []string{`"10.0.0" is not an IP address`}},
		{"172.018.0.9", InvalidAddress, []string{"is not an IP address"}},
		{"0.0.0.0", InvalidAddress, []string{"unspecified"}},
		{"127.0.0.9", InvalidAddress, []string{"loopback"}},
		{"224.0.0.9", InvalidAddress, []string{"multicast"}},
		{"fe80::1", InvalidAddress, []string{"link-local"}},
		{"fd00::9%eth0", InvalidAddress, []string{"zone"}},
		{"255.255.255.255", InvalidAddress, []string{"broadcast"}},
		{"172.18.0.11", NodeAddress, []string{"172.18.0.11", "node n1"}},
		{"192.0.2.7", NodeAddress, []string{"192.0.2.7", "node n2"}},
		{"::ffff:192.0.2.7", NodeAddress, []string{"192.0.2.7", "node n2"}},
		{"172.18.128.7", ReservedNetwork, []string{"service network 172.18.128.0/24"}},
		{"172.18.0.0", ReservedNetwork, []string{"network address of subnet 172.18.0.0/16", "node n1"}},
		{"172.18.255.255", ReservedNetwork, []string{"broadcast address of subnet 172.18.0.0/16", "node n1"}},
		{"fd00::", ReservedNetwork, []string{"network address of subnet fd00::/64", "node n1"}},
		{"172.18.0.201", Taken, []string{"older EgressIP first"}},
		{"10.9.9.9", NoSubnet, []string{"10.9.9.9", "n1, n2"}},
	}
	for _, tc := range tests {
		t.Run(tc.address, func(t *testing.T) {
			p := Compute(Facts{Nodes: nodes, Reserved: reserved, Requests: []Request{
				{Name: "first", Addresses: []string{"172.18.0.201"}},
				{Name: "a", Addresses: []string{tc.address}},
			}})
			if len(p.Refusals) != 1 {
				t.Fatalf("refusals = %v, want one", p.Refusals)
			}
			r := p.Refusals[0]
			if r.EgressIP != "a" || r.Address != tc.address || r.Reason != tc.reason {
				t.Errorf("refusal = %+v, want reason %s", r, tc.reason)
			}
			for _, w := range tc.words {
				if !strings.Contains(r.Message, w) {
					t.Errorf("message %q does not say %q", r.Message, w)
				}
			}
		})
	}
}

func TestBothAddressesOfAPointToPointSubnetCanBeHosted(t *testing.T) {
	p := Compute(Facts{Nodes: []Node{egressNode("n1", "10.7.0.2/31")},
		Requests: []Request{{Name: "a", Addresses: []string{"10.7.0.3"}}}})
	if diff := cmp.Diff([]string{"a/10.7.0.3@n1"}, places(p)); diff != "" {
		t.Errorf("placements (-want +got):\n%s", diff)
	}
}

func TestLongListsOfNodesAreCounted(t *testing.T) {
	var nodes []Node
	for _, name := range strings.Split("abcdefgh", "") {
		nodes = append(nodes, egressNode(name, "172.18.0.11/16"))
	}
	p := Compute(Facts{Nodes: nodes, Requests: []Request{{Name: "x", Addresses: []string{"10.9.9.9"}}}})
	if got, want := p.Refusals[0].Message, "a, b, c, d, e and 3 more"; !strings.HasSuffix(got, want) {
		t.Errorf("message = %q, want it to end in %q", got, want)
	}
}

func TestEventReasonsAreThoseOfExistingImplementations(t *testing.T) {
	want := map[Reason]string{
		InvalidAddress:  "InvalidEgressIP",
		NodeAddress:     "EgressIPConflict",
		ReservedNetwork: "EgressIPConflict",
		Taken:           "UnsupportedRequest",
		NoEgressNode:    "NoMatchingNodeFound",
		NoSubnet:        "NoMatchingNodeFound",
		NoAgent:         "NoMatchingNodeFound",
		NotEnoughNodes:  "UnassignedRequest",
	}
	for reason, event := range want {
		if got := reason.EventReason(); got != event {
			t.Errorf("%s.EventReason() = %q, want %q", reason, got, event)
		}
	}
}
