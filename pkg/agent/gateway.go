package agent

import (
	"encoding/json"
	"fmt"
	"net"

	corev1 "k8s.io/api/core/v1"
)

// annotationGateway is written by OVN-Kubernetes' node process: the node's gateway router as JSON, per network.
const annotationGateway = "k8s.ovn.org/l3-gateway-config"

// gatewayMAC is the MAC address of the gateway router's external port, which answers ARP for the addresses that the
// node hosts:
//
//	{"default":{"mode":"shared","mac-address":"02:42:ac:12:00:03", …}}
func gatewayMAC(node *corev1.Node) (net.HardwareAddr, error) {
	text, ok := node.Annotations[annotationGateway]
	if !ok {
		return nil, fmt.Errorf("node %s has no annotation %s", node.Name, annotationGateway)
	}
	var networks map[string]struct {
		MAC string `json:"mac-address"`
	}
	if err := json.Unmarshal([]byte(text), &networks); err != nil {
		return nil, fmt.Errorf("node %s, annotation %s: %w", node.Name, annotationGateway, err)
	}
	mac, err := net.ParseMAC(networks["default"].MAC)
	if err != nil {
		return nil, fmt.Errorf("node %s, annotation %s, default.mac-address: %w", node.Name, annotationGateway, err)
	}
	if len(mac) != 6 || mac[0]&1 != 0 {
		return nil, fmt.Errorf("node %s, annotation %s, default.mac-address: %s is not the address of an Ethernet port",
			node.Name, annotationGateway, mac)
	}
	return mac, nil
}
