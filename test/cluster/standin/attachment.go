package standin

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

const (
	// podNetworksAnnotation is where OVN-Kubernetes writes a pod's addresses as soon as it has chosen them, long
	// before they are in the pod's status.
	podNetworksAnnotation = "k8s.ovn.org/pod-networks"
	// addressAnnotation on a pod asks for one address of its node's pod subnet, instead of the next free one.
	addressAnnotation = "netcluster.ovn-egress.io/address"
	// phantomAnnotation with the value "true" makes a pod that has an address and a logical switch port and is
	// Running, but has neither network namespace nor process: for tests with thousands of pods.
	phantomAnnotation = "netcluster.ovn-egress.io/phantom"
)

// attachment is how a pod is attached to its node's logical switch.
type attachment struct {
	addresses []netip.Prefix // with the masks of their subnets
	gateways  []netip.Addr   // the switch's router port in each of these subnets
	mac       net.HardwareAddr
}

// networkAnnotation is the value of one network in podNetworksAnnotation, as OVN-Kubernetes writes it: the fields
// in the singular are there if there is only one address.
type networkAnnotation struct {
	Addresses []netip.Prefix `json:"ip_addresses"`
	MAC       string         `json:"mac_address"`
	Gateways  []netip.Addr   `json:"gateway_ips,omitempty"`
	Address   string         `json:"ip_address,omitempty"`
	Gateway   string         `json:"gateway_ip,omitempty"`
	Role      string         `json:"role,omitempty"`
}

// newAttachment is the attachment of a pod with these addresses.
func newAttachment(addresses []netip.Prefix) attachment {
	a := attachment{addresses: addresses, mac: macOf(addresses[0].Addr())}
	for _, address := range addresses {
		a.gateways = append(a.gateways, nthAddress(address, 1))
	}
	return a
}

// macOf derives a MAC address from an address as OVN-Kubernetes does, so that no two pods have the same: the
// prefix 0a:58 and the IPv4 address, or the first four bytes of the SHA-256 of the IPv6 address's text.
func macOf(addr netip.Addr) net.HardwareAddr {
	if addr.Is4() {
		b := addr.As4()
		return net.HardwareAddr{0x0a, 0x58, b[0], b[1], b[2], b[3]}
	}
	h := sha256.Sum256([]byte(addr.String()))
	return net.HardwareAddr{0x0a, 0x58, h[0], h[1], h[2], h[3]}
}

// annotation is the value of podNetworksAnnotation for the attachment.
func (a attachment) annotation() (string, error) {
	network := networkAnnotation{
		Addresses: a.addresses, MAC: a.mac.String(), Gateways: a.gateways, Role: "primary",
	}
	if len(a.addresses) == 1 {
		network.Address, network.Gateway = a.addresses[0].String(), a.gateways[0].String()
	}
	raw, err := json.Marshal(map[string]networkAnnotation{"default": network})
	if err != nil {
		return "", fmt.Errorf("annotation %s: %w", podNetworksAnnotation, err)
	}
	return string(raw), nil
}

// lspAddress is the attachment as a logical switch port's addresses column has it: the MAC address and the
// addresses without masks, separated by spaces.
func (a attachment) lspAddress() string {
	text := a.mac.String()
	for _, address := range a.addresses {
		text += " " + address.Addr().String()
	}
	return text
}

// podIPs are the addresses without their masks, as a pod's status has them.
func (a attachment) podIPs() []netip.Addr {
	addrs := make([]netip.Addr, 0, len(a.addresses))
	for _, address := range a.addresses {
		addrs = append(addrs, address.Addr())
	}
	return addrs
}

// wantedAddresses are those that the pod must get: the ones that it was given before, or else the one that it asks
// for, or else none.
func wantedAddresses(pod *corev1.Pod) ([]netip.Addr, error) {
	if text, ok := pod.Annotations[podNetworksAnnotation]; ok {
		networks := map[string]networkAnnotation{}
		if err := json.Unmarshal([]byte(text), &networks); err != nil {
			return nil, fmt.Errorf("annotation %s: %w", podNetworksAnnotation, err)
		}
		return attachment{addresses: networks["default"].Addresses}.podIPs(), nil
	}
	if text, ok := pod.Annotations[addressAnnotation]; ok {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("annotation %s: %w", addressAnnotation, err)
		}
		return []netip.Addr{addr}, nil
	}
	return nil, nil
}

// portName is the name of a pod's logical switch port, and the iface-id of its interface.
func portName(namespace, name string) string { return namespace + "_" + name }

// phantom says whether the pod is one without namespace and process.
func phantom(pod *corev1.Pod) bool { return pod.Annotations[phantomAnnotation] == "true" }
