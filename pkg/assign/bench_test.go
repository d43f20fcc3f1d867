package assign

import (
	"fmt"
	"net/netip"
	"testing"
)

// cluster is a cluster of that many egress nodes in one subnet and EgressIPs of three addresses each.
func cluster(nodes, addresses int) Facts {
	var f Facts
	for i := range nodes {
		f.Nodes = append(f.Nodes, egressNode(fmt.Sprintf("node%04d", i), fmt.Sprintf("10.0.%d.%d/8", i/250, i%250+1)))
	}
	for i := 0; i < addresses; i += 3 {
		r := Request{Name: fmt.Sprintf("egressip%d", i)}
		for a := i; a < min(i+3, addresses); a++ {
			r.Addresses = append(r.Addresses, fmt.Sprintf("10.1.%d.%d", a/250, a%250+1))
		}
		f.Requests = append(f.Requests, r)
	}
	return f
}

func BenchmarkCompute(b *testing.B) {
	for _, size := range []struct{ addresses, nodes int }{{1_000, 100}, {10_000, 1_000}} {
		empty := cluster(size.nodes, size.addresses)
		plan := Compute(empty)
		if len(plan.Refusals) > 0 {
			b.Fatalf("refused: %v", plan.Refusals[0])
		}
		settled := carryOut(empty, plan)
		lost := settled
		lost.Nodes = settled.Nodes[1:]

		for name, f := range map[string]Facts{"from nothing": empty, "nothing to do": settled, "one node lost": lost} {
			b.Run(fmt.Sprintf("%d addresses, %d nodes, %s", size.addresses, size.nodes, name), func(b *testing.B) {
				for b.Loop() {
					Compute(f)
				}
			})
		}
	}
}

// A dual-stack EgressIP in which every IPv6 address has to be searched a place is the slow case.
func BenchmarkComputeWithSearch(b *testing.B) {
	var f Facts
	r := Request{Name: "wide", Current: make(map[netip.Addr]string)}
	for i := range 100 {
		f.Nodes = append(f.Nodes,
			egressNode(fmt.Sprintf("a%d", i), fmt.Sprintf("10.0.0.%d/8", i+1), fmt.Sprintf("fd00::%d/64", i+1)),
			egressNode(fmt.Sprintf("b%d", i), fmt.Sprintf("10.0.1.%d/8", i+1)))
		v4 := fmt.Sprintf("10.1.0.%d", i+1)
		r.Addresses = append(r.Addresses, v4, fmt.Sprintf("fd00::1:%d", i+1))
		r.Current[netip.MustParseAddr(v4)] = fmt.Sprintf("a%d", i)
	}
	f.Requests = []Request{r}
	if p := Compute(f); len(p.Refusals) > 0 {
		b.Fatalf("refused: %v", p.Refusals[0])
	}
	for b.Loop() {
		Compute(f)
	}
}
