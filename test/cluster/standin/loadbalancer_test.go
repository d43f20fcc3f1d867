package standin

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// threeNodes are node1 to node3, the first of them not Ready.
func threeNodes() []proxyNode {
	var nodes []proxyNode
	for i := range 3 {
		nodes = append(nodes, proxyNode{
			name:      fmt.Sprint("node", i+1),
			addresses: []netip.Addr{netip.AddrFrom4([4]byte{172, 18, 0, byte(11 + i)})},
			ready:     i > 0,
		})
	}
	return nodes
}

func service(change ...func(*corev1.Service)) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIPs: []string{"10.96.0.7"},
			Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	}
	for _, c := range change {
		c(svc)
	}
	return svc
}

func ofType(t corev1.ServiceType) func(*corev1.Service) {
	return func(s *corev1.Service) {
		s.Spec.Type = t
		s.Spec.Ports[0].NodePort = 30080
		if t == corev1.ServiceTypeLoadBalancer {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "172.18.0.151"}}
		}
	}
}

func local(s *corev1.Service) {
	s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
}

// endpoint is one address on a node; conditions are those that are set.
func endpoint(addr, node string, conditions ...discoveryv1.EndpointConditions) discoveryv1.Endpoint {
	e := discoveryv1.Endpoint{Addresses: []string{addr}, NodeName: &node}
	for _, c := range conditions {
		e.Conditions = c
	}
	return e
}

func slice(endpoints ...discoveryv1.Endpoint) []*discoveryv1.EndpointSlice {
	name, port, protocol := "http", int32(8080), corev1.ProtocolTCP
	return []*discoveryv1.EndpointSlice{{
		Ports:     []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &protocol}},
		Endpoints: endpoints,
	}}
}

// show writes rows as one line for each virtual address: the row's last part, where it is, what it does.
func show(rows []balancer) []string {
	var lines []string
	for _, row := range rows {
		for vip, backends := range row.vips {
			lines = append(lines, fmt.Sprintf("%s %s: %s -> %s",
				strings.TrimPrefix(row.name, "Service_default/web_TCP_"), strings.Join(append(row.switches, row.routers...), "+"), vip, backends))
		}
	}
	slices.Sort(lines)
	return lines
}

