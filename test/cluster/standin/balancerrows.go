package standin

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

// External ids of load balancer rows, as OVN-Kubernetes writes them: the kind Service, and namespace/name of it.
const (
	kindKey     = "k8s.ovn.org/kind"
	kindService = "Service"
	ownerKey    = "k8s.ovn.org/owner"
)

// selectionFields choose a connection's backend by its addresses and ports. OVN's default would choose among much
// the same, but by a hash that the datapath computes, which costs a recirculation; and the userspace datapath drops
// a packet that recirculates more than six times. From br-ex by the gateway router, which translates both source
// and destination, to a pod on the same node it takes exactly six without.
var selectionFields = []string{"ip_dst", "ip_src", "tp_dst", "tp_src"}

// setBalancers makes the load balancer rows of one service, named namespace/name, exactly the given ones, on
// exactly their switches and routers, in one transaction.
func (nb *northbound) setBalancers(ctx context.Context, service string, want []balancer) error {
	operations, err := nb.balancerOperations(ctx, service, want)
	if err == nil {
		err = transact(ctx, nb.client, operations)
	}
	if err != nil {
		return fmt.Errorf("load balancers of service %s: %w", service, err)
	}
	return nil
}

// balancerOperations is the difference between the rows that the service has and those that it should have.
func (nb *northbound) balancerOperations(ctx context.Context, service string, want []balancer) ([]ovsdb.Operation, error) {
	var rows []*loadBalancer
	if err := nb.client.Where(&loadBalancer{ExternalIDs: map[string]string{ownerKey: service}}).List(ctx, &rows); err != nil {
		return nil, err
	}
	existing := map[string]*loadBalancer{}
	for _, row := range rows {
		if row.ExternalIDs[kindKey] == kindService {
			existing[row.Name] = row
		}
	}
	places, err := nb.balancerPlaces(ctx)
	if err != nil {
		return nil, err
	}
	var operations []ovsdb.Operation
	for i, b := range want {
		row := existing[b.name]
		delete(existing, b.name)
		changes, uuid, err := nb.writeBalancer(row, b, service, i)
		if err != nil {
			return nil, err
		}
		moves, err := places.move(nb.client, uuid, append(slices.Clone(b.switches), b.routers...))
		if err != nil {
			return nil, err
		}
		operations = append(append(operations, changes...), moves...)
	}
	for _, row := range existing { // the database takes deleted rows off switches and routers
		remove, err := nb.client.Where(row).Delete()
		if err != nil {
			return nil, err
		}
		operations = append(operations, remove...)
	}
	return operations, nil
}

// writeBalancer inserts the row, or updates it if it differs; it returns the row's identity inside the transaction.
func (nb *northbound) writeBalancer(row *loadBalancer, b balancer, service string, n int) ([]ovsdb.Operation, string, error) {
	want := &loadBalancer{
		Name: b.name, Protocol: &b.protocol, VIPs: b.vips, Options: b.options,
		SelectionFields: selectionFields,
		ExternalIDs:     map[string]string{kindKey: kindService, ownerKey: service},
	}
	if row == nil {
		want.UUID = fmt.Sprintf("balancer%d", n)
		operations, err := nb.client.Create(want)
		return operations, want.UUID, err
	}
	if row.Protocol != nil && *row.Protocol == b.protocol && maps.Equal(row.VIPs, b.vips) &&
		maps.Equal(row.Options, b.options) && slices.Equal(slices.Sorted(slices.Values(row.SelectionFields)), selectionFields) &&
		maps.Equal(row.ExternalIDs, want.ExternalIDs) {
		return nil, row.UUID, nil
	}
	want.UUID = row.UUID
	operations, err := nb.client.Where(row).Update(want, &want.Protocol, &want.VIPs, &want.Options, &want.SelectionFields,
		&want.ExternalIDs)
	return operations, row.UUID, err
}

// balancerPlaces are the switches and routers that load balancers can be on.
type balancerPlaces struct {
	switches []*logicalSwitch
	routers  []*logicalRouter
}

func (nb *northbound) balancerPlaces(ctx context.Context) (*balancerPlaces, error) {
	p := &balancerPlaces{}
	if err := nb.client.List(ctx, &p.switches); err != nil {
		return nil, err
	}
	if err := nb.client.List(ctx, &p.routers); err != nil {
		return nil, err
	}
	return p, nil
}

// move returns what puts the row with the given identity onto the named switches and routers, and off all others.
func (p *balancerPlaces) move(c client.Client, uuid string, names []string) ([]ovsdb.Operation, error) {
	var operations []ovsdb.Operation
	missing := map[string]bool{}
	for _, name := range names {
		missing[name] = true
	}
	mutate := func(name string, row model.Model, column *[]string) error {
		has, should := slices.Contains(*column, uuid), missing[name]
		delete(missing, name)
		if has == should {
			return nil
		}
		mutator := ovsdb.MutateOperationDelete
		if should {
			mutator = ovsdb.MutateOperationInsert
		}
		change, err := c.Where(row).Mutate(row, model.Mutation{Field: column, Mutator: mutator, Value: []string{uuid}})
		operations = append(operations, change...)
		return err
	}
	for _, ls := range p.switches {
		if err := mutate(ls.Name, ls, &ls.LoadBalancer); err != nil {
			return nil, err
		}
	}
	for _, lr := range p.routers {
		if err := mutate(lr.Name, lr, &lr.LoadBalancer); err != nil {
			return nil, err
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("no switches or routers %v", slices.Sorted(maps.Keys(missing)))
	}
	return operations, nil
}

// balancedServices returns the services, as namespace/name, that have load balancer rows.
func (nb *northbound) balancedServices(ctx context.Context) ([]string, error) {
	var rows []*loadBalancer
	if err := nb.client.List(ctx, &rows); err != nil {
		return nil, fmt.Errorf("load balancers: %w", err)
	}
	services := map[string]bool{}
	for _, row := range rows {
		if row.ExternalIDs[kindKey] == kindService {
			services[row.ExternalIDs[ownerKey]] = true
		}
	}
	return slices.Sorted(maps.Keys(services)), nil
}

// part returns the rows as far as they are on switches and routers of the zone.
func (nb *northbound) part(rows []balancer) []balancer {
	elsewhere := func(name string) bool {
		return !slices.ContainsFunc(nb.nodes, func(n cluster.Node) bool { return name == n.Name || name == gatewayRouter(n.Name) })
	}
	var own []balancer
	for _, row := range rows {
		row.switches = slices.DeleteFunc(slices.Clone(row.switches), elsewhere)
		row.routers = slices.DeleteFunc(slices.Clone(row.routers), elsewhere)
		if len(row.switches)+len(row.routers) > 0 {
			own = append(own, row)
		}
	}
	return own
}
