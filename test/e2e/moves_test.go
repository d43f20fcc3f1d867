package e2e

import (
	"net/netip"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
)

// moveDuration is longer than a planned move with the overlap of old and new place (2 s).
const moveDuration = 5 * time.Second

var _ = Describe("An address", func() {
	It("moves when its node is no longer labelled (seeds/003 20.8.4; 20.8.1.5, never on two nodes)", limit, func(ctx SpecContext) {
		hostsAre(ctx, node2)
		namespace := newNamespace(ctx, nil)
		p := newPod(ctx, namespace, node1)
		address := freeAddress()
		name := newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(address), NamespaceSelector: named(namespace)})
		expectServed(ctx, name, on(node2, address))
		expectSource(ctx, p.target(), address)

		setHosts(ctx, node3)
		expectServed(ctx, name, on(node3, address))
		expectSource(ctx, p.target(), address)
		Eventually(answersARP).WithContext(ctx).WithArguments(address).Should(ConsistOf(node3.MAC))
	})

	It("is the only source of a flow while it is moved as planned (design: make before break)",
		Label(smoke), limit, func(ctx SpecContext) {
			hostsAre(ctx, node2)
			namespace := newNamespace(ctx, nil)
			far, near := startPod(ctx, namespace, node1), startPod(ctx, namespace, node2)
			ready(ctx, far, near)
			address := freeAddress()
			name := newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(address), NamespaceSelector: named(namespace)})
			expectServed(ctx, name, on(node2, address))
			for _, p := range []*pod{far, near} {
				expectSource(ctx, p.target(), address)
			}

			flows := []*flow{startFlow(ctx, far, moveDuration), startFlow(ctx, near, moveDuration)}
			setHosts(ctx, node3)
			expectServed(ctx, name, on(node3, address))
			for _, f := range flows {
				result := f.end(ctx)
				AddReportEntry("flow", result.String())
				Expect(result.arrived).To(haveOnlyKeys(address), "what the outside host got")
				Expect(result.Answers).To(haveOnlyKeys(address), "what was answered")
			}
		})

	It("that moves beside another one keeps the flows that it had (design: shards; lab 5b)", limit, func(ctx SpecContext) {
		hostsAre(ctx, node1, node2)
		namespace := newNamespace(ctx, nil)
		pods := []*pod{startPod(ctx, namespace, node1), startPod(ctx, namespace, node2), startPod(ctx, namespace, node3)}
		ready(ctx, pods...)
		addresses := []netip.Addr{freeAddress(), freeAddress()}
		name := newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(addresses...), NamespaceSelector: named(namespace)})
		expectSpread(ctx, name, addresses, node1, node2)
		var flows []*flow
		for _, p := range pods {
			expectOnly(ctx, p, addresses...)
			flows = append(flows, startFlow(ctx, p, moveDuration))
		}

		setHosts(ctx, node2, node3)
		expectSpread(ctx, name, addresses, node2, node3)
		for _, f := range flows {
			result := f.end(ctx)
			AddReportEntry("flow", result.String())
			Expect(result.arrived).To(haveOnlyKeys(addresses...))
			Expect(result.arrived).To(HaveLen(1), "one source for the life of the flow")
		}
	})

	It("moves when its node loses power, and stays when the node is back (seeds/003 20.8.1.5; spec 2.7)", limit, func(ctx SpecContext) {
		hostsAre(ctx, node3)
		namespace := newNamespace(ctx, nil)
		p := newPod(ctx, namespace, node1)
		address := freeAddress()
		name := newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(address), NamespaceSelector: named(namespace)})
		expectServed(ctx, name, on(node3, address))
		expectSource(ctx, p.target(), address)
		setHosts(ctx, node2, node3)

		powerOff(ctx, node3)
		expectServed(ctx, name, on(node2, address))
		expectSource(ctx, p.target(), address)
		Expect(answersARP(ctx, address)).To(ConsistOf(node2.MAC))

		By("the node is back")
		powerOn(ctx, node3)
		back := newPod(ctx, namespace, node3)
		expectSource(ctx, back.target(), address)
		// It was frozen with the address and needs a moment to learn.
		Eventually(answersARP).WithContext(ctx).WithArguments(address).Should(ConsistOf(node2.MAC))
		Consistently(answersARP).WithContext(ctx).WithArguments(address).WithTimeout(2*time.Second).
			Should(ConsistOf(node2.MAC), "only one node answers for it")
		expectAlready(ctx, p.target(), address)
		expectServed(ctx, name, on(node2, address))

		By("and can host again")
		setHosts(ctx, node3)
		expectServed(ctx, name, on(node3, address))
		expectSource(ctx, p.target(), address)
	})

	It("is served on by the other node when one of two is lost (seeds/003 20.8.1.5)", limit, func(ctx SpecContext) {
		hostsAre(ctx, node2, node3)
		namespace := newNamespace(ctx, nil)
		p := newPod(ctx, namespace, node1)
		addresses := []netip.Addr{freeAddress(), freeAddress()}
		name := newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(addresses...), NamespaceSelector: named(namespace)})
		where := expectSpread(ctx, name, addresses, node2, node3)
		Eventually(sourceOf).WithContext(ctx).WithArguments(p.target()).Should(BeElementOf(addresses))

		powerOff(ctx, node3)
		var survivor netip.Addr
		for a, n := range where {
			if n == node2.Name {
				survivor = a
			}
		}
		expectServed(ctx, name, on(node2, survivor))
		Eventually(connections).WithContext(ctx).WithArguments(p.target(), 2*steady).
			Should(Equal(map[netip.Addr]int{survivor: 2 * steady}))

		powerOn(ctx, node3)
		expectSpread(ctx, name, addresses, node2, node3)
		expectCondition(ctx, name, egressipv1.ConditionAssigned, "True")
	})

	It("has no place without labelled nodes: pods leave as their node, and users are told (seeds/003 20.8.1.4; spec 1.5)",
		limit, func(ctx SpecContext) {
			hostsAre(ctx, node2, node3)
			namespace := newNamespace(ctx, nil)
			p := newPod(ctx, namespace, node1)
			address := freeAddress()
			name := newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(address), NamespaceSelector: named(namespace)})
			expectSource(ctx, p.target(), address)

			setHosts(ctx)
			expectServed(ctx, name, map[netip.Addr]string{})
			expectSource(ctx, p.target(), node1.Address)
			c := expectCondition(ctx, name, egressipv1.ConditionAssigned, "False")
			Expect(c.Reason).To(Equal("NoEgressNode"))
			Expect(c.Message).To(ContainSubstring(egressipv1.EgressAssignableLabel))
			Eventually(eventReasons).WithContext(ctx).WithArguments(name).Should(ContainElement("NoMatchingNodeFound"))
			Eventually(rowsOf).WithContext(ctx).WithArguments(name).Should(BeEmpty())

			setHosts(ctx, node2)
			expectServed(ctx, name, on(node2, address))
			expectSource(ctx, p.target(), address)
			expectCondition(ctx, name, egressipv1.ConditionAssigned, "True")
		})
})
