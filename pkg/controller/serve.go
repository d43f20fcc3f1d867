package controller

import (
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
	"github.com/ovn-egress/ovn-egress/pkg/assign"
)

// service is how one EgressIP is served.
type service struct {
	// served are the addresses that traffic is sent to, in the order of the spec.
	served []place
	// hosts are all places that translate.
	hosts []place
	// guarded says that the pods leave with an address of this EgressIP or not at all.
	guarded bool
	// problems say why a host cannot translate.
	problems map[place]string
}

// serve decides where the traffic of an EgressIP goes. An address is served by the planned node once that is
// ready, until then by the node that serves it now, unless that is lost. An EgressIP that was served stays guarded
// while any place is planned for it: no traffic rather than traffic with a wrong source. A live node that lost its
// label serves on while the nodes that should take over have no agent yet.
func serve(e *egressipv1.EgressIP, c *cluster, p plan) service {
	var s service
	planned := map[netip.Addr]string{}
	for _, x := range p.placements[e.Name] {
		planned[x.Address] = x.Node
	}
	serving := servedBy(e)
	places := map[place]bool{}
	for key, entry := range c.prepared[e.Name] {
		places[key] = placeReady(c.egressNodes[key.node], entry)
	}
	s.hosts = sortedPlaces(places)
	for _, a := range wantedAddresses(e) {
		target, ok := planned[a]
		now := place{e.Name, a, serving[a]}
		_, prepares := places[now]
		switch there := (place{e.Name, a, target}); {
		case places[there]:
			s.served = append(s.served, there)
		case (ok || p.lacksAgent(e.Name, a)) && prepares && c.nodes[now.node].ready:
			s.served = append(s.served, now)
		}
	}
	s.guarded = (len(planned) > 0 || len(s.served) > 0) && (len(s.served) > 0 || len(e.Status.Items) > 0 || wasLost(e))
	return s
}

// lacksAgent says that an address is refused only because no node that could host it has a live agent.
func (p plan) lacksAgent(egressIP string, a netip.Addr) bool {
	return slices.ContainsFunc(p.refusals[egressIP], func(r assign.Refusal) bool {
		refused, err := netip.ParseAddr(r.Address)
		return err == nil && refused == a && r.Reason == assign.NoAgent
	})
}

// wantedAddresses are the addresses of the spec that can be read, each once.
func wantedAddresses(e *egressipv1.EgressIP) []netip.Addr {
	var result []netip.Addr
	for _, text := range e.Spec.EgressIPs {
		if a, err := netip.ParseAddr(text); err == nil && !slices.Contains(result, a.Unmap()) {
			result = append(result, a.Unmap())
		}
	}
	return result
}

// wasLost says that the EgressIP was served before and is to be served again: the condition remembers it over a
// change of the leader.
func wasLost(e *egressipv1.EgressIP) bool {
	return slices.ContainsFunc(e.Status.Conditions, func(c metav1.Condition) bool {
		return c.Type == egressipv1.ConditionAssigned && c.Reason == reasonMoving
	})
}
