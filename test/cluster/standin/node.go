package standin

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/util/workqueue"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

const (
	leaseInterval = 2 * time.Second // between two renewals of a node's lease
	leaseDuration = 8               // seconds, what the lease promises

	// reportTimeout is how long one write about a node may take.
	reportTimeout = 5 * time.Second
)

// nodeReporter is what kubelet does for its node: it reports that the node is Ready and renews its lease, unless
// the node has failed.
type nodeReporter struct {
	client   kubernetes.Interface
	nodes    []cluster.Node
	lister   corelisters.NodeLister
	failures *failures
	version  string // of Kubernetes, as all components of the cluster have it
	queue    workqueue.TypedRateLimitingInterface[string]
	log      logr.Logger
}

// run reports until ctx ends, each node when it comes back, fails, or is said to be what it is not.
func (r *nodeReporter) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, r.queue.ShutDown)
	defer stop()
	for _, node := range r.nodes {
		r.queue.Add(node.Name)
	}
	for {
		name, shutdown := r.queue.Get()
		if shutdown {
			return nil
		}
		if err := r.report(ctx, name); err != nil && ctx.Err() == nil {
			r.log.Error(err, "Node status will be written again", "node", name)
			r.queue.AddRateLimited(name)
		} else {
			r.queue.Forget(name)
		}
		r.queue.Done(name)
	}
}

// report writes the node's status if it is not what it should be.
func (r *nodeReporter) report(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	node, err := r.lister.Get(name)
	if apierrors.IsNotFound(err) {
		return nil // its creation brings it back
	}
	if err != nil {
		return fmt.Errorf("node %s: %w", name, err)
	}
	for i := range r.nodes {
		if r.nodes[i].Name == name {
			return r.write(ctx, node, nodeStatus(node, &r.nodes[i], r.version, r.failures.of(name), time.Now()))
		}
	}
	return nil
}

func (r *nodeReporter) write(ctx context.Context, node *corev1.Node, status *corev1.NodeStatus) error {
	if equality.Semantic.DeepEqual(&node.Status, status) {
		return nil
	}
	before, err := json.Marshal(corev1.Node{Status: node.Status})
	if err != nil {
		return fmt.Errorf("node %s: %w", node.Name, err)
	}
	after, err := json.Marshal(corev1.Node{Status: *status})
	if err != nil {
		return fmt.Errorf("node %s: %w", node.Name, err)
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Node{})
	if err != nil {
		return fmt.Errorf("node %s: %w", node.Name, err)
	}
	_, err = r.client.CoreV1().Nodes().Patch(ctx, node.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("node %s: %w", node.Name, err)
	}
	return nil
}

// renewLeases renews the leases of the nodes that can reach the API server until ctx ends.
func (r *nodeReporter) renewLeases(ctx context.Context) error {
	ticker := time.NewTicker(leaseInterval)
	defer ticker.Stop()
	for {
		for _, node := range r.nodes {
			if cutOff(r.failures.of(node.Name)) {
				continue
			}
			if err := r.renewLease(ctx, node.Name); err != nil && ctx.Err() == nil {
				r.log.Error(err, "Lease will be renewed later", "node", node.Name)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// renewLease renews a node's lease, or makes it. No one else writes it, so it is not read first.
func (r *nodeReporter) renewLease(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	now := metav1.NowMicro()
	leases := r.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"renewTime": now}})
	if err != nil {
		return fmt.Errorf("lease of node %s: %w", name, err)
	}
	_, err = leases.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	if !apierrors.IsNotFound(err) {
		if err != nil {
			return fmt.Errorf("lease of node %s: %w", name, err)
		}
		return nil
	}
	node, err := r.lister.Get(name)
	if apierrors.IsNotFound(err) {
		return nil // there is no lease before there is a node
	}
	if err != nil {
		return fmt.Errorf("lease of node %s: %w", name, err)
	}
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "v1", Kind: "Node", Name: name, UID: node.UID,
		}}},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: &name, LeaseDurationSeconds: new(int32(leaseDuration)), RenewTime: &now,
		},
	}
	if _, err := leases.Create(ctx, lease, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("lease of node %s: %w", name, err)
	}
	return nil
}
