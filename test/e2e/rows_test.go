package e2e

import (
	"context"
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
)

var _ = Describe("Rows of ours", func() {
	// each is what a person does by hand to a served EgressIP of two addresses.
	DescribeTable("come back when they are tampered with (design: diff against what is there; spec 4.9)",
		func(ctx SpecContext, tamper func(ctx context.Context, egressIP string)) {
			hostsAre(ctx, node2, node3)
			namespace := newNamespace(ctx, nil)
			p := newPod(ctx, namespace, node1)
			addresses := []netip.Addr{freeAddress(), freeAddress()}
			name := newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(addresses...), NamespaceSelector: named(namespace)})
			expectSpread(ctx, name, addresses, node2, node3)
			expectOnly(ctx, p, addresses...)
			before := settledRows(ctx)

			tamper(ctx, name)
			Eventually(ourRows).WithContext(ctx).Should(Equal(before))
			expectOnly(ctx, p, addresses...)
		},
		Entry("policies of an EgressIP deleted", limit, destroying("Logical_Router_Policy", true)),
		Entry("shared policies deleted", limit, destroying("Logical_Router_Policy", false)),
		Entry("translations deleted", limit, destroying("NAT", true)),
		Entry("address sets of an EgressIP deleted", limit, destroyingSets),
		Entry("everything deleted", limit, func(ctx context.Context, _ string) {
			destroyRows(ctx, func(row) bool { return true })
		}),
		Entry("members of sets removed", limit, changing("Address_Set", "addresses=[]")),
		Entry("members of sets added", limit, changing("Address_Set", "addresses=[10.244.4.250,10.244.8.251]")),
		Entry("matches and next hops of policies changed", limit,
			changing("Logical_Router_Policy", `match="ip4.dst == 192.0.2.1"`, "nexthops=100.64.0.99")),
		Entry("translations changed", limit, changing("NAT", "external_ip=172.18.0.99")),
		Entry("the epoch lowered", limit, func(ctx context.Context, _ string) {
			nbctl(ctx, "set", "NB_Global", ".", "external_ids:"+epochKey+"=0")
			destroyRows(ctx, func(r row) bool { return r.table == "NAT" })
		}),
	)

	It("are the only ones that change in a life cycle (design: what lacks the mark is never touched)", limit, func(ctx SpecContext) {
		noTerminating(ctx)
		plantForeignRows(ctx)
		namespace := newNamespace(ctx, nil)
		near, far := startPod(ctx, namespace, node2), startPod(ctx, namespace, node1)
		ready(ctx, near, far)
		before, err := foreignRows(ctx)
		Expect(err).NotTo(HaveOccurred())

		hostsAre(ctx, node2, node3)
		first, second := freeAddress(), freeAddress()
		name := newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(first), NamespaceSelector: named(namespace)})
		for _, p := range []*pod{near, far} {
			expectSource(ctx, p.target(), first)
		}
		Expect(foreignRows(ctx)).To(Equal(before), "while it is served")
		editEgressIP(ctx, name, func(s *egressipv1.EgressIPSpec) { s.EgressIPs = texts(first, second) })
		expectSpread(ctx, name, []netip.Addr{first, second}, node2, node3)
		setHosts(ctx, node3)
		Eventually(items).WithContext(ctx).WithArguments(name).Should(HaveLen(1))
		Expect(foreignRows(ctx)).To(Equal(before), "after a move")
		deleteEgressIP(ctx, name)
		setHosts(ctx)
		Eventually(ourRows).WithContext(ctx).ShouldNot(ContainElement(ContainSubstring("GR_node3")))
		Expect(foreignRows(ctx)).To(Equal(before), "after the end")
	})
})

// destroying deletes the rows of a table that are the EgressIP's, or those that are not.
func destroying(table string, its bool) func(context.Context, string) {
	return func(ctx context.Context, egressIP string) {
		destroyRows(ctx, func(r row) bool { return r.table == table && (r.externalID(ownerName) == egressIP) == its })
	}
}

// destroyingSets deletes the address sets of an EgressIP.
func destroyingSets(ctx context.Context, egressIP string) {
	destroying("Address_Set", true)(ctx, egressIP)
}

// changing sets columns of all rows of ours of a table that belong to the EgressIP.
func changing(table string, columns ...string) func(context.Context, string) {
	return func(ctx context.Context, egressIP string) {
		rows, err := findRows(ctx, func(r row) bool { return r.table == table && r.externalID(ownerName) == egressIP })
		Expect(err).NotTo(HaveOccurred())
		Expect(rows).NotTo(BeEmpty())
		var arguments []string
		for _, r := range rows {
			arguments = append(append(arguments, "--", "set", table, r.uuid), columns...)
		}
		nbctl(ctx, arguments...)
	}
}

// noTerminating waits until nothing of earlier specs is left that its end would change rows of.
func noTerminating(ctx context.Context) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		var namespaces corev1.NamespaceList
		g.Expect(api.List(ctx, &namespaces)).To(Succeed())
		for _, n := range namespaces.Items {
			g.Expect(n.DeletionTimestamp).To(BeNil(), "namespace %s", n.Name)
		}
	}).WithContext(ctx).WithTimeout(3 * soon).Should(Succeed())
}

// plantForeignRows writes rows such as other controllers have, next to ours: with the owner ids of OVN-Kubernetes'
// own EgressIP, and without any.
func plantForeignRows(ctx context.Context) {
	GinkgoHelper()
	const theirs = `external_ids:"k8s.ovn.org/owner-controller"="default-network-controller"`
	const kind = `external_ids:"k8s.ovn.org/owner-type"="EgressIP"`
	nbctl(ctx,
		"--id=@p", "create", "Logical_Router_Policy", "priority=100", `match="ip4.src == 10.244.4.240"`, "action=drop", theirs, kind,
		"--", "add", "Logical_Router", "ovn_cluster_router", "policies", "@p",
		"--", "--id=@g", "create", "Logical_Router_Policy", "priority=500", `match="ip4.src == 10.244.4.241"`, "action=allow",
		"--", "add", "Logical_Router", "GR_node2", "policies", "@g",
		"--", "--id=@n", "create", "NAT", "type=snat", "external_ip=172.18.0.12", "logical_ip=10.244.8.240", theirs, kind,
		"--", "add", "Logical_Router", "GR_node2", "nat", "@n",
		"--", "--id=@q", "create", "QoS", "priority=103", "direction=from-lport", `match="ip4.src == 10.244.4.242"`, "action:dscp=10",
		"--", "add", "Logical_Switch", "node1", "qos_rules", "@q",
		"--", "create", "Address_Set", "name=foreign", "addresses=10.244.4.243", theirs, kind,
		"--", "set", "NB_Global", ".", "external_ids:somebody=else")
	DeferCleanup(func(ctx SpecContext) {
		nbctl(ctx, "lr-policy-del", "ovn_cluster_router", "100", "ip4.src == 10.244.4.240",
			"--", "lr-policy-del", "GR_node2", "500", "ip4.src == 10.244.4.241",
			"--", "lr-nat-del", "GR_node2", "snat", "10.244.8.240",
			"--", "qos-del", "node1", "from-lport", "103", "ip4.src == 10.244.4.242",
			"--", "destroy", "Address_Set", "foreign",
			"--", "remove", "NB_Global", ".", "external_ids", "somebody")
	})
}
