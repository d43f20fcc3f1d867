package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"

	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
)

// The Lease by which controllers elect their leader.
const (
	leaseNamespace = "ovn-egress"
	leaseName      = "egress-controller"
)

// leaderMetric is 1 on the leader.
const leaderMetric = `leader_election_master_status{name="egress-controller"} 1`

var errNoLeader = errors.New("no controller leads")

// leaseHolder says who leads by the Lease, and that it is somebody.
func leaseHolder(ctx context.Context) (string, error) {
	lease, err := getFresh(ctx, &coordinationv1.Lease{}, leaseNamespace, leaseName)
	if err != nil {
		return "", err
	}
	holder := ptr.Deref(lease.Spec.HolderIdentity, "")
	if holder == "" {
		return "", errNoLeader
	}
	return holder, nil
}

// leader returns the node whose controller leads by its own account.
func leader(ctx context.Context) (string, error) {
	nodes, err := bed.Controllers(ctx)
	if err != nil {
		return "", err
	}
	for _, n := range nodes {
		metrics, err := bed.Exec(ctx, "node/"+n, probe, "get", "http://127.0.0.1:9112/metrics")
		if err == nil && strings.Contains(metrics, leaderMetric) {
			return n, nil
		}
	}
	return "", fmt.Errorf("%w, controllers run on %v", errNoLeader, nodes)
}

// theLeader waits until a controller leads and returns its node.
func theLeader(ctx context.Context) string {
	GinkgoHelper()
	var node string
	Eventually(func() (err error) {
		node, err = leader(ctx)
		return err
	}).WithContext(ctx).Should(Succeed())
	return node
}

// mayStopControllers starts the controllers that do not run when the spec is over.
func mayStopControllers() {
	DeferCleanup(func(ctx SpecContext) { startControllers(ctx) })
}

// startControllers starts the controllers that do not run and waits until all are ready and one leads.
func startControllers(ctx context.Context) {
	GinkgoHelper()
	Expect(bed.StartControllers(ctx)).To(Succeed())
	nodes, err := bed.Controllers(ctx)
	Expect(err).NotTo(HaveOccurred())
	for _, n := range nodes {
		Eventually(bed.Exec).WithContext(ctx).WithArguments("node/"+n, probe, "get", "http://127.0.0.1:9111/readyz").
			ShouldNot(BeEmpty(), "controller on %s is ready", n)
	}
	theLeader(ctx)
}

// stopControllers ends all controllers in order.
func stopControllers(ctx context.Context) {
	GinkgoHelper()
	nodes, err := bed.Controllers(ctx)
	Expect(err).NotTo(HaveOccurred())
	for _, n := range nodes {
		Expect(bed.StopController(ctx, n)).To(Succeed())
	}
}

// expectNewLeader waits until another holds the Lease than before, and expects that within the time.
func expectNewLeader(ctx context.Context, before string, within time.Duration) {
	GinkgoHelper()
	Eventually(leaseHolder).WithContext(ctx).WithTimeout(within).WithPolling(10*time.Millisecond).
		ShouldNot(Equal(before), "another controller holds the Lease")
}

// freshRows lets a new leader, which knows nothing of before, write all rows of ours into a database that has none,
// and returns them.
func freshRows(ctx context.Context) []string {
	GinkgoHelper()
	stopControllers(ctx)
	destroyRows(ctx, func(row) bool { return true })
	startControllers(ctx)
	return settledRows(ctx)
}

// settledRows waits until no address is leaving a node and the rows of ours have not changed for a second.
func settledRows(ctx context.Context) []string {
	GinkgoHelper()
	var rows []string
	since := time.Now()
	Eventually(func(g Gomega) {
		now, err := ourRows(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		if !slices.Equal(now, rows) {
			rows, since = now, time.Now()
		}
		g.Expect(time.Since(since)).To(BeNumerically(">", time.Second))
		var nodes v1alpha1.EgressNodeList
		g.Expect(api.List(ctx, &nodes)).To(Succeed())
		for _, n := range nodes.Items {
			for _, a := range n.Spec.Addresses {
				g.Expect(a.Leaving).To(BeFalse(), "%s on %s", a.Address, n.Name)
			}
		}
	}).WithContext(ctx).WithTimeout(2 * soon).Should(Succeed())
	return rows
}
