package northbound

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Observer is told what changed in the database. Its methods are called one at a time and must not block.
type Observer interface {
	// RowsChanged says that a row of the owner was added, changed or removed, by whomever.
	RowsChanged(Owner)
	// ZoneChanged says that rows which are not ours but matter to the shared ones changed.
	ZoneChanged()
	// AllChanged says that anything may have changed: the connection was made anew, routers came or went.
	AllChanged()
}

// Database is a northbound database: a copy of the tables that matter, and transactions.
type Database struct {
	client       client.Client
	capabilities Capabilities
	layout       Layout
	stop         context.CancelFunc // ends the probes
}

// Open connects, tries until it succeeds or ctx ends, and keeps the connection until Close.
func Open(ctx context.Context, e Endpoint, layout Layout, observer Observer, log logr.Logger) (*Database, error) {
	schema, err := schemaOf(ctx, databaseNB, e, log)
	if err != nil {
		return nil, err
	}
	d := &Database{capabilities: capabilitiesOf(schema), layout: layout}
	m, err := northboundModel(d.capabilities)
	if err != nil {
		return nil, fmt.Errorf("northbound model: %w", err)
	}
	if d.client, err = connect(ctx, m, e, log); err != nil {
		return nil, err
	}
	d.client.Cache().AddEventHandler(eventHandler{observer})
	if _, err := d.client.Monitor(ctx, monitor(d.client, m)); err != nil {
		d.client.Close()
		return nil, fmt.Errorf("northbound: monitor: %w", err)
	}
	d.stop = keep(ctx, d.client)
	log.Info("connected to the northbound database", "schema", schema.Version, "endpoint", d.client.CurrentEndpoint(),
		"natMatch", d.capabilities.NATMatch, "qosMark", d.capabilities.QoSMark)
	return d, nil
}

// Close ends the connection for good.
func (d *Database) Close() {
	d.stop()
	d.client.Close()
}

// Connected says whether the server answers.
func (d *Database) Connected() bool { return d.client.Connected() }

// Capabilities is what the schema allows.
func (d *Database) Capabilities() Capabilities { return d.capabilities }

// Layout is how routers and ports are named.
func (d *Database) Layout() Layout { return d.layout }

// ErrNoGateway says that a node has no usable gateway router.
var ErrNoGateway = errors.New("no gateway router")

// Gateway reads a node's gateway router. podSubnets are those of the node's pods: translations of others that are
// not ours are reported as Foreign, the default one of whole cluster subnets excepted. The error wraps
// ErrNoGateway if the router or its port on the join switch is missing.
func (d *Database) Gateway(ctx context.Context, node string, podSubnets, clusterSubnets []netip.Prefix) (Gateway, error) {
	g := Gateway{Node: node, PodSubnets: podSubnets}
	routers, err := d.routers(ctx)
	if err != nil {
		return g, err
	}
	router := routers[d.layout.GatewayRouter(node)]
	if router == nil {
		return g, fmt.Errorf("node %s: %w: %s does not exist", node, ErrNoGateway, d.layout.GatewayRouter(node))
	}
	port := &logicalRouterPort{Name: d.layout.JoinPort(node)}
	if err := d.client.Get(ctx, port); err != nil {
		return g, fmt.Errorf("node %s: %w: port %s: %w", node, ErrNoGateway, port.Name, err)
	}
	for _, network := range port.Networks {
		if p, err := netip.ParsePrefix(network); err == nil && p.Addr().Is4() {
			g.JoinAddress = p.Addr()
		}
	}
	if !g.JoinAddress.IsValid() {
		return g, fmt.Errorf("node %s: %w: port %s has no IPv4 address", node, ErrNoGateway, port.Name)
	}
	g.Foreign, err = d.foreign(ctx, router, podSubnets, clusterSubnets)
	return g, err
}

