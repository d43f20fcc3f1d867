package standin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

// pod returns the pod with the UID as the API server last showed it, nil if it is gone.
func (k *kubelet) pod(uid types.UID) (*corev1.Pod, error) {
	found, err := k.pods.ByIndex(byUID, string(uid))
	if err != nil {
		return nil, fmt.Errorf("pod %s: %w", uid, err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	return found[0].(*corev1.Pod), nil
}

// name is how people call the pod.
func (k *kubelet) name(uid types.UID) string {
	if pod, err := k.pod(uid); err == nil && pod != nil {
		return pod.Namespace + "/" + pod.Name
	}
	return string(uid)
}

// annotate sets one annotation of a pod.
func (k *kubelet) annotate(ctx context.Context, pod *corev1.Pod, key, value string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": pod.UID, "annotations": map[string]string{key: value},
	}})
	if err != nil {
		return fmt.Errorf("annotation %s: %w", key, err)
	}
	_, err = k.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil && !gone(err) {
		return fmt.Errorf("annotation %s: %w", key, err)
	}
	return nil
}

// report writes how the pod is.
func (k *kubelet) report(
	ctx context.Context, pod *corev1.Pod, node *cluster.Node, ips []netip.Addr, c containerState,
) error {
	return k.writeStatus(ctx, pod, podStatus(pod, node.Addresses[0].Addr(), ips, c, time.Now()))
}

// lost reports that a pod on a node that is powered off is not ready, as kube-controller-manager does when it
// declares the node unreachable; here the node's status says so already, so it takes no notice.
func (k *kubelet) lost(ctx context.Context, pod *corev1.Pod) error {
	if !poweredOff(k.failures.of(pod.Spec.NodeName)) || ended(pod) || !hasStarted(pod) {
		return nil
	}
	status := pod.Status.DeepCopy()
	setCondition(status, corev1.PodReady, readiness{status: corev1.ConditionFalse}, time.Now())
	return k.writeStatus(ctx, pod, status)
}

// writeStatus writes the difference between the status that the API server has and the given one.
func (k *kubelet) writeStatus(ctx context.Context, pod *corev1.Pod, status *corev1.PodStatus) error {
	before, err := json.Marshal(corev1.Pod{Status: pod.Status})
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	after, err := json.Marshal(corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: pod.UID}, Status: *status})
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Pod{})
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	// The UID makes the API server refuse the patch for a later pod of the same name; alone it changes nothing.
	if string(patch) == fmt.Sprintf(`{"metadata":{"uid":%q}}`, pod.UID) {
		return nil
	}
	_, err = k.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch,
		metav1.PatchOptions{}, "status")
	if err != nil && !gone(err) {
		return fmt.Errorf("status: %w", err)
	}
	return nil
}

// gone says whether a write failed because the pod no longer exists, or only another one of the same name; the
// event of its deletion brings it back to the queue.
func gone(err error) bool { return apierrors.IsNotFound(err) || apierrors.IsConflict(err) }

// idOf is the identity of a pod.
func idOf(pod *corev1.Pod) podID {
	return podID{namespace: pod.Namespace, name: pod.Name, uid: pod.UID}
}

// startOf is when a pod without a command began to run: as its status says, or now.
func startOf(pod *corev1.Pod) time.Time {
	for _, container := range pod.Status.ContainerStatuses {
		if container.State.Running != nil {
			return container.State.Running.StartedAt.Time
		}
	}
	return time.Now()
}

// hasStarted says whether the pod has ever run.
func hasStarted(pod *corev1.Pod) bool { return len(pod.Status.ContainerStatuses) > 0 }

// endedUnseen is the state of a command that runs as far as the API server knows, but that nobody watches: it ended
// while there was no stand-in. It is false for one that was never started.
func endedUnseen(pod *corev1.Pod) (containerState, bool) {
	for _, container := range pod.Status.ContainerStatuses {
		if container.State.Terminated != nil {
			continue
		}
		state := containerState{exitCode: exitUnknown, restarts: container.RestartCount}
		if container.State.Running != nil {
			state.started = container.State.Running.StartedAt.Time
		}
		return state, true
	}
	return containerState{}, false
}

// builtOn is the node that the pod's sandbox was made or checked on, empty if it was not.
func (k *kubelet) builtOn(uid types.UID) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.built[uid]
}

// setBuilt remembers the node that the pod's sandbox is on; the empty name forgets it.
func (k *kubelet) setBuilt(uid types.UID, node string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if node == "" {
		delete(k.built, uid)
		return
	}
	k.built[uid] = node
}
