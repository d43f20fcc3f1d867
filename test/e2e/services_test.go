package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
)

// Load balancers answer on the gateway router of the first node that can: node1, which hosts the EgressIP here.
var _ = Describe("Services, through a node that hosts an EgressIP,", func() {
	outside := func() string { return bed.Facts().Outside.Target }

	It("answer the outside with backends everywhere, selected or not (spec 4.8, externalTrafficPolicy Cluster)",
		limit, func(ctx SpecContext) {
			namespace := newNamespace(ctx, nil)
			here := serveOn(ctx, namespace, node1, "selected")
			there := serveOn(ctx, namespace, node2, "selected")
			free := serveOn(ctx, namespace, node3, "free")
			hostOnNode1(ctx, namespace, here, there)
			service := newService(ctx, namespace, backendLabels, corev1.ServiceExternalTrafficPolicyCluster)

			for _, url := range []string{service.nodePortURL(node1), service.nodePortURL(node2), service.externalURL()} {
				expectBalanced(ctx, outside(), url, here, there, free)
			}
		})

	It("answer the outside with local unselected backends, which see the client (spec 4.8, externalTrafficPolicy Local)",
		limit, func(ctx SpecContext) {
			namespace := newNamespace(ctx, nil)
			here := serveOn(ctx, namespace, node1, "free")
			there := serveOn(ctx, namespace, node2, "free")
			witness := serveOn(ctx, newNamespace(ctx, nil), node2, "selected")
			hostOnNode1(ctx, witness.namespace, witness)
			service := newService(ctx, namespace, backendLabels, corev1.ServiceExternalTrafficPolicyLocal)
			expectLocal(ctx, service, here, there)
		})

	It("answer the outside with local selected backends, which see the client (spec 4.3 EgressIP-Mark-Reply-Traffic)",
		limit, func(ctx SpecContext) {
			if bed.Facts().OVN == "distro" {
				Skip("known limit: QoS rows of OVN 23.03 cannot mark replies")
			}
			namespace := newNamespace(ctx, nil)
			here := serveOn(ctx, namespace, node1, "selected")
			there := serveOn(ctx, namespace, node2, "selected")
			hostOnNode1(ctx, namespace, here, there)
			service := newService(ctx, namespace, backendLabels, corev1.ServiceExternalTrafficPolicyLocal)
			expectLocal(ctx, service, here, there)
		})

	It("answer the hosting node itself with backends on other nodes (spec 4.3 EIP-No-Reroute-Pod-To-Join)",
		limit, func(ctx SpecContext) {
			namespace := newNamespace(ctx, nil)
			selected := serveOn(ctx, namespace, node2, "selected")
			free := serveOn(ctx, namespace, node3, "free")
			hostOnNode1(ctx, namespace, selected)
			service := newService(ctx, namespace, backendLabels, corev1.ServiceExternalTrafficPolicyCluster)
			for _, n := range bed.Facts().Nodes {
				expectBalanced(ctx, "node/"+n.Name, service.clusterURL(), selected, free)
			}
		})
})

// backendLabels are those of all backends.
var backendLabels = map[string]string{"app": "web"}

// serveOn starts a backend of a tier, selected or free.
func serveOn(ctx context.Context, namespace string, n node, tier string) *pod {
	GinkgoHelper()
	return newPod(ctx, namespace, n, labelled("app", backendLabels["app"]), labelled("tier", tier), serving(servePort))
}

// hostOnNode1 gives the selected tier of a namespace an EgressIP on node1, and waits until these pods leave with it.
func hostOnNode1(ctx context.Context, namespace string, selected ...*pod) {
	GinkgoHelper()
	hostsAre(ctx, node1)
	address := freeAddress()
	newEgressIP(ctx, egressipv1.EgressIPSpec{
		EgressIPs: texts(address), NamespaceSelector: named(namespace), PodSelector: withLabel("tier", "selected"),
	})
	for _, p := range selected {
		expectSource(ctx, p.target(), address)
	}
}

// expectLocal expects of a service with externalTrafficPolicy Local, with backends on node1 and node2, that each is
// reached by its node and sees the client's own address.
func expectLocal(ctx context.Context, s service, onNode1, onNode2 *pod) {
	GinkgoHelper()
	outside := bed.Facts().Outside
	for url, backend := range map[string]*pod{
		s.nodePortURL(node1): onNode1, s.nodePortURL(node2): onNode2, s.externalURL(): onNode1,
	} {
		Expect(expectBalanced(ctx, outside.Target, url, backend)).To(ConsistOf(outside.Address), url)
	}
}
