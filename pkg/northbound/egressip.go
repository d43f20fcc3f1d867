package northbound

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Hosted is an address of an EgressIP on the gateway router of a node.
type Hosted struct {
	Address netip.Addr
	Gateway Gateway
	// Shards of source ports that are sent there; empty on a node that only prepares.
	Shards []int32
}

// EgressIP is what the rows of one EgressIP are compiled from.
type EgressIP struct {
	Name         string
	Layout       Layout
	Capabilities Capabilities
	Networks     Networks
	// Hosts translate: one entry an address and node, two for an address that is being moved.
	Hosts []Hosted
	// Routed are where pods are sent; the entries' Shards cover all shards. Empty: nowhere, the zone's no-leak
	// policy drops.
	Routed []Hosted
	// Translated are the pods that the hosts translate.
	Translated []netip.Addr
	// Rerouted are the pods that are sent to the hosts: a subset of Translated that the hosts have installed.
	Rerouted []netip.Addr
}

// CompileEgressIP gives the rows of one EgressIP: their number does not depend on the number of pods where the
// database has NAT.match. IPv4 only.
func CompileEgressIP(e EgressIP) Program {
	owner := EgressIPOwner(e.Name)
	hosts, routed := only4Hosts(e.Hosts), only4Hosts(e.Routed)
	if len(hosts) == 0 && len(routed) == 0 {
		return Program{}
	}
	translated, rerouted := setName(owner, "translated"), setName(owner, "rerouted")
	p := Program{
		Sets: []AddressSet{
			{Role: "translated", Name: translated, Members: members(e.Translated)},
			{Role: "rerouted", Name: rerouted, Members: members(e.Rerouted)},
		},
		Policies: reroutes(e.Layout.ClusterRouter, rerouted, routed),
	}
	for _, h := range hosts {
		p.Policies = append(p.Policies, Policy{
			Role:   "translated:" + h.Gateway.Node + ":" + h.Address.String(),
			Router: e.Layout.GatewayRouter(h.Gateway.Node), Priority: priorityGuardTranslated, Action: actionAllow,
			Match: fmt.Sprintf("inport == %q && ip4.src == $%s", e.Layout.JoinPort(h.Gateway.Node), translated),
		})
		if e.Capabilities.NATMatch {
			p.NATs = append(p.NATs, setTranslation(e, h, translated)...)
		} else {
			p.NATs = append(p.NATs, podTranslations(e, h)...)
		}
	}
	return p
}

// setTranslation translates a whole address set. The match names the port towards the outside: without it the
// row would also catch service traffic that goes back to the cluster, because it outranks lb_force_snat_ip.
func setTranslation(e EgressIP, h Hosted, set string) []NAT {
	rows := make([]NAT, 0, len(e.Networks.Cluster))
	for _, subnet := range only4(e.Networks.Cluster) {
		rows = append(rows, NAT{
			Role:       "snat:" + h.Gateway.Node + ":" + h.Address.String() + ":" + subnet.String(),
			Router:     e.Layout.GatewayRouter(h.Gateway.Node),
			ExternalIP: h.Address.String(), LogicalIP: subnet.Masked().String(), Priority: natPriority,
			Match: fmt.Sprintf("ip4.src == $%s && outport == %q", set, e.Layout.ExternalPort(h.Gateway.Node)),
		})
	}
	return rows
}

// podTranslations is a row per pod, for databases whose NAT rows have no match.
func podTranslations(e EgressIP, h Hosted) []NAT {
	pods := members(e.Translated)
	rows := make([]NAT, 0, len(pods))
	for _, pod := range pods {
		rows = append(rows, NAT{
			Role:       "snat:" + h.Gateway.Node + ":" + h.Address.String() + ":" + pod,
			Router:     e.Layout.GatewayRouter(h.Gateway.Node),
			ExternalIP: h.Address.String(), LogicalIP: pod,
		})
	}
	return rows
}

// reroutes sends the pods of the set to the hosts. One host needs one policy. Several hosts share by source port,
// one policy a protocol and host (a disjunction over protocols would multiply set by ports), and the rest goes to
// the first host.
func reroutes(router, set string, routed []Hosted) []Policy {
	source := "ip4.src == $" + set
	policy := func(role string, priority int, match string, h Hosted) Policy {
		return Policy{
			Role: role, Router: router, Priority: priority, Match: match, Action: actionReroute,
			Nexthops: []string{h.Gateway.JoinAddress.String()},
		}
	}
	if len(routed) == 0 {
		return nil
	}
	if len(routed) == 1 {
		return []Policy{policy("reroute", priorityReroute, source, routed[0])}
	}
	policies := []Policy{policy("reroute-rest", priorityRest, source, routed[0])}
	for _, h := range routed {
		if len(h.Shards) == 0 {
			continue
		}
		for _, protocol := range []string{"tcp", "udp", "sctp"} {
			match := fmt.Sprintf("%s && %s.src[3..7] == {%s}", source, protocol, shardList(h.Shards))
			policies = append(policies, policy("reroute:"+h.Address.String()+":"+protocol, priorityReroute, match, h))
		}
	}
	return policies
}

func shardList(shards []int32) string {
	sorted := slices.Sorted(slices.Values(shards))
	words := make([]string, 0, len(sorted))
	for _, s := range sorted {
		words = append(words, fmt.Sprint(s))
	}
	return strings.Join(words, ", ")
}

// only4Hosts keeps the IPv4 addresses, in a fixed order.
func only4Hosts(hosts []Hosted) []Hosted {
	kept := slices.DeleteFunc(slices.Clone(hosts), func(h Hosted) bool { return !h.Address.Is4() })
	slices.SortFunc(kept, func(a, b Hosted) int {
		if c := a.Address.Compare(b.Address); c != 0 {
			return c
		}
		return strings.Compare(a.Gateway.Node, b.Gateway.Node)
	})
	return kept
}
