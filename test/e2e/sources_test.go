package e2e

import (
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
)

var _ = Describe("Outside the cluster", func() {
	It("pods of the hosting node and of other nodes are seen as the EgressIP (seeds/003 20.8.1)",
		Label(smoke), limit, func(ctx SpecContext) {
			hostsAre(ctx, node2)
			namespace := newNamespace(ctx, nil)
			near, far := startPod(ctx, namespace, node2), startPod(ctx, namespace, node1)
			ready(ctx, near, far)
			address := freeAddress()
			name := newEgressIP(ctx, egressipv1.EgressIPSpec{
				EgressIPs: texts(address), NamespaceSelector: named(namespace),
			})

			expectServed(ctx, name, on(node2, address))
			for _, p := range []*pod{near, far} {
				expectSource(ctx, p.target(), address)
				By("also behind the nodes' gateway, and with datagrams")
				Expect(sourceAt(ctx, p.target(), outsideURL(bed.Facts().Outside.Beyond, ""))).To(Equal(address))
				Expect(startFlow(ctx, p, flowStart).end(ctx).arrived).To(haveOnlyKeys(address))
			}
		})

	It("unselected pods and host-network pods are seen as their node (seeds/003 20.8.2 podSelector, 20.8.1.3)",
		Label(smoke), limit, func(ctx SpecContext) {
			hostsAre(ctx, node2)
			namespace, other := newNamespace(ctx, nil), newNamespace(ctx, nil)
			web := labelled("app", "web")
			selected := startPod(ctx, namespace, node1, web)
			unlabelled := startPod(ctx, namespace, node1)
			unlabelledHere := startPod(ctx, namespace, node2, labelled("app", "db"))
			elsewhere := startPod(ctx, other, node2, web)
			host1, host2 := startPod(ctx, namespace, node1, web, onHostNetwork), startPod(ctx, namespace, node2, web, onHostNetwork)
			ready(ctx, selected, unlabelled, unlabelledHere, elsewhere, host1, host2)
			address := freeAddress()
			newEgressIP(ctx, egressipv1.EgressIPSpec{
				EgressIPs: texts(address), NamespaceSelector: named(namespace), PodSelector: withLabel("app", "web"),
			})

			expectSource(ctx, selected.target(), address)
			for _, p := range []*pod{unlabelled, unlabelledHere, elsewhere, host1, host2} {
				expectAlready(ctx, p.target(), p.node.Address)
			}
		})

	It("connections are spread over two addresses, 35 to 65 % each (seeds/003 20.8.1.5, almost evenly)",
		limit, func(ctx SpecContext) {
			hostsAre(ctx, node2, node3)
			namespace := newNamespace(ctx, nil)
			far, near := startPod(ctx, namespace, node1), startPod(ctx, namespace, node2)
			ready(ctx, far, near)
			addresses := []netip.Addr{freeAddress(), freeAddress()}
			name := newEgressIP(ctx, egressipv1.EgressIPSpec{
				EgressIPs: texts(addresses...), NamespaceSelector: named(namespace),
			})

			expectSpread(ctx, name, addresses, node2, node3)
			for _, p := range []*pod{far, near} {
				Eventually(sourceOf).WithContext(ctx).WithArguments(p.target()).Should(BeElementOf(addresses))
				const count = 200
				sources, err := connections(ctx, p.target(), count)
				Expect(err).NotTo(HaveOccurred())
				Expect(sources).To(haveOnlyKeys(addresses...))
				for _, a := range addresses {
					Expect(sources[a]).To(And(BeNumerically(">=", count*35/100), BeNumerically("<=", count*65/100)),
						"connections of %s with %s of %v", p.node.Name, a, sources)
				}
			}
		})

	It("an address is not served twice when there are fewer nodes than addresses (seeds/003 20.8.1.5, no node hosts two)",
		limit, func(ctx SpecContext) {
			hostsAre(ctx, node2)
			namespace := newNamespace(ctx, nil)
			p := newPod(ctx, namespace, node1)
			addresses := []netip.Addr{freeAddress(), freeAddress()}
			name := newEgressIP(ctx, egressipv1.EgressIPSpec{
				EgressIPs: texts(addresses...), NamespaceSelector: named(namespace),
			})

			c := expectCondition(ctx, name, egressipv1.ConditionAssigned, "False")
			Eventually(eventReasons).WithContext(ctx).WithArguments(name).Should(ContainElement("UnassignedRequest"))
			Eventually(items).WithContext(ctx).WithArguments(name).Should(HaveLen(1), "%s", c.Message)
			where, err := items(ctx, name)
			Expect(err).NotTo(HaveOccurred())
			for a := range where {
				expectSource(ctx, p.target(), a)
			}

			By("a second node makes room")
			setHosts(ctx, node2, node3)
			expectSpread(ctx, name, addresses, node2, node3)
			expectCondition(ctx, name, egressipv1.ConditionAssigned, "True")
		})
})
