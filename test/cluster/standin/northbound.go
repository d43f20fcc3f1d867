package standin

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

// The columns of OVN_Northbound that the stand-in reads or writes; see ovn-nb(5).
type (
	logicalSwitch struct {
		UUID         string   `ovsdb:"_uuid"`
		Name         string   `ovsdb:"name"`
		Ports        []string `ovsdb:"ports"`
		LoadBalancer []string `ovsdb:"load_balancer"`
	}
	logicalRouter struct {
		UUID         string   `ovsdb:"_uuid"`
		Name         string   `ovsdb:"name"`
		LoadBalancer []string `ovsdb:"load_balancer"`
	}
	logicalSwitchPort struct {
		UUID         string            `ovsdb:"_uuid"`
		Name         string            `ovsdb:"name"`
		Addresses    []string          `ovsdb:"addresses"`
		PortSecurity []string          `ovsdb:"port_security"`
		Options      map[string]string `ovsdb:"options"`
		ExternalIDs  map[string]string `ovsdb:"external_ids"`
	}
	loadBalancer struct {
		UUID     string            `ovsdb:"_uuid"`
		Name     string            `ovsdb:"name"`
		Protocol *string           `ovsdb:"protocol"`
		VIPs     map[string]string `ovsdb:"vips"`
		Options  map[string]string `ovsdb:"options"`
		// SelectionFields are the header fields that choose a backend.
		SelectionFields []string          `ovsdb:"selection_fields"`
		ExternalIDs     map[string]string `ovsdb:"external_ids"`
	}
)

// ifaceVersion is the key, in the options of a logical switch port and in the external ids of an interface, of the
// pod's UID: ovn-controller binds the one only to the other, so that a pod that comes back under the same name
// never gets its predecessor's port.
const ifaceVersion = "iface-id-ver"

// northbound is one zone's northbound database.
type northbound struct {
	client client.Client
	nodes  []cluster.Node // those of the zone
}

// openNorthbound connects to a zone's database.
func openNorthbound(ctx context.Context, zone cluster.Zone, nodes []cluster.Node, log logr.Logger) (*northbound, error) {
	db, err := model.NewClientDBModel("OVN_Northbound", map[string]model.Model{
		"Logical_Switch": &logicalSwitch{}, "Logical_Router": &logicalRouter{},
		"Logical_Switch_Port": &logicalSwitchPort{}, "Load_Balancer": &loadBalancer{},
	})
	if err != nil {
		return nil, fmt.Errorf("northbound model: %w", err)
	}
	name := []model.ColumnKey{{Column: "name"}}
	db.SetIndexes(map[string][]model.ClientIndex{
		"Logical_Switch":      {{Columns: name}},
		"Logical_Router":      {{Columns: name}},
		"Logical_Switch_Port": {{Columns: []model.ColumnKey{{Column: "options", Key: ifaceVersion}}}},
		"Load_Balancer":       {{Columns: []model.ColumnKey{{Column: "external_ids", Key: ownerKey}}}},
	})
	// Not the ports of a switch: there may be thousands, and each pod would change the list.
	ls, lr, lsp, lb := &logicalSwitch{}, &logicalRouter{}, &logicalSwitchPort{}, &loadBalancer{}
	c, err := connect(ctx, zone.NB, db, log, nil,
		client.WithTable(ls, &ls.Name, &ls.LoadBalancer), client.WithTable(lr, &lr.Name, &lr.LoadBalancer),
		client.WithTable(lsp, &lsp.Name, &lsp.Addresses, &lsp.PortSecurity, &lsp.Options, &lsp.ExternalIDs),
		client.WithTable(lb, &lb.Name, &lb.Protocol, &lb.VIPs, &lb.Options,
			&lb.SelectionFields, &lb.ExternalIDs))
	if err != nil {
		return nil, err
	}
	nb := &northbound{client: c}
	for _, node := range nodes {
		if node.Zone == zone.Name {
			nb.nodes = append(nb.nodes, node)
		}
	}
	return nb, nil
}

