package assign

import (
	"fmt"
	"net/netip"
	"strings"
)

// Compute places every address that can be placed and says of every other one why not.
func Compute(f Facts) Plan {
	h := newHosts(f.Nodes)
	admission := newAdmission(h.nodes, f.Reserved)

	claims := make([][]claim, len(f.Requests))
	seatings := make([]*seating, len(f.Requests))
	for i, r := range f.Requests {
		claims[i] = admission.admit(r)
		seatings[i] = keep(h, admitted(claims[i]), r.Current)
	}
	for _, s := range seatings {
		s.fill()
	}

	var p Plan
	for i, r := range f.Requests {
		p.report(r.Name, claims[i], seatings[i])
	}
	return p
}

// admitted are the addresses of the claims that were not refused, in order.
func admitted(claims []claim) []netip.Addr {
	addrs := make([]netip.Addr, 0, len(claims))
	for _, c := range claims {
		if c.reason == "" {
			addrs = append(addrs, c.addr)
		}
	}
	return addrs
}

// report appends what became of one EgressIP's claims.
func (p *Plan) report(egressIP string, claims []claim, s *seating) {
	seat := 0
	for _, c := range claims {
		if c.reason == "" {
			node := s.node[seat]
			seat++
			if node != none {
				p.Placements = append(p.Placements, Placement{
					EgressIP: egressIP, Address: c.addr, Node: s.hosts.nodes[node].Name, Network: NetworkOVN,
				})
				continue
			}
			c.reason, c.message = s.hosts.lacking(c.addr)
		}
		p.Refusals = append(p.Refusals, Refusal{EgressIP: egressIP, Address: c.written, Reason: c.reason, Message: c.message})
	}
}

// lacking says what the nodes lack to host an address that was admitted but not placed.
func (h *hosts) lacking(addr netip.Addr) (Reason, string) {
	labelled := h.names(func(n int) bool { return h.nodes[n].Assignable })
	ready := h.names(func(n int) bool { return h.nodes[n].Assignable && h.nodes[n].Ready })
	suitable := h.names(func(n int) bool { return h.suits(n, addr) })
	alive := h.names(func(n int) bool { return h.suits(n, addr) && h.nodes[n].TakesNew })
	switch {
	case len(labelled) == 0:
		return NoEgressNode, fmt.Sprintf("no node can host %s: none has the label k8s.ovn.org/egress-assignable", addr)
	case len(ready) == 0:
		return NoEgressNode, fmt.Sprintf("no node can host %s: not Ready: %s", addr, enumerate(labelled))
	case len(suitable) == 0:
		return NoSubnet, fmt.Sprintf("%s is in the primary subnet of no egress node: %s", addr, enumerate(ready))
	case len(alive) == 0:
		return NoAgent, fmt.Sprintf("no live agent on the nodes that could host %s: %s", addr, enumerate(suitable))
	default:
		return NotEnoughNodes, fmt.Sprintf("every node that could host %s hosts another address of this EgressIP: %s", addr, enumerate(alive))
	}
}

// enumerate joins names, and counts those that would make a message too long to read.
func enumerate(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
