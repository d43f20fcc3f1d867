package northbound

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Gateway is a node's gateway router as the compiler needs it.
type Gateway struct {
	Node        string
	JoinAddress netip.Addr     // of the gateway router on the join switch: next hop of reroutes
	PodSubnets  []netip.Prefix // of the pods on the node
	// Foreign are logical addresses of translations on this gateway router that are not ours and not for pods of
	// the node: another feature sends that traffic here, and the guard lets it pass.
	Foreign []netip.Prefix
}

// Networks are the networks inside which nothing is rerouted.
type Networks struct {
	Cluster []netip.Prefix // of all pods
	Join    []netip.Prefix
	// Nodes are the addresses of all nodes and of the API server.
	Nodes []netip.Addr
}

// Zone is what the rows that all EgressIPs share are compiled from.
type Zone struct {
	Layout       Layout
	Capabilities Capabilities
	Networks     Networks
	// Switches of the nodes of this zone; replies of their pods are marked.
	Switches []string
	// Guarded are the gateway routers that host an address or may soon.
	Guarded []Gateway
	// Served are the pods of all EgressIPs that are served or about to be: they never leave without translation.
	Served []netip.Addr
	// Translated are the pods of all EgressIPs that any gateway router translates, served or not yet.
	Translated []netip.Addr
}

// Names of the shared address sets. setName never gives these: its names have a digest.
const (
	servedSet   = "egress_served_pods"
	selectedSet = "egress_selected_pods" // served or translated
	nodesSet    = "egress_node_addresses"
)

// CompileZone gives the shared rows. IPv4 only: other families of z are left out.
func CompileZone(z Zone) Program {
	p := Program{Sets: []AddressSet{
		{Role: "served-pods", Name: servedSet, Members: members(z.Served)},
		{Role: "selected-pods", Name: selectedSet, Members: members(slices.Concat(z.Served, z.Translated))},
		{Role: "node-addresses", Name: nodesSet, Members: members(z.Networks.Nodes)},
	}}
	p.Policies = append(p.Policies, insidePolicies(z)...)
	for _, g := range z.Guarded {
		p.Policies = append(p.Policies, guardPolicies(z, g)...)
	}
	if z.Capabilities.QoSMark {
		for _, name := range z.Switches {
			p.QoS = append(p.QoS, replyMarks(z, name)...)
		}
	}
	return p
}

// replyMarks mark what served pods answer to the outside directly, as they do for services with
// externalTrafficPolicy Local. Answers to the inside stay unmarked: where the packet goes through a tunnel, the host
// would look up the tunnel's route with the mark.
func replyMarks(z Zone, name string) []QoS {
	source := "ip4.src == $" + servedSet
	return []QoS{
		{
			Role: "mark-reply-traffic:" + name, Switch: name, Priority: priorityMarkReply, Mark: markReply,
			Match: source + " && ct.trk && ct.rpl",
		},
		{
			Role: "inside-reply-traffic:" + name, Switch: name, Priority: priorityMarkReply + 1, Mark: 0,
			Match: source + " && ip4.dst == " + prefixSet(slices.Concat(z.Networks.Cluster, z.Networks.Join)),
		},
	}
}

// insidePolicies keep traffic inside the cluster away from the reroutes, and drop what no reroute took. Traffic to
// node addresses is marked for all pods that are translated: a pod of a hosting node passes the translation on its
// way to other nodes, before it is served too.
func insidePolicies(z Zone) []Policy {
	router := z.Layout.ClusterRouter
	allow := func(role, match string, options map[string]string) Policy {
		return Policy{Role: role, Router: router, Priority: priorityAllow, Match: match, Action: actionAllow, Options: options}
	}
	pods := prefixSet(z.Networks.Cluster)
	return []Policy{
		allow("pod-to-pod", fmt.Sprintf("ip4.src == %s && ip4.dst == %s", pods, pods), nil),
		allow("pod-to-join", fmt.Sprintf("ip4.src == %s && ip4.dst == %s", pods, prefixSet(z.Networks.Join)), nil),
		allow("pod-to-node", fmt.Sprintf("ip4.src == $%s && ip4.dst == $%s", selectedSet, nodesSet),
			map[string]string{"pkt_mark": fmt.Sprint(markToNode)}),
		allow("reply-traffic", fmt.Sprintf("pkt.mark == %d", markReply), nil),
		{
			Role: "no-leak", Router: router, Priority: priorityNoLeak, Action: actionDrop,
			Match: fmt.Sprintf("ip4.src == $%s", servedSet),
		},
	}
}

// guardPolicies make a wrong source impossible on a gateway router that hosts an address: what comes from the
// join switch is a reply, goes to the inside, is translated here, or is dropped.
func guardPolicies(z Zone, g Gateway) []Policy {
	from := fmt.Sprintf("inport == %q", z.Layout.JoinPort(g.Node))
	policy := func(role string, priority int, action, match string) Policy {
		return Policy{
			Role: "guard:" + g.Node + ":" + role, Router: z.Layout.GatewayRouter(g.Node),
			Priority: priority, Action: action, Match: from + " && " + match,
		}
	}
	inside := prefixSet(slices.Concat(z.Networks.Cluster, z.Networks.Join))
	policies := []Policy{
		policy("reply", priorityGuardReply, actionAllow, "ct.trk && ct.rpl"),
		policy("marked-reply", priorityGuardReply, actionAllow, fmt.Sprintf("pkt.mark == %d", markReply)),
		policy("inside", priorityGuardInside, actionAllow, "ip4.dst == "+inside),
		policy("node", priorityGuardInside, actionAllow, "ip4.dst == $"+nodesSet),
		policy("served", priorityGuardServed, actionDrop, "ip4.src == $"+servedSet),
	}
	if foreign := only4(g.Foreign); len(foreign) > 0 {
		policies = append(policies,
			policy("foreign", priorityGuardTranslated, actionAllow, "ip4.src == "+prefixSet(foreign)))
	}
	// The node's own subnet leaves with the node's address as ever; it is a positive match of its own, because a
	// negated one would be expanded into prefix complements.
	policies = append(policies,
		policy("own-pods", priorityGuardRemote+1, actionAllow, "ip4.src == "+prefixSet(g.PodSubnets)),
		policy("remote", priorityGuardRemote, actionDrop, "ip4.src == "+prefixSet(z.Networks.Cluster)))
	return policies
}

// prefixSet writes the IPv4 prefixes as a constant of the match language: one bare, several in braces.
func prefixSet(prefixes []netip.Prefix) string {
	v4 := only4(prefixes)
	words := make([]string, 0, len(v4))
	for _, p := range v4 {
		words = append(words, p.Masked().String())
	}
	slices.Sort(words)
	words = slices.Compact(words)
	if len(words) == 1 {
		return words[0]
	}
	return "{" + strings.Join(words, ", ") + "}"
}

func only4(prefixes []netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(prefixes), func(p netip.Prefix) bool { return !p.Addr().Is4() })
}

// members writes IPv4 addresses as the sorted members of an address set.
func members(addresses []netip.Addr) []string {
	result := make([]string, 0, len(addresses))
	for _, a := range addresses {
		if a.Is4() {
			result = append(result, a.String())
		}
	}
	slices.Sort(result)
	return slices.Compact(result)
}
