package e2e

import (
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
)

var _ = Describe("An EgressIP", func() {
	// spec 1.1 says what existing implementations accept and then choke on.
	DescribeTable("that is invalid is rejected with a message that names the value (spec 1.1)", Label(smoke),
		func(ctx SpecContext, addresses []string, message string) {
			err := api.Create(ctx, &egressipv1.EgressIP{
				ObjectMeta: metav1.ObjectMeta{Name: unique("invalid")},
				Spec:       egressipv1.EgressIPSpec{EgressIPs: addresses, NamespaceSelector: named("default")},
			})
			Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
			Expect(err).To(MatchError(ContainSubstring(message)))
		},
		Entry("not an address", limit, []string{"172.18.0.300"}, "not an IP address: 172.18.0.300"),
		Entry("with a mask", limit, []string{"172.18.0.201/16"}, "not an IP address: 172.18.0.201/16"),
		Entry("twice", limit, []string{"172.18.0.201", "172.18.0.202", "172.18.0.201"}, "listed more than once: 172.18.0.201"),
		Entry("twice, written differently", limit, []string{"fd00::1", "fd00:0::1"}, "listed more than once: fd00::1"),
		Entry("unspecified", limit, []string{"0.0.0.0"}, "unspecified, loopback, link-local, multicast or broadcast): 0.0.0.0"),
		Entry("loopback", limit, []string{"127.0.0.1"}, "cannot be a source address (unspecified, loopback"),
		Entry("multicast", limit, []string{"224.0.0.1"}, "multicast or broadcast): 224.0.0.1"),
		Entry("link-local", limit, []string{"fe80::1"}, "link-local, multicast or broadcast): fe80::1"),
		Entry("none", limit, []string{}, "should have at least 1 items"),
	)

	It("that is edited serves the new address instead (spec 2.5)", limit, func(ctx SpecContext) {
		hostsAre(ctx, node2)
		namespace := newNamespace(ctx, nil)
		near, far := startPod(ctx, namespace, node2), startPod(ctx, namespace, node1)
		ready(ctx, near, far)
		before, after := freeAddress(), freeAddress()
		name := newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(before), NamespaceSelector: named(namespace)})
		expectSource(ctx, far.target(), before)

		editEgressIP(ctx, name, func(s *egressipv1.EgressIPSpec) { s.EgressIPs = texts(after) })
		expectServed(ctx, name, on(node2, after))
		for _, p := range []*pod{near, far} {
			expectSource(ctx, p.target(), after)
		}
		Eventually(rowsOf).WithContext(ctx).WithArguments(name).
			ShouldNot(ContainElement(ContainSubstring(before.String())), "rows with the old address")
		Eventually(answersARP).WithContext(ctx).WithArguments(before).Should(BeEmpty(), "nobody answers for the old address")
	})

	It("that is deleted leaves no row behind, and pods leave as their node (spec 6.3)", limit, func(ctx SpecContext) {
		hostsAre(ctx, node2, node3)
		namespace := newNamespace(ctx, nil)
		near, far := startPod(ctx, namespace, node2), startPod(ctx, namespace, node1)
		ready(ctx, near, far)
		addresses := []netip.Addr{freeAddress(), freeAddress()}
		name := newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(addresses...), NamespaceSelector: named(namespace)})
		expectSpread(ctx, name, addresses, node2, node3)
		expectOnly(ctx, far, addresses...)
		Expect(rowsOf(ctx, name)).NotTo(BeEmpty())

		deleteEgressIP(ctx, name)
		for _, p := range []*pod{near, far} {
			expectSource(ctx, p.target(), p.node.Address)
		}
		Eventually(ourRows).WithContext(ctx).ShouldNot(ContainElement(Or(
			ContainSubstring(near.address.String()+" "), ContainSubstring(addresses[0].String()))))
		for _, a := range addresses {
			Eventually(answersARP).WithContext(ctx).WithArguments(a).Should(BeEmpty(), "nobody answers for %s", a)
		}
	})
})
