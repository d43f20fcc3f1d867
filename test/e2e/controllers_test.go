package e2e

import (
	"net/netip"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
)

// How long the cluster may be without a leader.
const (
	killedFor  = 4 * time.Second         // the Lease has to run out
	stoppedFor = 1500 * time.Millisecond // the Lease is given back
)

var _ = Describe("Controllers:", func() {
	It("a standby takes over from a killed leader within 4 s, one that is stopped hands over at once (design; issue 3)",
		limit, func(ctx SpecContext) {
			mayStopControllers()
			before, err := leaseHolder(ctx)
			Expect(err).NotTo(HaveOccurred())
			Expect(bed.KillController(ctx, theLeader(ctx))).To(Succeed())
			expectNewLeader(ctx, before, killedFor)

			startControllers(ctx)
			before, err = leaseHolder(ctx)
			Expect(err).NotTo(HaveOccurred())
			Expect(bed.StopController(ctx, theLeader(ctx))).To(Succeed())
			expectNewLeader(ctx, before, stoppedFor)
		})

	It("a leader killed in the middle of a change leaves nothing undone: rows equal a fresh compile (design; spec 2.7 leader change)",
		limit, func(ctx SpecContext) {
			mayStopControllers()
			hostsAre(ctx, node2, node3)
			namespace := newNamespace(ctx, nil)
			witness := newPod(ctx, namespace, node1)
			first, second, third := freeAddress(), freeAddress(), freeAddress()
			edited := newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(first), NamespaceSelector: named(namespace)})
			expectSource(ctx, witness.target(), first)
			killed := theLeader(ctx)
			before, err := ourRows(ctx)
			Expect(err).NotTo(HaveOccurred())

			By("changing much, and killing the leader as soon as it has begun to write")
			pods := []*pod{startPod(ctx, namespace, node1), startPod(ctx, namespace, node2), startPod(ctx, namespace, node3)}
			other := newNamespace(ctx, nil)
			pods = append(pods, startPod(ctx, other, node1))
			editEgressIP(ctx, edited, func(s *egressipv1.EgressIPSpec) { s.EgressIPs = texts(second) })
			added := newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(third), NamespaceSelector: named(other)})
			Eventually(ourRows).WithContext(ctx).WithPolling(time.Millisecond).ShouldNot(Equal(before))
			Expect(bed.KillController(ctx, killed)).To(Succeed())

			ready(ctx, pods...)
			for _, p := range pods[:3] {
				expectSource(ctx, p.target(), second)
			}
			expectSource(ctx, witness.target(), second)
			expectSource(ctx, pods[3].target(), third)
			for _, name := range []string{edited, added} {
				expectCondition(ctx, name, egressipv1.ConditionAssigned, "True")
			}
			after := settledRows(ctx)

			By("the killed one started again")
			startControllers(ctx)
			Expect(settledRows(ctx)).To(Equal(after))
			By("fresh rows")
			Expect(freshRows(ctx)).To(Equal(after))
			expectSource(ctx, witness.target(), second)
		})

	It("the leader's own node, which hosts the address, is lost: the address moves (seeds/003 20.8.1.5; design: reachability)",
		limit, func(ctx SpecContext) {
			mayStopControllers()
			lost := nodeNamed(theLeader(ctx))
			hostsAre(ctx, lost)
			namespace := newNamespace(ctx, nil)
			p := newPod(ctx, namespace, node3)
			address := freeAddress()
			name := newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(address), NamespaceSelector: named(namespace)})
			expectServed(ctx, name, on(lost, address))
			expectSource(ctx, p.target(), address)
			setHosts(ctx, lost, node3)

			powerOff(ctx, lost)
			expectServed(ctx, name, on(node3, address))
			expectSource(ctx, p.target(), address)

			By("the node is back, with a controller that thinks that it leads")
			powerOn(ctx, lost)
			Eventually(bed.Controllers).WithContext(ctx).ShouldNot(ContainElement(lost.Name), "it finds out and ends")
			startControllers(ctx)
			Consistently(items).WithContext(ctx).WithArguments(name).Should(Equal(on(node3, address)))
			Eventually(answersARP).WithContext(ctx).WithArguments(address).Should(ConsistOf(node3.MAC))
			expectAlready(ctx, p.target(), address)
		})

	It("what changed while none ran is caught up with (design: a restart is an ordinary case; spec 4.9)", limit, func(ctx SpecContext) {
		mayStopControllers()
		hostsAre(ctx, node2)
		key := unique("tenant")
		namespace := newNamespace(ctx, map[string]string{key: "a"})
		other := newNamespace(ctx, map[string]string{key: "b"})
		stays, deleted := startPod(ctx, namespace, node1), startPod(ctx, namespace, node1)
		joins := startPod(ctx, other, node3)
		ready(ctx, stays, deleted, joins)
		first, second, third := freeAddress(), freeAddress(), freeAddress()
		edited := newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(first), NamespaceSelector: withLabel(key, "a")})
		gone := newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(second), NamespaceSelector: withLabel(key, "b")})
		expectSource(ctx, deleted.target(), first)
		expectSource(ctx, joins.target(), second)

		stopControllers(ctx)
		deletePod(ctx, deleted)
		relabelNamespace(ctx, other, map[string]string{key: "a"})
		heir := startPod(ctx, newNamespace(ctx, nil), node1, at(deleted.address))
		created := startPod(ctx, namespace, node2)
		editEgressIP(ctx, edited, func(s *egressipv1.EgressIPSpec) { s.EgressIPs = texts(third) })
		Expect(api.Delete(ctx, egressIPNamed(gone))).To(Succeed())
		setHosts(ctx, node3)
		destroyRows(ctx, func(r row) bool { return r.table == "NAT" })
		ready(ctx, heir, created)
		startControllers(ctx)

		expectServed(ctx, edited, on(node3, third))
		for _, p := range []*pod{stays, created, joins} {
			expectSource(ctx, p.target(), third)
		}
		expectSource(ctx, heir.target(), node1.Address)
		Eventually(rowsOf).WithContext(ctx).WithArguments(gone).Should(BeEmpty())
		after := settledRows(ctx)
		Expect(freshRows(ctx)).To(Equal(after))
	})

	It("the northbound server is restarted: addresses stay, and changes go on (design: reconnect for ever)", limit, func(ctx SpecContext) {
		hostsAre(ctx, node2)
		namespace := newNamespace(ctx, nil)
		p := newPod(ctx, namespace, node1)
		first, second := freeAddress(), freeAddress()
		name := newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(first), NamespaceSelector: named(namespace)})
		expectSource(ctx, p.target(), first)
		before := settledRows(ctx)

		Expect(bed.RestartNorthbound(ctx)).To(Succeed())
		expectAlready(ctx, p.target(), first)
		Expect(settledRows(ctx)).To(Equal(before))

		By("changes after it")
		later := newPod(ctx, namespace, node3)
		expectSource(ctx, later.target(), first)
		editEgressIP(ctx, name, func(s *egressipv1.EgressIPSpec) { s.EgressIPs = texts(second) })
		setHosts(ctx, node3)
		expectServed(ctx, name, map[netip.Addr]string{second: node3.Name})
		for _, each := range []*pod{p, later} {
			expectSource(ctx, each.target(), second)
		}
	})
})

func nodeNamed(name string) node {
	for _, n := range bed.Facts().Nodes {
		if n.Name == name {
			return n
		}
	}
	Fail("no node " + name)
	return node{}
}
