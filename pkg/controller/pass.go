package controller

import (
	"context"
	"errors"
	"maps"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
	"github.com/ovn-egress/ovn-egress/pkg/assign"
	"github.com/ovn-egress/ovn-egress/pkg/northbound"
)

// pass looks at the caches once and does what follows from them. next is when to make another one though nothing
// may change until then; zero: no need.
func (w *Writer) pass(ctx context.Context, t todo) (next time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	c, err := w.look(ctx)
	if err != nil {
		return next, err
	}
	w.heartbeats.note(w.Now(), c.egressNodes)
	w.readNodes(c)
	if t.all || t.zone {
		w.gateways = map[string]gateway{}
	}
	if t.all || t.plan {
		w.plan = indexed(assign.Compute(c.assignFacts()))
	}
	done, err := w.confirmed(ctx, c)
	if err != nil {
		return next, err
	}
	next, problems := w.writePreparations(ctx, c, done)
	services, err := w.decide(ctx, c, &t)
	if err != nil {
		return next, errors.Join(err, problems)
	}
	// Who is told that nothing can host its address is told before its pods leave otherwise.
	problems = errors.Join(problems,
		w.writeStatuses(ctx, c, services, t, func(s service) bool { return len(s.hosts) == 0 }))
	if err := w.writeRows(ctx, c, services, t, done); err != nil {
		return next, errors.Join(err, problems)
	}
	problems = errors.Join(problems, w.writeTargets(ctx, c))
	problems = errors.Join(problems, w.writeStatuses(ctx, c, services, t, func(s service) bool { return len(s.hosts) > 0 }))
	w.measure(services)
	w.services = services
	return next, problems
}

// decide says how each EgressIP is served, and adds to t those that need their rows looked at.
func (w *Writer) decide(ctx context.Context, c *cluster, t *todo) (map[string]service, error) {
	if t.confirmed || t.plan {
		maps.Copy(t.egressIPs, w.waiting)
	}
	services := make(map[string]service, len(c.egressIPs))
	for _, e := range c.egressIPs {
		services[e.Name] = w.serve(ctx, c, e)
		if t.all || !reflect.DeepEqual(services[e.Name], w.services[e.Name]) {
			t.egressIPs[e.Name] = true
		}
	}
	if t.all {
		return services, w.addOrphans(ctx, t.egressIPs)
	}
	return services, nil
}

// serve decides how an EgressIP is served, and says which of its hosts cannot.
func (w *Writer) serve(ctx context.Context, c *cluster, e *egressipv1.EgressIP) service {
	s := serve(e, c, w.plan)
	for _, p := range s.hosts {
		if g := w.gateway(ctx, c, p.node); g.err != nil {
			if s.problems == nil {
				s.problems = map[place]string{}
			}
			s.problems[p] = g.err.Error()
		}
	}
	return s
}

// confirmed reads what chassis have installed.
func (w *Writer) confirmed(ctx context.Context, c *cluster) (map[string]int64, error) {
	result := make(map[string]int64, len(c.nodes))
	for name, n := range c.nodes {
		if !n.ready || n.chassis == "" {
			continue
		}
		config, err := w.Databases.barrier.Installed(ctx, n.chassis)
		if err != nil {
			return nil, err
		}
		result[name] = config
	}
	return result, nil
}

// least is the least configuration number of the nodes that are live; of none, all is confirmed.
func least(done map[string]int64, nodes ...string) int64 {
	result := int64(math.MaxInt64)
	for _, n := range nodes {
		if config, live := done[n]; live {
			result = min(result, config)
		}
	}
	return result
}

// confirmations are what matters to the pods of a service: the nodes that serve it, else those that prepare to.
func (s service) confirmations(done map[string]int64) confirmations {
	places := s.served
	if len(places) == 0 {
		places = s.hosts
	}
	nodes := make([]string, 0, len(places))
	for _, p := range places {
		nodes = append(nodes, p.node)
	}
	return confirmations{hosts: least(done, nodes...), all: least(done, slices.Collect(maps.Keys(done))...)}
}

