package controller

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
	"github.com/ovn-egress/ovn-egress/pkg/assign"
)

// nodeFacts is what is known of one node.
type nodeFacts struct {
	name       string
	chassis    string
	ready      bool
	podSubnets []netip.Prefix
	addresses  []netip.Addr
	candidate  assign.Node
	// broken says which annotations are missing or malformed: the node cannot host, the others are not affected.
	broken error
}

// readNode reads a node. fresh says that its agent is alive.
func readNode(node *corev1.Node, fresh bool) nodeFacts {
	f := nodeFacts{name: node.Name, chassis: node.Annotations[annotationChassis], ready: isReady(node)}
	primary, err := primaryAddresses(node)
	f.broken = err
	addresses, err := hostAddresses(node)
	if err != nil && !errors.Is(err, errNoAnnotation) {
		f.broken = errors.Join(f.broken, err)
	}
	for _, p := range primary {
		addresses = append(addresses, p.Addr())
	}
	for _, a := range node.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil {
			addresses = append(addresses, ip)
		}
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	f.addresses = slices.Compact(addresses)
	if f.podSubnets, err = podSubnets(node); err != nil {
		f.broken = errors.Join(f.broken, err)
	}
	_, labelled := node.Labels[egressipv1.EgressAssignableLabel]
	f.candidate = assign.Node{
		Name: node.Name, Assignable: labelled && f.broken == nil, Ready: f.ready, TakesNew: fresh,
		Primary: slices.DeleteFunc(primary, func(p netip.Prefix) bool { return !p.Addr().Is4() }), Addresses: f.addresses,
	}
	return f
}

func isReady(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// freshFor is how long an agent counts as alive after its last heartbeat.
const freshFor = 20 * time.Second

// heartbeats remembers when the heartbeat of each agent was last seen to change, by this controller's own clock:
// the clocks of nodes need not agree.
type heartbeats struct {
	seen map[string]heartbeat // node -> last change
}

type heartbeat struct {
	value time.Time
	at    time.Time
}

// note remembers the agents' heartbeats, and forgets agents that are gone.
func (h *heartbeats) note(now time.Time, nodes map[string]*v1alpha1.EgressNode) {
	next := make(map[string]heartbeat, len(nodes))
	for name, n := range nodes {
		if n.Status.Heartbeat == nil {
			continue
		}
		next[name] = heartbeat{value: n.Status.Heartbeat.Time, at: now}
		if old, ok := h.seen[name]; ok && old.value.Equal(n.Status.Heartbeat.Time) {
			next[name] = old
		}
	}
	h.seen = next
}

// fresh says whether the node's agent is alive; until is when that may change.
func (h *heartbeats) fresh(now time.Time, node string) (alive bool, until time.Time) {
	b, ok := h.seen[node]
	until = b.at.Add(freshFor)
	return ok && now.Before(until), until
}

// cluster is what a pass knows: one consistent look at the caches.
type cluster struct {
	egressIPs   []*egressipv1.EgressIP // oldest first
	rawNodes    []*corev1.Node
	nodes       map[string]nodeFacts
	egressNodes map[string]*v1alpha1.EgressNode
	apiServers  []netip.Addr
	networks    Networks

	byName   map[string]*egressipv1.EgressIP // name -> EgressIP
	prepared map[string]preparations         // EgressIP -> what nodes have been told to prepare for it
}

// preparations are places that nodes have been told to prepare, with what they were told.
type preparations map[place]v1alpha1.EgressNodeAddress

// index brings the indexes up to date with egressIPs and egressNodes.
func (c *cluster) index() {
	c.byName = make(map[string]*egressipv1.EgressIP, len(c.egressIPs))
	for _, e := range c.egressIPs {
		c.byName[e.Name] = e
	}
	c.prepared = map[string]preparations{}
	for name, n := range c.egressNodes {
		for _, entry := range n.Spec.Addresses {
			a, err := netip.ParseAddr(entry.Address)
			if err != nil {
				continue
			}
			if c.prepared[entry.EgressIP] == nil {
				c.prepared[entry.EgressIP] = preparations{}
			}
			c.prepared[entry.EgressIP][place{entry.EgressIP, a, name}] = entry
		}
	}
}

// plan is a plan that is indexed by EgressIP.
type plan struct {
	placements map[string][]assign.Placement
	refusals   map[string][]assign.Refusal
}

func indexed(p assign.Plan) plan {
	result := plan{placements: map[string][]assign.Placement{}, refusals: map[string][]assign.Refusal{}}
	for _, x := range p.Placements {
		result.placements[x.EgressIP] = append(result.placements[x.EgressIP], x)
	}
	for _, x := range p.Refusals {
		result.refusals[x.EgressIP] = append(result.refusals[x.EgressIP], x)
	}
	return result
}

// Networks are the networks that the cluster was installed with.
type Networks struct {
	Cluster []netip.Prefix
	Join    []netip.Prefix
	Service []netip.Prefix
}

// nodeAddresses are the addresses of all nodes and of the API servers.
func (c *cluster) nodeAddresses() []netip.Addr {
	addresses := slices.Clone(c.apiServers)
	for _, n := range c.nodes {
		addresses = append(addresses, n.addresses...)
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return slices.Compact(addresses)
}

// assignFacts is the input of the planner.
func (c *cluster) assignFacts() assign.Facts {
	var f assign.Facts
	for _, n := range c.nodes {
		f.Nodes = append(f.Nodes, n.candidate)
	}
	slices.SortFunc(f.Nodes, func(a, b assign.Node) int { return strings.Compare(a.Name, b.Name) })
	for _, e := range c.egressIPs {
		f.Requests = append(f.Requests, assign.Request{Name: e.Name, Addresses: e.Spec.EgressIPs, Current: c.current(e)})
	}
	for what, prefixes := range map[string][]netip.Prefix{
		"cluster network": c.networks.Cluster, "join network": c.networks.Join, "service network": c.networks.Service,
	} {
		for _, p := range prefixes {
			f.Reserved = append(f.Reserved, assign.Reserved{Prefix: p, What: what})
		}
	}
	for _, a := range c.apiServers {
		f.Reserved = append(f.Reserved, assign.Reserved{Prefix: netip.PrefixFrom(a, a.BitLen()), What: "address of the API server"})
	}
	slices.SortFunc(f.Reserved, func(a, b assign.Reserved) int { return a.Prefix.Addr().Compare(b.Prefix.Addr()) })
	return f
}

// current says where the addresses of an EgressIP are: on the node that serves it, or, while it is being moved, on
// the one that prepares for it.
func (c *cluster) current(e *egressipv1.EgressIP) map[netip.Addr]string {
	serving := servedBy(e)
	result := map[netip.Addr]string{}
	for p, entry := range c.prepared[e.Name] {
		a := p.address
		if entry.Leaving {
			continue
		}
		if now, ok := result[a]; !ok || now == serving[a] || p.node < now && p.node != serving[a] {
			result[a] = p.node
		}
	}
	return result
}

// servedBy reads the status of an EgressIP: address -> node.
func servedBy(e *egressipv1.EgressIP) map[netip.Addr]string {
	result := make(map[netip.Addr]string, len(e.Status.Items))
	for _, item := range e.Status.Items {
		if a, err := netip.ParseAddr(item.EgressIP); err == nil {
			result[a] = item.Node
		}
	}
	return result
}