// foreign lists logical addresses of the router's translations that are neither ours, nor the node's own pods',
// nor a whole cluster subnet's.
func (d *Database) foreign(ctx context.Context, r *logicalRouter, own, cluster []netip.Prefix) ([]netip.Prefix, error) {
	var result []netip.Prefix
	translations, err := d.allTranslations(ctx, r.NAT)
	if err != nil {
		return nil, fmt.Errorf("router %s: %w", r.Name, err)
	}
	for _, t := range translations {
		if _, ours := ownerOf(t.ids); ours {
			continue
		}
		p, err := netip.ParsePrefix(t.value.LogicalIP)
		if err != nil {
			a, err := netip.ParseAddr(t.value.LogicalIP)
			if err != nil {
				continue
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		inside := func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) }
		whole := func(q netip.Prefix) bool { return p.Bits() <= q.Bits() && p.Contains(q.Addr()) }
		if !slices.ContainsFunc(own, inside) && !slices.ContainsFunc(cluster, whole) {
			result = append(result, p)
		}
	}
	return result, nil
}

func (d *Database) allTranslations(ctx context.Context, uuids []string) ([]installed[NAT], error) {
	result := make([]installed[NAT], 0, len(uuids))
	for _, uuid := range uuids {
		if d.capabilities.NATMatch {
			row := &natWithMatch{UUID: uuid}
			if err := d.client.Get(ctx, row); err != nil && !errors.Is(err, client.ErrNotFound) {
				return nil, err
			}
			result = append(result, installed[NAT]{ids: row.ExternalIDs, value: NAT{LogicalIP: row.LogicalIP}})
			continue
		}
		row := &nat{UUID: uuid}
		if err := d.client.Get(ctx, row); err != nil && !errors.Is(err, client.ErrNotFound) {
			return nil, err
		}
		result = append(result, installed[NAT]{ids: row.ExternalIDs, value: NAT{LogicalIP: row.LogicalIP}})
	}
	return result, nil
}

func (d *Database) routers(ctx context.Context) (map[string]*logicalRouter, error) {
	var rows []*logicalRouter
	if err := d.client.List(ctx, &rows); err != nil {
		return nil, fmt.Errorf("logical routers: %w", err)
	}
	result := make(map[string]*logicalRouter, len(rows))
	for _, r := range rows {
		result[r.Name] = r
	}
	return result, nil
}

// Parents reads which logical routers and switches exist.
func (d *Database) Parents(ctx context.Context) (Parents, error) {
	p := Parents{Routers: map[string]bool{}, Switches: map[string]bool{}}
	routers, err := d.routers(ctx)
	if err != nil {
		return p, err
	}
	for name := range routers {
		p.Routers[name] = true
	}
	var switches []*logicalSwitch
	if err := d.client.List(ctx, &switches); err != nil {
		return p, fmt.Errorf("logical switches: %w", err)
	}
	for _, s := range switches {
		p.Switches[s.Name] = true
	}
	return p, nil
}

// Installed reads the rows of one owner.
func (d *Database) Installed(ctx context.Context, o Owner) (Installed, error) {
	return installedOf(ctx, d.client, d.capabilities, o)
}

// Owners lists whose rows there are.
func (d *Database) Owners(ctx context.Context) ([]Owner, error) {
	seen := map[Owner]bool{}
	note := func(ids map[string]string) {
		if o, ours := ownerOf(ids); ours {
			seen[o] = true
		}
	}
	var policies []*logicalRouterPolicy
	var sets []*addressSet
	var rules []*qos
	if err := errors.Join(d.client.List(ctx, &policies), d.client.List(ctx, &sets), d.client.List(ctx, &rules)); err != nil {
		return nil, fmt.Errorf("owners: %w", err)
	}
	for _, r := range policies {
		note(r.ExternalIDs)
	}
	for _, r := range sets {
		note(r.ExternalIDs)
	}
	for _, r := range rules {
		note(r.ExternalIDs)
	}
	result := make([]Owner, 0, len(seen))
	for o := range seen {
		result = append(result, o)
	}
	return result, nil
}

// Config is the configuration number of the copy, NB_Global.nb_cfg (ovn-nb(5)).
func (d *Database) Config(ctx context.Context) (int64, error) {
	g, err := d.global(ctx)
	if err != nil {
		return 0, err
	}
	return int64(g.NbCfg), nil
}

