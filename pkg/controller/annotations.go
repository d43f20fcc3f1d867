package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// Annotations of OVN-Kubernetes; their formats are in its documentation and, summed up, in docs/northbound.md.
const (
	annotationPrimaryAddress = "k8s.ovn.org/node-primary-ifaddr"
	annotationHostCIDRs      = "k8s.ovn.org/host-cidrs"
	annotationNodeSubnets    = "k8s.ovn.org/node-subnets"
	annotationChassis        = "k8s.ovn.org/node-chassis-id"
	annotationPodNetworks    = "k8s.ovn.org/pod-networks"

	defaultNetwork = "default"
)

// primaryAddresses reads {"ipv4":"172.18.0.3/16","ipv6":"fc00::3/64"}; a member may be missing.
func primaryAddresses(node *corev1.Node) ([]netip.Prefix, error) {
	var value struct {
		IPv4 string `json:"ipv4"`
		IPv6 string `json:"ipv6"`
	}
	if err := readAnnotation(node, annotationPrimaryAddress, &value); err != nil {
		return nil, err
	}
	var result []netip.Prefix
	for _, text := range []string{value.IPv4, value.IPv6} {
		if text == "" {
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("annotation %s: %w", annotationPrimaryAddress, err)
		}
		result = append(result, p)
	}
	if len(result) == 0 {
		return nil, fmt.Errorf("annotation %s: no address", annotationPrimaryAddress)
	}
	return result, nil
}

// hostAddresses reads ["10.10.10.4/24","172.18.0.3/16"]: every address of the node with its mask.
func hostAddresses(node *corev1.Node) ([]netip.Addr, error) {
	var texts []string
	if err := readAnnotation(node, annotationHostCIDRs, &texts); err != nil {
		return nil, err
	}
	result := make([]netip.Addr, 0, len(texts))
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("annotation %s: %w", annotationHostCIDRs, err)
		}
		result = append(result, p.Addr())
	}
	return result, nil
}

// podSubnets reads {"default":["10.244.1.0/24"]}, or the older {"default":"10.244.1.0/24"}.
func podSubnets(node *corev1.Node) ([]netip.Prefix, error) {
	var networks map[string]json.RawMessage
	if err := readAnnotation(node, annotationNodeSubnets, &networks); err != nil {
		return nil, err
	}
	var texts []string
	raw := networks[defaultNetwork]
	if err := json.Unmarshal(raw, &texts); err != nil {
		var one string
		if err := json.Unmarshal(raw, &one); err != nil {
			return nil, fmt.Errorf("annotation %s: %w", annotationNodeSubnets, err)
		}
		texts = []string{one}
	}
	result := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("annotation %s: %w", annotationNodeSubnets, err)
		}
		result = append(result, p)
	}
	return result, nil
}

var errNoAnnotation = errors.New("is missing")

func readAnnotation(node *corev1.Node, key string, into any) error {
	text, ok := node.Annotations[key]
	if !ok {
		return fmt.Errorf("annotation %s %w", key, errNoAnnotation)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("annotation %s: %w", key, err)
	}
	return nil
}

// PodAddresses are the addresses of a pod on the cluster's network from the earliest place that has them: the
// network plugin's annotation, written before the pod runs, else the status. None for a pod that cannot be served:
// host network, completed.
func PodAddresses(pod *corev1.Pod) []netip.Addr {
	if pod.Spec.HostNetwork || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return nil
	}
	var networks map[string]struct {
		IPs []string `json:"ip_addresses"`
	}
	var result []netip.Addr
	if err := json.Unmarshal([]byte(pod.Annotations[annotationPodNetworks]), &networks); err == nil {
		for _, text := range networks[defaultNetwork].IPs {
			if p, err := netip.ParsePrefix(text); err == nil {
				result = append(result, p.Addr())
			}
		}
	}
	if len(result) > 0 {
		return result
	}
	for _, ip := range pod.Status.PodIPs {
		if a, err := netip.ParseAddr(ip.IP); err == nil {
			result = append(result, a)
		}
	}
	return result
}