// ensurePort makes the logical switch port of a pod on its node's switch, or corrects it. A port of the same name
// that belonged to an earlier pod is replaced.
func (nb *northbound) ensurePort(ctx context.Context, node *cluster.Node, pod podID, a attachment) error {
	want := &logicalSwitchPort{
		UUID:         "port",
		Name:         portName(pod.namespace, pod.name),
		Addresses:    []string{a.lspAddress()},
		PortSecurity: []string{a.lspAddress()},
		Options:      map[string]string{ifaceVersion: string(pod.uid), "requested-chassis": node.Chassis},
		ExternalIDs:  map[string]string{"pod": "true", "namespace": pod.namespace},
	}
	existing, err := first[logicalSwitchPort](ctx, nb.client.Where(&logicalSwitchPort{Name: want.Name}))
	if err != nil {
		return fmt.Errorf("logical switch port %s: %w", want.Name, err)
	}
	var operations []ovsdb.Operation
	if existing != nil {
		if existing.Options[ifaceVersion] == string(pod.uid) && len(existing.Addresses) == 1 &&
			existing.Addresses[0] == want.Addresses[0] {
			return nil
		}
		if operations, err = nb.removePort(ctx, existing); err != nil {
			return err
		}
	}
	ls, err := nb.switchOf(ctx, node)
	if err != nil {
		return fmt.Errorf("logical switch port %s: %w", want.Name, err)
	}
	insert, err := nb.client.Create(want)
	if err != nil {
		return fmt.Errorf("logical switch port %s: %w", want.Name, err)
	}
	attach, err := nb.client.Where(ls).Mutate(ls,
		model.Mutation{Field: &ls.Ports, Mutator: ovsdb.MutateOperationInsert, Value: []string{want.UUID}})
	if err != nil {
		return fmt.Errorf("logical switch port %s: %w", want.Name, err)
	}
	if err := transact(ctx, nb.client, append(append(operations, insert...), attach...)); err != nil {
		return fmt.Errorf("logical switch port %s: %w", want.Name, err)
	}
	return nil
}

// deletePort removes the logical switch port of a pod, if it has one.
func (nb *northbound) deletePort(ctx context.Context, pod types.UID) error {
	port, err := nb.portOf(ctx, pod)
	if err != nil || port == nil {
		return err
	}
	operations, err := nb.removePort(ctx, port)
	if err != nil {
		return err
	}
	if err := transact(ctx, nb.client, operations); err != nil {
		return fmt.Errorf("logical switch port %s: %w", port.Name, err)
	}
	return nil
}

// removePort takes a pod's port off its switch; the database then deletes it.
func (nb *northbound) removePort(ctx context.Context, port *logicalSwitchPort) ([]ovsdb.Operation, error) {
	var operations []ovsdb.Operation
	for i := range nb.nodes {
		if nb.nodes[i].Chassis != port.Options["requested-chassis"] {
			continue
		}
		ls, err := nb.switchOf(ctx, &nb.nodes[i])
		if err != nil {
			return nil, fmt.Errorf("logical switch port %s: %w", port.Name, err)
		}
		detach, err := nb.client.Where(ls).Mutate(ls,
			model.Mutation{Field: &ls.Ports, Mutator: ovsdb.MutateOperationDelete, Value: []string{port.UUID}})
		if err != nil {
			return nil, fmt.Errorf("logical switch port %s: %w", port.Name, err)
		}
		operations = append(operations, detach...)
	}
	return operations, nil
}

// portOf returns the logical switch port of a pod, nil if it has none.
func (nb *northbound) portOf(ctx context.Context, pod types.UID) (*logicalSwitchPort, error) {
	port, err := first[logicalSwitchPort](ctx,
		nb.client.Where(&logicalSwitchPort{Options: map[string]string{ifaceVersion: string(pod)}}))
	if err != nil {
		return nil, fmt.Errorf("logical switch port of pod %s: %w", pod, err)
	}
	return port, nil
}

// switchOf returns the logical switch of a node.
func (nb *northbound) switchOf(ctx context.Context, node *cluster.Node) (*logicalSwitch, error) {
	ls, err := first[logicalSwitch](ctx, nb.client.Where(&logicalSwitch{Name: node.Name}))
	if err != nil {
		return nil, fmt.Errorf("logical switch %s: %w", node.Name, err)
	}
	if ls == nil {
		return nil, fmt.Errorf("logical switch %s: not there", node.Name)
	}
	return ls, nil
}

// pods returns the UIDs of all pods that have a logical switch port.
func (nb *northbound) pods(ctx context.Context) ([]types.UID, error) {
	var ports []*logicalSwitchPort
	if err := nb.client.List(ctx, &ports); err != nil {
		return nil, fmt.Errorf("logical switch ports: %w", err)
	}
	var pods []types.UID
	for _, port := range ports {
		if uid := port.Options[ifaceVersion]; uid != "" && port.ExternalIDs["pod"] == "true" {
			pods = append(pods, types.UID(uid))
		}
	}
	return pods, nil
}