func (d *Database) global(ctx context.Context) (*nbGlobal, error) {
	var rows []*nbGlobal
	if err := d.client.List(ctx, &rows); err != nil {
		return nil, fmt.Errorf("NB_Global: %w", err)
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("NB_Global has %d rows, want one", len(rows))
	}
	return rows[0], nil
}

// Apply performs the operations in one transaction that is void unless epoch is still the database's epoch
// (ErrFenced). It raises the configuration number and returns it once the copy has caught up: a chassis that
// reports this number has installed the rows.
func (d *Database) Apply(ctx context.Context, epoch int64, ops []ovsdb.Operation) (config int64, err error) {
	g, err := d.global(ctx)
	if err != nil {
		return 0, err
	}
	all := append([]ovsdb.Operation{fence(g, epoch)}, ops...)
	all = append(all,
		ovsdb.Operation{
			Op: ovsdb.OperationMutate, Table: tableGlobal, Where: whereUUID(g.UUID),
			Mutations: []ovsdb.Mutation{*ovsdb.NewMutation("nb_cfg", ovsdb.MutateOperationAdd, 1)},
		},
		ovsdb.Operation{Op: ovsdb.OperationSelect, Table: tableGlobal, Where: whereUUID(g.UUID), Columns: []string{"nb_cfg"}},
	)
	results, err := d.client.Transact(ctx, all...)
	if err != nil {
		return 0, fmt.Errorf("northbound transaction: %w", err)
	}
	if len(results) > 0 && results[0].Error != "" {
		return 0, ErrFenced
	}
	if _, err := ovsdb.CheckOperationResults(results, all); err != nil {
		return 0, fmt.Errorf("northbound transaction: %w", err)
	}
	selected := results[len(all)-1].Rows
	if len(selected) != 1 {
		return 0, fmt.Errorf("northbound transaction: nb_cfg: %d rows, want one", len(selected))
	}
	number, ok := selected[0]["nb_cfg"].(float64)
	if !ok {
		return 0, fmt.Errorf("northbound transaction: nb_cfg is %v, want a number", selected[0]["nb_cfg"])
	}
	return int64(number), d.caughtUp(ctx, int64(number))
}

// caughtUp waits until the copy contains the configuration number: a comparison made earlier would see old rows
// and write them again.
func (d *Database) caughtUp(ctx context.Context, config int64) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		have, err := d.Config(ctx)
		if err == nil && have >= config {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("northbound copy did not reach configuration %d: %w", config, errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

// eventHandler turns cache events into calls of the observer.
type eventHandler struct{ observer Observer }

// OnAdd implements cache.EventHandler.
func (h eventHandler) OnAdd(table string, m model.Model) {
	switch table {
	case tableGlobal, // appears when the connection is made, and made anew
		tableRouter, tableSwitch, tableRouterPort:
		h.observer.AllChanged()
	}
	h.notify(table, m)
}

// OnUpdate implements cache.EventHandler.
func (h eventHandler) OnUpdate(table string, before, after model.Model) {
	if table == tableRouterPort {
		h.observer.AllChanged()
	}
	h.notify(table, before)
	h.notify(table, after)
}

// OnDelete implements cache.EventHandler.
func (h eventHandler) OnDelete(table string, m model.Model) {
	switch table {
	case tableRouter, tableSwitch, tableRouterPort:
		h.observer.AllChanged()
	}
	h.notify(table, m)
}

// notify tells the observer whose row it is.
func (h eventHandler) notify(table string, m model.Model) {
	var ids map[string]string
	switch row := m.(type) {
	case *logicalRouterPolicy:
		ids = row.ExternalIDs
	case *nat:
		ids = row.ExternalIDs
	case *natWithMatch:
		ids = row.ExternalIDs
	case *qos:
		ids = row.ExternalIDs
	case *addressSet:
		ids = row.ExternalIDs
	}
	if o, ours := ownerOf(ids); ours {
		h.observer.RowsChanged(o)
	} else if table == tableNAT {
		h.observer.ZoneChanged()
	}
}
