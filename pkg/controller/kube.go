package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
	"github.com/ovn-egress/ovn-egress/pkg/northbound"
)

// latest holds objects as they were last written, until the cache has them: a pass never works from an object
// that is older than its own write.
type latest[T client.Object] map[string]T

func (l latest[T]) put(o T) { l[o.GetName()] = o }

// of returns the newer of the cached object and the written one.
func (l latest[T]) of(cached T) T {
	written, ok := l[cached.GetName()]
	if !ok {
		return cached
	}
	if written.GetUID() == cached.GetUID() {
		if order, err := resourceversion.CompareResourceVersion(written.GetResourceVersion(), cached.GetResourceVersion()); err == nil && order > 0 {
			return written
		}
	}
	delete(l, cached.GetName())
	return cached
}

// look reads the caches. Objects are shared with the caches and must not be changed.
func (w *Writer) look(ctx context.Context) (*cluster, error) {
	c := &cluster{nodes: map[string]nodeFacts{}, egressNodes: map[string]*v1alpha1.EgressNode{}, networks: w.Networks}
	shared := client.UnsafeDisableDeepCopy
	var egressIPs egressipv1.EgressIPList
	var egressNodes v1alpha1.EgressNodeList
	var slicesOfAPI discoveryv1.EndpointSliceList
	var nodes corev1.NodeList
	if err := errors.Join(w.Client.List(ctx, &egressIPs, shared), w.Client.List(ctx, &egressNodes, shared),
		w.Client.List(ctx, &slicesOfAPI, shared), w.Client.List(ctx, &nodes, shared)); err != nil {
		return nil, fmt.Errorf("read caches: %w", err)
	}
	for i := range egressIPs.Items {
		c.egressIPs = append(c.egressIPs, w.egressIPs.of(&egressIPs.Items[i]))
	}
	slices.SortFunc(c.egressIPs, func(a, b *egressipv1.EgressIP) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	for i := range egressNodes.Items {
		n := w.egressNodes.of(&egressNodes.Items[i])
		c.egressNodes[n.Name] = n
	}
	for i := range nodes.Items {
		c.rawNodes = append(c.rawNodes, &nodes.Items[i])
	}
	for _, s := range slicesOfAPI.Items {
		for _, endpoint := range s.Endpoints {
			for _, text := range endpoint.Addresses {
				if a, err := netip.ParseAddr(text); err == nil {
					c.apiServers = append(c.apiServers, a)
				}
			}
		}
	}
	c.index()
	return c, nil
}

// readNodes reads the facts of all nodes; agents' heartbeats must have been noted.
func (w *Writer) readNodes(c *cluster) {
	for _, n := range c.rawNodes {
		fresh, _ := w.heartbeats.fresh(w.Now(), n.Name)
		f := readNode(n, fresh)
		if f.broken != nil {
			w.Log.V(1).Info("node cannot host", "node", n.Name, "error", f.broken.Error())
		}
		c.nodes[n.Name] = f
	}
}

// writePreparations tells nodes what to host, and puts what was written into c.
func (w *Writer) writePreparations(ctx context.Context, c *cluster, done map[string]int64) (next time.Time, err error) {
	seen := map[place]bool{}
	desired := prepare(w.plan, c, func(p place) bool {
		seen[p] = true
		d, ok := w.departures[p]
		if !ok {
			d = departure{config: w.config, since: w.Now()}
			w.departures[p] = d
		}
		finished, until := d.over(w.Now(), least(done, slices.Collect(maps.Keys(done))...))
		if !finished && (next.IsZero() || until.Before(next)) {
			next = until
		}
		return !finished
	})
	for p := range w.departures {
		if !seen[p] {
			delete(w.departures, p)
		}
	}
	shards := planShards(c, w.plan)
	for name, addresses := range desired {
		n, ok := c.egressNodes[name]
		if !ok {
			continue // without an agent; the planner places nothing there
		}
		if _, exists := c.nodes[name]; !exists {
			err = errors.Join(err, w.deleteEgressNode(ctx, n))
			delete(c.egressNodes, name)
			continue
		}
		spec := v1alpha1.EgressNodeSpec{Epoch: w.epoch, Addresses: addresses, Shards: shards[name]}
		if len(addresses) == 0 && len(n.Spec.Addresses) == 0 {
			spec.Epoch = n.Spec.Epoch // nothing to fence
		}
		err = errors.Join(err, w.writeEgressNode(ctx, c, n, spec))
	}
	c.index()
	return next, err
}

func (w *Writer) writeEgressNode(ctx context.Context, c *cluster, n *v1alpha1.EgressNode, spec v1alpha1.EgressNodeSpec) error {
	if equality.Semantic.DeepEqual(n.Spec, spec) {
		return nil
	}
	changed := n.DeepCopy()
	changed.Spec = spec
	if err := w.Client.Update(ctx, changed); err != nil {
		return fmt.Errorf("EgressNode %s: %w", n.Name, err)
	}
	w.egressNodes.put(changed)
	c.egressNodes[n.Name] = changed
	return nil
}

func (w *Writer) deleteEgressNode(ctx context.Context, n *v1alpha1.EgressNode) error {
	if err := w.Client.Delete(ctx, n.DeepCopy(), client.Preconditions{UID: &n.UID}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("EgressNode %s: %w", n.Name, err)
	}
	return nil
}

// writeTargets tells agents the configuration number that contains the rows of new placements.
func (w *Writer) writeTargets(ctx context.Context, c *cluster) error {
	var problems error
	for name, n := range c.egressNodes {
		spec := n.Spec.DeepCopy()
		changed := false
		for i, entry := range spec.Addresses {
			// A number above the database's comes from an earlier database.
			if entry.TargetConfig != 0 && entry.TargetConfig <= w.config {
				continue
			}
			if w.gateway(ctx, c, name).err != nil {
				continue
			}
			spec.Addresses[i].TargetConfig = w.config
			changed = true
		}
		if changed {
			problems = errors.Join(problems, w.writeEgressNode(ctx, c, n, *spec))
		}
	}
	return problems
}

// writeStatuses reports on the EgressIPs in t for which wanted is true.
func (w *Writer) writeStatuses(ctx context.Context, c *cluster, services map[string]service, t todo, wanted func(service) bool) error {
	var problems error
	for _, e := range c.egressIPs {
		s := services[e.Name]
		if !wanted(s) || !t.egressIPs[e.Name] && !t.plan && !t.all {
			continue
		}
		_, overlaps := w.Selection.Pods(e.Name)
		status, events := report(e, w.plan, s, overlaps)
		if equality.Semantic.DeepEqual(e.Status, status) {
			continue
		}
		changed := e.DeepCopy()
		changed.Status = status
		if err := w.Client.Status().Update(ctx, changed); apierrors.IsNotFound(err) {
			continue
		} else if err != nil {
			problems = errors.Join(problems, fmt.Errorf("EgressIP %s: status: %w", e.Name, err))
			continue
		}
		w.egressIPs.put(changed)
		for _, ev := range events {
			w.Events.Eventf(changed, nil, ev.kind, ev.reason, ev.action, "%s", ev.message)
		}
	}
	return problems
}

// planShards divides the source ports of each EgressIP over the addresses that are served, starting from what is
// written now; node -> its shards, by EgressIP.
func planShards(c *cluster, p plan) map[string][]v1alpha1.EgressNodeShards {
	result := map[string][]v1alpha1.EgressNodeShards{}
	for _, e := range c.egressIPs {
		s := serve(e, c, p)
		if len(s.served) < 2 {
			continue
		}
		previous := shardsOf(c, e.Name)
		if len(previous) == 0 && len(e.Status.Items) == 1 {
			if only, err := netip.ParseAddr(e.Status.Items[0].EgressIP); err == nil {
				previous = northbound.Shards(nil, []netip.Addr{only})
			}
		}
		addresses := make([]netip.Addr, 0, len(s.served))
		for _, x := range s.served {
			addresses = append(addresses, x.address)
		}
		divided := northbound.Shards(previous, addresses)
		for _, x := range s.served {
			result[x.node] = append(result[x.node], v1alpha1.EgressNodeShards{
				EgressIP: e.Name, Address: x.address.String(), Shards: divided[x.address],
			})
		}
	}
	for _, shards := range result {
		slices.SortFunc(shards, func(a, b v1alpha1.EgressNodeShards) int {
			return cmp.Or(strings.Compare(a.EgressIP, b.EgressIP), strings.Compare(a.Address, b.Address))
		})
	}
	return result
}

// shardsOf reads the shards of an EgressIP: address -> shards.
func shardsOf(c *cluster, egressIP string) map[netip.Addr][]int32 {
	result := map[netip.Addr][]int32{}
	for p := range c.prepared[egressIP] {
		for _, s := range c.egressNodes[p.node].Spec.Shards {
			if s.EgressIP == egressIP && s.Address == p.address.String() {
				result[p.address] = s.Shards
			}
		}
	}
	return result
}
