package controller

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
)

// place is an address of an EgressIP on a node.
type place struct {
	egressIP string
	address  netip.Addr
	node     string
}

// departure is a place that traffic was led away from. It keeps its translation until all chassis have installed
// that, and answers that are on their way have arrived.
type departure struct {
	config int64     // northbound configuration number that led the traffic away
	since  time.Time // when that was written
}

const (
	// overlap is how long an old place translates on after the new one was announced. Neighbours that missed the
	// announcement learn of it from the agent's repetitions.
	overlap = 2 * time.Second
	// overlapAtMost ends the overlap even if a chassis never confirms: two nodes that answer for an address must
	// not last. What that chassis still sends to the old place is dropped there by the guard.
	overlapAtMost = 10 * time.Second
)

// over says whether the departure is complete; until is when to look again.
func (d departure) over(now time.Time, confirmed int64) (done bool, until time.Time) {
	if confirmed >= d.config {
		return !now.Before(d.since.Add(overlap)), d.since.Add(overlap)
	}
	return !now.Before(d.since.Add(overlapAtMost)), d.since.Add(overlapAtMost)
}

// prepare says what each node is to host: what the plan places there, and what still is served there or is being
// led away. departing tells of a place whether it must stay for now; it is asked only for places that neither the
// plan nor a status wants. A node translates all pods of an EgressIP to one address, so a new address waits until
// another one of the same EgressIP has left the node; one that the EgressIP no longer has leaves at once. Nodes without addresses are present with an empty list if
// they have an EgressNode.
func prepare(p plan, c *cluster, departing func(place) bool) map[string][]v1alpha1.EgressNodeAddress {
	planned := p.places()
	result, givenUp := stay(planned, c, departing)
	for _, key := range sortedPlaces(planned) {
		entry := v1alpha1.EgressNodeAddress{
			Address: key.address.String(), EgressIP: key.egressIP, Network: planned[key],
			Generation: nextGeneration(c.egressNodes[key.node]),
		}
		inTheWay := func(have v1alpha1.EgressNodeAddress) bool {
			return have.Address == entry.Address || have.EgressIP == entry.EgressIP
		}
		if !slices.ContainsFunc(result[key.node], inTheWay) {
			result[key.node] = append(result[key.node], entry)
		}
	}
	for _, entries := range result {
		for i := range entries {
			if givenUp[entries[i].Address] && !entries[i].Leaving {
				entries[i].Announcement++
			}
		}
		slices.SortFunc(entries, func(a, b v1alpha1.EgressNodeAddress) int { return strings.Compare(a.Address, b.Address) })
	}
	return result
}

// stay gives what nodes host on of what they host now, and the addresses of the places that are given up.
func stay(planned map[place]string, c *cluster, departing func(place) bool) (
	result map[string][]v1alpha1.EgressNodeAddress, givenUp map[string]bool,
) {
	result = make(map[string][]v1alpha1.EgressNodeAddress, len(c.egressNodes))
	for name := range c.egressNodes {
		result[name] = nil
	}
	givenUp = map[string]bool{}
	for name, places := range c.prepared {
		e, exists := c.byName[name]
		if !exists {
			continue
		}
		served := servedBy(e)
		for key, entry := range places {
			wanted := planned[key] == entry.Network
			alive := c.nodes[key.node].ready
			entry.Leaving = !wanted && served[key.address] != key.node
			if wanted || alive && (!entry.Leaving || !replaced(e, key, planned) && departing(key)) {
				result[key.node] = append(result[key.node], entry)
			} else {
				givenUp[entry.Address] = true
			}
		}
	}
	return result, givenUp
}

// replaced says that an address is no longer wanted at all, and another one of its EgressIP is to take its node: then
// there is nothing to wait for, its connections are not to go on.
func replaced(e *egressipv1.EgressIP, leaving place, planned map[place]string) bool {
	if slices.Contains(wantedAddresses(e), leaving.address) {
		return false
	}
	for p := range planned {
		if p.egressIP == leaving.egressIP && p.node == leaving.node {
			return true
		}
	}
	return false
}

// places are the places of a plan, with their networks.
func (p plan) places() map[place]string {
	result := map[place]string{}
	for name, placements := range p.placements {
		for _, x := range placements {
			result[place{name, x.Address, x.Node}] = x.Network
		}
	}
	return result
}

// nextGeneration distinguishes a new placement from all earlier ones on the node: the metadata.generation that the
// EgressNode will have with it.
func nextGeneration(n *v1alpha1.EgressNode) int64 {
	if n == nil {
		return 1
	}
	return n.Generation + 1
}

// placeReady says whether the node's agent confirmed the placement.
func placeReady(n *v1alpha1.EgressNode, entry v1alpha1.EgressNodeAddress) bool {
	if n == nil || entry.TargetConfig == 0 {
		return false
	}
	return slices.ContainsFunc(n.Status.Addresses, func(s v1alpha1.EgressNodeAddressStatus) bool {
		return s.Address == entry.Address && s.Generation == entry.Generation && s.Ready
	})
}

// sortedPlaces gives the keys in a fixed order.
func sortedPlaces[V any](m map[place]V) []place {
	return slices.SortedFunc(maps.Keys(m), func(a, b place) int {
		return cmp.Or(strings.Compare(a.egressIP, b.egressIP), a.address.Compare(b.address), strings.Compare(a.node, b.node))
	})
}
