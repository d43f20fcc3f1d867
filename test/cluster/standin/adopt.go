package standin

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// adopt takes over what an earlier stand-in left: the addresses and commands of living pods, and what is left of
// pods that are no more. It runs before the workers do, with the pods known.
func (k *kubelet) adopt(ctx context.Context) error {
	living := map[types.UID]bool{}
	sandboxes := map[string]bool{} // namespaces that pods or interfaces refer to
	for _, item := range k.pods.List() {
		pod := item.(*corev1.Pod)
		living[pod.UID] = true
		sandboxes[sandboxOf(k.state.Name, idOf(pod)).namespace] = true
		if err := k.adoptPod(ctx, pod); err != nil {
			// One pod that cannot be adopted must not keep the others from it; its own step reports it again.
			k.log.Error(err, "Pod not adopted", "pod", pod.Namespace+"/"+pod.Name)
		}
	}
	if err := k.containers.stopStrays(ctx, func(uid types.UID) bool { return living[uid] }); err != nil {
		return err
	}
	for _, node := range k.state.Nodes {
		if err := k.adoptNode(ctx, node.Name, sandboxes); err != nil {
			return err
		}
	}
	for _, zone := range k.zones {
		pods, err := zone.pods(ctx)
		if err != nil {
			return err
		}
		k.enqueue(pods...)
	}
	return k.removeStraySandboxes(sandboxes)
}

// adoptPod claims the addresses that a pod was given and watches its command.
func (k *kubelet) adoptPod(ctx context.Context, pod *corev1.Pod) error {
	if _, ok := pod.Annotations[podNetworksAnnotation]; ok && !ended(pod) {
		wanted, err := wantedAddresses(pod)
		if err != nil {
			return err
		}
		if _, err := k.addresses.claim(pod.UID, pod.Spec.NodeName, wanted); err != nil {
			return err
		}
	}
	return k.containers.adopt(ctx, idOf(pod), &pod.Status)
}

// adoptNode brings the pods that have an interface on a node to the queue, and notes the namespaces of these.
func (k *kubelet) adoptNode(ctx context.Context, node string, sandboxes map[string]bool) error {
	interfaces, err := k.switches[node].podInterfaces(ctx)
	if err != nil {
		return err
	}
	for _, iface := range interfaces {
		sandboxes[iface.ExternalIDs[sandboxKey]] = true
		k.enqueue(types.UID(iface.ExternalIDs[ifaceVersion]))
	}
	return nil
}

// removeStraySandboxes deletes the namespaces that no pod and no interface refers to: a stand-in that was killed
// between making one and connecting it left them.
func (k *kubelet) removeStraySandboxes(known map[string]bool) error {
	names, err := podNamespaces(k.state.Name)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !known[name] {
			if err := removeNamespace(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// nodeChanged looks again at all pods of a node that has failed or come back: those that are bound to it and, once
// it is back, those that are gone but left something there.
func (k *kubelet) nodeChanged(ctx context.Context, node string) error {
	k.mu.Lock()
	maps.DeleteFunc(k.built, func(_ types.UID, on string) bool { return on == node })
	k.mu.Unlock()
	for _, item := range k.pods.List() {
		if pod := item.(*corev1.Pod); pod.Spec.NodeName == node {
			k.enqueue(pod.UID)
		}
	}
	if cutOff(k.failures.of(node)) {
		return nil
	}
	k.enqueue(k.containers.podsOn(node)...)
	if err := k.adoptNode(ctx, node, map[string]bool{}); err != nil {
		return fmt.Errorf("node %s came back: %w", node, err)
	}
	return nil
}

// enqueue lets the workers look at pods.
func (k *kubelet) enqueue(pods ...types.UID) {
	for _, uid := range pods {
		k.queue.Add(uid)
	}
}
