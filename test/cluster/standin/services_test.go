package standin

import (
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestServiceAddressesAreGivenOnce(t *testing.T) {
	node := netip.MustParsePrefix("172.18.0.11/16")
	addr := netip.MustParseAddr
	withAddress := func(uid types.UID, ip string) *corev1.Service {
		return service(ofType(corev1.ServiceTypeLoadBalancer), func(s *corev1.Service) {
			s.UID = uid
			s.Status.LoadBalancer.Ingress[0].IP = ip
		})
	}
	asking := func(ip string) *corev1.Service {
		return service(func(s *corev1.Service) { s.UID, s.Spec.LoadBalancerIP = "new", ip })
	}
	var full []*corev1.Service
	for host := firstServiceHost; host <= lastServiceHost; host++ {
		full = append(full, withAddress(types.UID(fmt.Sprint(host)), fmt.Sprintf("172.18.0.%d", host)))
	}
	for _, tc := range []struct {
		name     string
		service  *corev1.Service
		others   []*corev1.Service
		assigned map[netip.Addr]types.UID
		want     string // empty: an error
	}{
		{"the first", asking(""), nil, nil, "172.18.0.151"},
		{"taken by another", asking(""), []*corev1.Service{withAddress("a", "172.18.0.151")}, nil, "172.18.0.152"},
		{"just given to another", asking(""), nil, map[netip.Addr]types.UID{addr("172.18.0.151"): "a"}, "172.18.0.152"},
		{"just given to this one", asking(""), nil, map[netip.Addr]types.UID{addr("172.18.0.160"): "new"}, "172.18.0.160"},
		{"asked for", asking("172.18.0.200"), nil, nil, "172.18.0.200"},
		{"asked for and taken", asking("172.18.0.160"), []*corev1.Service{withAddress("a", "172.18.0.160")}, nil, ""},
		{"asked for, not for services", asking("172.18.0.201"), nil, nil, ""},
		{"none left", asking(""), full, nil, ""},
		{"one left", asking(""), full[:len(full)-1], nil, "172.18.0.200"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := freeServiceAddress(node, tc.service, append(tc.others, tc.service), tc.assigned)
			if (err == nil) != (tc.want != "") || err == nil && got.String() != tc.want {
				t.Errorf("got %v, %v, want %q", got, err, tc.want)
			}
		})
	}
}