// addOrphans adds the owners of rows whose EgressIP is gone.
func (w *Writer) addOrphans(ctx context.Context, names map[string]bool) error {
	owners, err := w.Databases.northbound.Owners(ctx)
	if err != nil {
		return err
	}
	for _, o := range owners {
		if o != northbound.ZoneOwner {
			names[o.Name] = true
		}
	}
	return nil
}

// change is what a pass is about to write for one EgressIP.
type change struct {
	name                              string
	sets                              *podSets // nil: the EgressIP has no place any more
	translatedBefore, translatedAfter []netip.Addr
	reroutedBefore, reroutedAfter     []netip.Addr
}

// writeRows brings the rows of all EgressIPs in t, and the shared ones, to what they should be, in one transaction.
func (w *Writer) writeRows(ctx context.Context, c *cluster, services map[string]service, t todo, done map[string]int64) error {
	db := w.Databases.northbound
	parents, err := db.Parents(ctx)
	if err != nil {
		return err
	}
	var ops []ovsdb.Operation
	var changes []change
	names := slices.Sorted(maps.Keys(t.egressIPs))
	have, err := w.installed(ctx, names)
	if err != nil {
		return err
	}
	for _, name := range names {
		want, ch := w.compile(ctx, c, name, services[name], have[name], done)
		more, missing := northbound.Diff(northbound.EgressIPOwner(name), want, have[name], parents)
		if len(missing) > 0 {
			w.Log.Info("rows cannot be written", "egressIP", name, "missing", missing)
		}
		ops, changes = append(ops, more...), append(changes, ch)
	}
	if t.all || t.zone || t.plan || len(t.egressIPs) > 0 {
		have, err := db.Installed(ctx, northbound.ZoneOwner)
		if err != nil {
			return err
		}
		more, missing := northbound.Diff(northbound.ZoneOwner, w.compileZone(ctx, c, services), have, parents)
		if len(missing) > 0 {
			w.Log.V(1).Info("shared rows cannot be written", "missing", missing)
		}
		ops = append(ops, more...)
	}
	return w.apply(ctx, ops, changes)
}

// installed reads the rows of EgressIPs, and notes which of them translates which pod.
func (w *Writer) installed(ctx context.Context, names []string) (map[string]northbound.Installed, error) {
	result := make(map[string]northbound.Installed, len(names))
	for _, name := range names {
		have, err := w.Databases.northbound.Installed(ctx, northbound.EgressIPOwner(name))
		if err != nil {
			return nil, err
		}
		result[name] = have
		translated, _ := have.Pods(name)
		for _, p := range translated {
			w.translatedBy[p] = name
		}
	}
	return result, nil
}

// apply writes the operations, if any, and remembers with which configuration number pods changed.
func (w *Writer) apply(ctx context.Context, ops []ovsdb.Operation, changes []change) error {
	if len(ops) > 0 {
		start := w.Now()
		config, err := w.Databases.northbound.Apply(ctx, w.epoch, ops)
		if err != nil {
			metricTransactions.WithLabelValues("failed").Inc()
			return err
		}
		w.config = config
		metricTransactions.WithLabelValues("committed").Inc()
		metricTransactionSeconds.Observe(w.Now().Sub(start).Seconds())
		w.Log.V(1).Info("wrote rows", "operations", len(ops), "config", config)
	}
	for _, ch := range changes {
		w.remember(ch)
	}
	return nil
}

// remember follows the pods of a change that is written.
func (w *Writer) remember(ch change) {
	for _, p := range ch.translatedBefore {
		if w.translatedBy[p] == ch.name {
			delete(w.translatedBy, p)
		}
	}
	for _, p := range ch.translatedAfter {
		w.translatedBy[p] = ch.name
	}
	if len(ch.translatedAfter) < len(ch.translatedBefore) && len(w.waiting) > 0 {
		w.work.chassisConfirmed() // somebody may have waited for a pod that left
	}
	if ch.sets == nil {
		delete(w.podSets, ch.name)
		return
	}
	w.podSets[ch.name] = ch.sets
	ch.sets.written(w.config, w.Now(), ch.translatedBefore, ch.translatedAfter, ch.reroutedBefore, ch.reroutedAfter)
}

