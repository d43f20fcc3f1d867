package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// service is a service whose backends are pods that serve.
type service struct {
	cluster  netip.Addr
	external netip.Addr // of type LoadBalancer
	nodePort int32
}

// newService makes a service of type LoadBalancer, which is also one of type NodePort, over pods of a namespace,
// by their labels, and waits until it has what a user connects to.
func newService(ctx context.Context, namespace string, backends map[string]string, policy corev1.ServiceExternalTrafficPolicy) service {
	GinkgoHelper()
	object := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: unique("service"), Namespace: namespace},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: policy,
			Selector: backends,
			Ports:    []corev1.ServicePort{{Port: servePort, TargetPort: intstr.FromInt32(servePort)}},
		},
	}
	Expect(api.Create(ctx, object)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) {
		Expect(api.Delete(ctx, object)).To(Succeed())
	})
	var s service
	Eventually(func(g Gomega) {
		fresh, err := getFresh(ctx, &corev1.Service{}, namespace, object.Name)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(fresh.Status.LoadBalancer.Ingress).NotTo(BeEmpty())
		s.external = netip.MustParseAddr(fresh.Status.LoadBalancer.Ingress[0].IP)
		s.cluster = netip.MustParseAddr(fresh.Spec.ClusterIP)
		s.nodePort = fresh.Spec.Ports[0].NodePort
	}).WithContext(ctx).Should(Succeed(), "service %s has its addresses", object.Name)
	return s
}

func httpURL(address netip.Addr, port int32) string {
	return fmt.Sprintf("http://%s/", netip.AddrPortFrom(address, uint16(port)))
}

func (s service) clusterURL() string        { return httpURL(s.cluster, servePort) }
func (s service) externalURL() string       { return httpURL(s.external, servePort) }
func (s service) nodePortURL(n node) string { return httpURL(n.Address, s.nodePort) }

// url is where a serving pod answers.
func (p *pod) url() string { return httpURL(p.address, servePort) }

// attempts is how many connections go to a service: so many that each of three backends gets one of them but in one
// of 10,000 runs.
const attempts = 24

// expectBalanced expects that a client reaches exactly these backends through a URL, with every connection, and
// returns the client's addresses as the backends saw them.
func expectBalanced(ctx context.Context, target, url string, backends ...*pod) []netip.Addr {
	GinkgoHelper()
	names := make([]string, 0, len(backends))
	for _, p := range backends {
		names = append(names, p.name)
	}
	// Load balancers follow their endpoints with a delay. From then on every connection must work.
	Eventually(func(g Gomega) {
		all, err := answers(ctx, target, url, attempts)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(serversOf(all)).To(ConsistOf(names))
	}).WithContext(ctx).Should(Succeed(), "%s from %s", url, target)
	all, err := answers(ctx, target, url, attempts)
	Expect(err).NotTo(HaveOccurred(), "%s from %s", url, target)
	return clientsOf(all)
}

// serversOf lists the backends that answered, each once.
func serversOf(all []answer) []string {
	servers := map[string]bool{}
	for _, a := range all {
		servers[a.server] = true
	}
	return slices.Collect(maps.Keys(servers))
}

// clientsOf lists the addresses that the backends saw, each once.
func clientsOf(all []answer) []netip.Addr {
	clients := map[netip.Addr]bool{}
	for _, a := range all {
		clients[a.client] = true
	}
	return slices.Collect(maps.Keys(clients))
}
