package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// createNodeObjects registers the nodes, as kubelet and ovnkube-node would. Whether they are ready is for the
// stand-in to say.
func (s *State) createNodeObjects(ctx context.Context) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		object, err := n.object()
		if err != nil {
			return fmt.Errorf("Node %s: %w", n.Name, err)
		}
		created, err := client.CoreV1().Nodes().Create(ctx, object, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("create Node %s: %w", n.Name, err)
		}
		created.Status.Addresses = []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: n.Addresses[0].Addr().String()},
			{Type: corev1.NodeHostName, Address: n.Name},
		}
		if _, err := client.CoreV1().Nodes().UpdateStatus(ctx, created, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("status of Node %s: %w", n.Name, err)
		}
	}
	return nil
}

func (n *Node) object() (*corev1.Node, error) {
	annotations, err := n.annotations()
	if err != nil {
		return nil, err
	}
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: n.Name, Annotations: annotations,
		Labels: map[string]string{
			corev1.LabelHostname: n.Name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: runtime.GOARCH,
		},
	}}, nil
}

// annotations are those of OVN-Kubernetes with a central northbound database.
func (n *Node) annotations() (map[string]string, error) {
	primary := n.Addresses[0].String()
	cidrs := make([]string, 0, 1+len(n.SecondaryAddresses))
	for _, a := range append(slices.Clone(n.Addresses), n.SecondaryAddresses...) {
		cidrs = append(cidrs, a.String())
	}
	slices.Sort(cidrs)
	annotations := map[string]string{
		"k8s.ovn.org/node-id":         strconv.Itoa(n.ID),
		"k8s.ovn.org/node-chassis-id": n.Chassis,
		"k8s.ovn.org/zone-name":       n.Zone,
	}
	for key, value := range map[string]any{
		"k8s.ovn.org/node-primary-ifaddr":          map[string]string{"ipv4": primary},
		"k8s.ovn.org/host-cidrs":                   cidrs,
		"k8s.ovn.org/node-subnets":                 map[string][]string{"default": {n.PodSubnets[0].String()}},
		"k8s.ovn.org/node-mgmt-port-mac-addresses": map[string]string{"default": n.ManagementPortMAC},
		"k8s.ovn.org/node-gateway-router-lrp-ifaddrs": map[string]any{
			"default": map[string]string{"ipv4": fmt.Sprintf("%s/%d", n.JoinAddresses[0], joinSubnet.Bits())},
		},
		"k8s.ovn.org/l3-gateway-config": map[string]any{"default": map[string]any{
			"mode": "shared", "bridge-id": externalBridge, "interface-id": externalBridge + "_" + n.Name,
			"mac-address": n.MAC, "ip-addresses": []string{primary}, "ip-address": primary,
			"next-hops": []string{gatewayAddress.String()}, "next-hop": gatewayAddress.String(),
			"node-port-enable": "true", "vlan-id": "0",
		}},
	} {
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("annotation %s: %w", key, err)
		}
		annotations[key] = string(raw)
	}
	return annotations, nil
}