func TestCompileService(t *testing.T) {
	onTwo := slice(endpoint("10.244.8.3", "node2"), endpoint("10.244.12.3", "node3"))
	no, yes := false, true
	const both = "10.244.8.3:8080,10.244.12.3:8080"
	cluster := "cluster node1+node2+node3+GR_node1+GR_node2+GR_node3: 10.96.0.7:80 -> "
	for _, tc := range []struct {
		name      string
		svc       *corev1.Service
		endpoints []*discoveryv1.EndpointSlice
		want      []string
	}{
		{"ClusterIP", service(), onTwo, []string{cluster + both}},
		{"without endpoints: refused", service(), nil, []string{cluster}},
		{"headless", service(func(s *corev1.Service) { s.Spec.ClusterIPs = []string{"None"} }), onTwo, nil},
		{"ExternalName", service(ofType(corev1.ServiceTypeExternalName)), onTwo, nil},
		{"an endpoint that is not ready", service(),
			slice(endpoint("10.244.8.3", "node2"), endpoint("10.244.12.3", "node3", discoveryv1.EndpointConditions{Ready: &no})),
			[]string{cluster + "10.244.8.3:8080"}},
		{"only terminating endpoints", service(),
			slice(endpoint("10.244.8.3", "node2", discoveryv1.EndpointConditions{Ready: &no, Serving: &yes, Terminating: &yes})),
			[]string{cluster + "10.244.8.3:8080"}},
		{"a host-network endpoint is left out of its own gateway router", service(),
			slice(endpoint("172.18.0.12", "node2"), endpoint("10.244.12.3", "node3")),
			[]string{
				"cluster node1+node2+node3: 10.96.0.7:80 -> 10.244.12.3:8080,172.18.0.12:8080",
				"node_router_node1 GR_node1: 10.96.0.7:80 -> 10.244.12.3:8080,172.18.0.12:8080",
				"node_router_node2 GR_node2: 10.96.0.7:80 -> 10.244.12.3:8080",
				"node_router_node3 GR_node3: 10.96.0.7:80 -> 10.244.12.3:8080,172.18.0.12:8080",
			}},
		{"internalTrafficPolicy Local", service(func(s *corev1.Service) {
			policy := corev1.ServiceInternalTrafficPolicyLocal
			s.Spec.InternalTrafficPolicy = &policy
		}), onTwo, []string{
			"node_switch_node1 node1: 10.96.0.7:80 -> ",
			"node_switch_node2 node2: 10.96.0.7:80 -> 10.244.8.3:8080",
			"node_switch_node3 node3: 10.96.0.7:80 -> 10.244.12.3:8080",
		}},
		{"NodePort", service(ofType(corev1.ServiceTypeNodePort)), onTwo, []string{
			cluster + both,
			"node_router_node1 GR_node1: 172.18.0.11:30080 -> " + both,
			"node_router_node2 GR_node2: 172.18.0.12:30080 -> " + both,
			"node_router_node3 GR_node3: 172.18.0.13:30080 -> " + both,
			"node_switch_node1 node1: 172.18.0.11:30080 -> " + both,
			"node_switch_node2 node2: 172.18.0.12:30080 -> " + both,
			"node_switch_node3 node3: 172.18.0.13:30080 -> " + both,
		}},
		{"NodePort, traffic policy Local", service(ofType(corev1.ServiceTypeNodePort), local), onTwo, []string{
			cluster + both,
			"node_local_router_node1 GR_node1: 172.18.0.11:30080 -> ",
			"node_local_router_node2 GR_node2: 172.18.0.12:30080 -> 10.244.8.3:8080",
			"node_local_router_node3 GR_node3: 172.18.0.13:30080 -> 10.244.12.3:8080",
			"node_switch_node1 node1: 172.18.0.11:30080 -> " + both,
			"node_switch_node2 node2: 172.18.0.12:30080 -> " + both,
			"node_switch_node3 node3: 172.18.0.13:30080 -> " + both,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			slices.Sort(tc.want)
			if diff := cmp.Diff(tc.want, show(compileService(tc.svc, tc.endpoints, threeNodes()))); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnExternalAddressIsOnOneGatewayRouter(t *testing.T) {
	onThree := slice(endpoint("10.244.12.3", "node3"))
	for _, tc := range []struct {
		name      string
		svc       *corev1.Service
		endpoints []*discoveryv1.EndpointSlice
		want      string // empty: on none
	}{
		{"the first Ready node's", service(ofType(corev1.ServiceTypeLoadBalancer)), onThree, "node_router_node2"},
		{"traffic policy Local: with a backend", service(ofType(corev1.ServiceTypeLoadBalancer), local), onThree, "node_local_router_node3"},
		{"traffic policy Local: no backend", service(ofType(corev1.ServiceTypeLoadBalancer), local), nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			on := map[string]balancer{}
			for _, row := range compileService(tc.svc, tc.endpoints, threeNodes()) {
				if _, ok := row.vips["172.18.0.151:80"]; ok && len(row.routers) > 0 {
					on[strings.TrimPrefix(row.name, "Service_default/web_TCP_")] = row
				}
			}
			if tc.want == "" {
				if len(on) > 0 {
					t.Errorf("on %v, want none", on)
				}
				return
			}
			row, ok := on[tc.want]
			if !ok || len(on) != 1 {
				t.Fatalf("on %v, want only %s", on, tc.want)
			}
			wantOptions := map[string]string{
				"skip_snat": fmt.Sprint(strings.Contains(tc.want, "local")), "neighbor_responder": "reachable", "reject": "true",
			}
			for option, want := range wantOptions {
				if row.options[option] != want {
					t.Errorf("option %s=%s, want %s", option, row.options[option], want)
				}
			}
		})
	}
}

func TestProtocolsHaveRowsOfTheirOwn(t *testing.T) {
	svc := service(func(s *corev1.Service) {
		s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "http", Port: 80, Protocol: corev1.ProtocolUDP})
	})
	got := map[string]string{}
	for _, row := range compileService(svc, slice(endpoint("10.244.8.3", "node2")), threeNodes()) {
		got[row.name] = row.protocol + " " + row.vips["10.96.0.7:80"] + " " + row.options["affinity_timeout"]
	}
	want := map[string]string{
		"Service_default/web_TCP_cluster": "tcp 10.244.8.3:8080 10800",
		"Service_default/web_UDP_cluster": "udp  10800", // the endpoints have no UDP port of this name
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}