// compile gives the rows of one EgressIP, of none for one that is gone or has no place.
func (w *Writer) compile(ctx context.Context, c *cluster, name string, s service, have northbound.Installed, done map[string]int64) (northbound.Program, change) {
	ch := change{name: name}
	ch.translatedBefore, ch.reroutedBefore = have.Pods(name)
	delete(w.waiting, name)
	delete(w.translated, name)
	if c.byName[name] == nil {
		delete(w.selected, name)
		return northbound.Program{}, ch
	}
	w.selected[name], _ = w.Selection.Pods(name)
	if len(s.hosts) == 0 {
		return northbound.Program{}, ch
	}
	if ch.sets = w.podSets[name]; ch.sets == nil {
		ch.sets = &podSets{}
	}
	var waits bool
	ch.translatedAfter, ch.reroutedAfter, waits = ch.sets.next(
		w.selected[name], ch.translatedBefore, ch.reroutedBefore, s.confirmations(done), w.beginning, w.Now(),
		func(pod netip.Addr) bool {
			other, ok := w.translatedBy[pod]
			return ok && other != name
		})
	if waits {
		w.waiting[name] = true
	}
	w.translated[name] = ch.translatedAfter
	db := w.Databases.northbound
	e := northbound.EgressIP{
		Name: name, Layout: db.Layout(), Capabilities: db.Capabilities(), Networks: w.networks(c),
		Translated: ch.translatedAfter, Rerouted: ch.reroutedAfter,
	}
	for _, p := range s.hosts {
		if g := w.gateway(ctx, c, p.node); g.err == nil {
			e.Hosts = append(e.Hosts, northbound.Hosted{Address: p.address, Gateway: g.Gateway})
		}
	}
	shards := shardsOf(c, name)
	for _, p := range s.served {
		if g := w.gateway(ctx, c, p.node); g.err == nil {
			e.Routed = append(e.Routed, northbound.Hosted{Address: p.address, Gateway: g.Gateway, Shards: shards[p.address]})
		}
	}
	return northbound.CompileEgressIP(e), ch
}

func (w *Writer) networks(c *cluster) northbound.Networks {
	return northbound.Networks{Cluster: w.Networks.Cluster, Join: w.Networks.Join, Nodes: c.nodeAddresses()}
}

// compileZone gives the shared rows. Gateway routers are guarded as soon as their node may host.
func (w *Writer) compileZone(ctx context.Context, c *cluster, services map[string]service) northbound.Program {
	db := w.Databases.northbound
	z := northbound.Zone{Layout: db.Layout(), Capabilities: db.Capabilities(), Networks: w.networks(c)}
	for _, pods := range w.translated {
		z.Translated = append(z.Translated, pods...)
	}
	guarded := map[string]bool{}
	for name, s := range services {
		for _, p := range s.hosts {
			guarded[p.node] = true
		}
		if s.guarded {
			z.Served = append(z.Served, w.selected[name]...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.nodes)) {
		z.Switches = append(z.Switches, name)
		if !guarded[name] && !c.nodes[name].candidate.Assignable {
			continue
		}
		if g := w.gateway(ctx, c, name); g.err == nil {
			z.Guarded = append(z.Guarded, g.Gateway)
		}
	}
	return northbound.CompileZone(z)
}

// gateway reads a node's gateway router once between changes of the topology.
func (w *Writer) gateway(ctx context.Context, c *cluster, node string) gateway {
	g, ok := w.gateways[node]
	if !ok {
		g.Gateway, g.err = w.Databases.northbound.Gateway(ctx, node, c.nodes[node].podSubnets, w.Networks.Cluster)
		if g.err != nil {
			w.Log.Info("node cannot host", "node", node, "error", g.err.Error())
		}
		if g.err != nil && !errors.Is(g.err, northbound.ErrNoGateway) {
			return g // asked again by the next pass
		}
		w.gateways[node] = g
	}
	return g
}
