package standin

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

// The columns of Open_vSwitch that the stand-in reads or writes; see ovs-vswitchd.conf.db(5).
type (
	ovsBridge struct {
		UUID  string   `ovsdb:"_uuid"`
		Name  string   `ovsdb:"name"`
		Ports []string `ovsdb:"ports"`
	}
	ovsPort struct {
		UUID       string   `ovsdb:"_uuid"`
		Name       string   `ovsdb:"name"`
		Interfaces []string `ovsdb:"interfaces"`
	}
	ovsInterface struct {
		UUID        string            `ovsdb:"_uuid"`
		Name        string            `ovsdb:"name"`
		Error       *string           `ovsdb:"error"`
		ExternalIDs map[string]string `ovsdb:"external_ids"`
	}
)

const (
	integrationBridge = "br-int"
	// sandboxKey is the external id of an interface that names the pod's network namespace.
	sandboxKey = "sandbox"
)

// openVSwitch is the Open vSwitch of one node.
type openVSwitch struct {
	client client.Client
	node   *cluster.Node
}

// openOpenVSwitch connects to a node's database. Whenever the interface of a pod changes, changed is called with
// the pod's UID; it must not block.
func openOpenVSwitch(
	ctx context.Context, node *cluster.Node, log logr.Logger, changed func(types.UID),
) (*openVSwitch, error) {
	db, err := model.NewClientDBModel("Open_vSwitch", map[string]model.Model{
		"Bridge": &ovsBridge{}, "Port": &ovsPort{}, "Interface": &ovsInterface{},
	})
	if err != nil {
		return nil, fmt.Errorf("node %s: Open vSwitch model: %w", node.Name, err)
	}
	db.SetIndexes(map[string][]model.ClientIndex{
		"Interface": {{Columns: []model.ColumnKey{{Column: "external_ids", Key: ifaceVersion}}}},
	})
	handler := &eventHandler{changed: func(row model.Model) {
		if iface, ok := row.(*ovsInterface); ok && iface.ExternalIDs[ifaceVersion] != "" {
			changed(types.UID(iface.ExternalIDs[ifaceVersion]))
		}
	}}
	bridge, port, iface := &ovsBridge{}, &ovsPort{}, &ovsInterface{}
	c, err := connect(ctx, "unix:"+filepath.Join(node.Directory, "db.sock"), db, log, handler,
		client.WithTable(bridge, &bridge.Name), client.WithTable(port, &port.Name),
		client.WithTable(iface, &iface.Name, &iface.Error, &iface.ExternalIDs))
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", node.Name, err)
	}
	return &openVSwitch{client: c, node: node}, nil
}

// errDisconnected is returned at once, where others would wait, while the node's database is down.
var errDisconnected = errors.New("database not connected")

// connected is nil while the node's database can be used.
func (o *openVSwitch) connected() error {
	if !o.client.Connected() {
		return fmt.Errorf("node %s: %w", o.node.Name, errDisconnected)
	}
	return nil
}

// addPort puts the node's end of a pod's veth pair onto the integration bridge, with what ovn-controller needs to
// know to bind it.
func (o *openVSwitch) addPort(ctx context.Context, box sandbox, a attachment) error {
	var ips []string
	for _, ip := range a.podIPs() {
		ips = append(ips, ip.String())
	}
	iface := &ovsInterface{UUID: "iface", Name: box.hostLink, ExternalIDs: map[string]string{
		"iface-id":     portName(box.pod.namespace, box.pod.name),
		ifaceVersion:   string(box.pod.uid),
		"attached_mac": a.mac.String(),
		"ip_addresses": strings.Join(ips, ","),
		sandboxKey:     box.namespace,
	}}
	port := &ovsPort{UUID: "port", Name: box.hostLink, Interfaces: []string{iface.UUID}}
	bridge := &ovsBridge{Name: integrationBridge}

	var operations []ovsdb.Operation
	for _, row := range []model.Model{iface, port} {
		insert, err := o.client.Create(row)
		if err != nil {
			return fmt.Errorf("port %s on node %s: %w", box.hostLink, o.node.Name, err)
		}
		operations = append(operations, insert...)
	}
	attach, err := o.client.Where(bridge).Mutate(bridge,
		model.Mutation{Field: &bridge.Ports, Mutator: ovsdb.MutateOperationInsert, Value: []string{port.UUID}})
	if err != nil {
		return fmt.Errorf("port %s on node %s: %w", box.hostLink, o.node.Name, err)
	}
	if err := transact(ctx, o.client, append(operations, attach...)); err != nil {
		return fmt.Errorf("port %s on node %s: %w", box.hostLink, o.node.Name, err)
	}
	return nil
}

// deletePort takes a port off the integration bridge, if it is there.
func (o *openVSwitch) deletePort(ctx context.Context, name string) error {
	if err := o.connected(); err != nil {
		return err
	}
	port, err := first[ovsPort](ctx, o.client.Where(&ovsPort{Name: name}))
	if err != nil {
		return fmt.Errorf("port %s on node %s: %w", name, o.node.Name, err)
	}
	if port == nil {
		return nil
	}
	bridge := &ovsBridge{Name: integrationBridge}
	detach, err := o.client.Where(bridge).Mutate(bridge,
		model.Mutation{Field: &bridge.Ports, Mutator: ovsdb.MutateOperationDelete, Value: []string{port.UUID}})
	if err == nil {
		err = transact(ctx, o.client, detach)
	}
	if err != nil {
		return fmt.Errorf("port %s on node %s: %w", name, o.node.Name, err)
	}
	return nil
}

// interfaceOf returns the interface of a pod, nil if it has none on this node.
func (o *openVSwitch) interfaceOf(ctx context.Context, pod types.UID) (*ovsInterface, error) {
	if err := o.connected(); err != nil {
		return nil, err
	}
	iface, err := first[ovsInterface](ctx,
		o.client.Where(&ovsInterface{ExternalIDs: map[string]string{ifaceVersion: string(pod)}}))
	if err != nil {
		return nil, fmt.Errorf("interface of pod %s on node %s: %w", pod, o.node.Name, err)
	}
	return iface, nil
}

// podInterfaces returns the interfaces of all pods on this node.
func (o *openVSwitch) podInterfaces(ctx context.Context) ([]*ovsInterface, error) {
	var pods []*ovsInterface
	if err := o.client.WhereCache(func(i *ovsInterface) bool { return i.ExternalIDs[ifaceVersion] != "" }).
		List(ctx, &pods); err != nil {
		return nil, fmt.Errorf("interfaces of node %s: %w", o.node.Name, err)
	}
	return pods, nil
}

// installed says whether ovn-controller has installed all flows of the interface.
func (i *ovsInterface) installed() bool { return i.ExternalIDs["ovn-installed"] == "true" }
