package e2e

import (
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
)

var _ = Describe("Inside the cluster", func() {
	It("pods see each other's own addresses, selected or not (spec 4.3 EIP-No-Reroute-Pod-To-Pod)",
		Label(smoke), limit, func(ctx SpecContext) {
			hostsAre(ctx, node2)
			namespace := newNamespace(ctx, nil)
			var pods, selected []*pod
			for _, n := range []node{node1, node2} {
				web := startPod(ctx, namespace, n, labelled("app", "web"), serving(servePort))
				pods = append(pods, web, startPod(ctx, namespace, n, serving(servePort)))
				selected = append(selected, web)
			}
			ready(ctx, pods...)
			address := freeAddress()
			newEgressIP(ctx, egressipv1.EgressIPSpec{
				EgressIPs: texts(address), NamespaceSelector: named(namespace), PodSelector: withLabel("app", "web"),
			})
			for _, p := range selected {
				expectSource(ctx, p.target(), address)
			}

			for _, client := range pods {
				for _, server := range pods {
					if client != server {
						Expect(sourceAt(ctx, client.target(), server.url())).To(Equal(client.address),
							"%s on %s to %s on %s", client.name, client.node.Name, server.name, server.node.Name)
					}
				}
			}
		})

	It("selected pods reach the API server as their node (spec 4.3 EIP-No-Reroute-Pod-To-Node)",
		Label(smoke), limit, func(ctx SpecContext) {
			hostsAre(ctx, node2)
			namespace := newNamespace(ctx, nil)
			near, far := startPod(ctx, namespace, node2), startPod(ctx, namespace, node1)
			ready(ctx, near, far)
			address := freeAddress()
			newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(address), NamespaceSelector: named(namespace)})
			kubernetes, err := getFresh(ctx, &corev1.Service{}, "default", "kubernetes")
			Expect(err).NotTo(HaveOccurred())

			for _, p := range []*pod{near, far} {
				expectSource(ctx, p.target(), address)
				uri := "/version?" + unique("probe")
				_, err := bed.Exec(ctx, p.target(), probe, "get", "-insecure", "https://"+kubernetes.Spec.ClusterIP+uri)
				Expect(err).NotTo(HaveOccurred())
				Eventually(bed.Audited).WithArguments(uri).Should(ConsistOf(p.node.Address))
			}
		})

	It("selected pods reach nodes as themselves or as their node (spec 4.8)", Label(smoke), limit, func(ctx SpecContext) {
		hostsAre(ctx, node2)
		namespace, system := newNamespace(ctx, nil), newNamespace(ctx, nil)
		near, far := startPod(ctx, namespace, node2), startPod(ctx, namespace, node1)
		const port = 18080
		for _, n := range bed.Facts().Nodes {
			ready(ctx, startPod(ctx, system, n, onHostNetwork, serving(port)))
		}
		ready(ctx, near, far)
		address := freeAddress()
		newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(address), NamespaceSelector: named(namespace)})

		for _, p := range []*pod{near, far} {
			expectSource(ctx, p.target(), address)
			for _, n := range bed.Facts().Nodes {
				expected := []netip.Addr{p.node.Address}
				if n == p.node { // by the management port
					expected = []netip.Addr{p.address, n.Management}
				}
				Expect(sourceAt(ctx, p.target(), httpURL(n.Address, port))).
					To(BeElementOf(expected), "from %s to %s", p.node.Name, n.Name)
			}
		}
	})

	It("selected pods reach services whose backends are on other nodes (spec 4.3; lab 4c)", limit, func(ctx SpecContext) {
		hostsAre(ctx, node1)
		namespace, backend := newNamespace(ctx, nil), newNamespace(ctx, nil)
		near, far := startPod(ctx, namespace, node1), startPod(ctx, namespace, node3)
		remote := startPod(ctx, backend, node2, labelled("app", "db"), serving(servePort))
		ready(ctx, near, far, remote)
		address := freeAddress()
		newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(address), NamespaceSelector: named(namespace)})
		service := newService(ctx, backend, map[string]string{"app": "db"}, corev1.ServiceExternalTrafficPolicyCluster)

		for _, p := range []*pod{near, far} {
			expectSource(ctx, p.target(), address)
			for _, url := range []string{service.clusterURL(), service.externalURL(), service.nodePortURL(p.node)} {
				Expect(expectBalanced(ctx, p.target(), url, remote)).NotTo(ContainElement(address), "%s from %s", url, p.node.Name)
			}
		}
	})
})
