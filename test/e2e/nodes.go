package e2e

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
)

// hostsAre lets exactly these nodes host EgressIPs. After the spec none does.
func hostsAre(ctx context.Context, nodes ...node) {
	GinkgoHelper()
	DeferCleanup(func(ctx SpecContext) { setHosts(ctx) })
	setHosts(ctx, nodes...)
}

// setHosts is hostsAre for the middle of a spec.
func setHosts(ctx context.Context, nodes ...node) {
	GinkgoHelper()
	// Labels are added first: an address that loses its node has somewhere to go at once.
	for _, add := range []bool{true, false} {
		for _, n := range bed.Facts().Nodes {
			if slices.Contains(nodes, n) == add {
				labelHost(ctx, n, add)
			}
		}
	}
}

// labelHost sets or removes the label by which a node may host EgressIPs.
func labelHost(ctx context.Context, n node, host bool) {
	GinkgoHelper()
	object, err := getFresh(ctx, &corev1.Node{}, "", n.Name)
	Expect(err).NotTo(HaveOccurred())
	if _, has := object.Labels[egressipv1.EgressAssignableLabel]; has == host {
		return
	}
	before := object.DeepCopy()
	if host {
		object.Labels[egressipv1.EgressAssignableLabel] = ""
	} else {
		delete(object.Labels, egressipv1.EgressAssignableLabel)
	}
	Expect(api.Patch(ctx, object, client.MergeFrom(before))).To(Succeed())
}

// powerOff freezes a node until the end of the spec, or until powerOn.
func powerOff(ctx context.Context, n node) {
	GinkgoHelper()
	DeferCleanup(func(ctx SpecContext) { powerOn(ctx, n) })
	Expect(bed.PowerOff(ctx, n.Name)).To(Succeed())
}

// powerOn brings a node back and waits until it is Ready.
func powerOn(ctx context.Context, n node) {
	GinkgoHelper()
	Expect(bed.PowerOn(ctx, n.Name)).To(Succeed())
	Eventually(func() (bool, error) {
		object, err := getFresh(ctx, &corev1.Node{}, "", n.Name)
		return isReady(object), err
	}).WithContext(ctx).Should(BeTrue(), "node %s is Ready", n.Name)
}

// answersARP returns the hardware addresses that answer the outside host's question who has an address.
func answersARP(ctx context.Context, address netip.Addr) ([]string, error) {
	out, err := bed.Exec(ctx, bed.Facts().Outside.Target, probe, "arp", address.String())
	if err != nil {
		return nil, err
	}
	var owners []string
	return owners, json.Unmarshal([]byte(out), &owners)
}
