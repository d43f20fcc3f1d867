package e2e

import (
	"context"
	"net/netip"
	"strconv"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// addressAnnotation asks the test bed's network plugin for one particular address.
const addressAnnotation = "netcluster.ovn-egress.io/address"

// servePort is where backend pods serve.
const servePort = 8080

// pod is a pod of a spec.
type pod struct {
	namespace string
	name      string
	node      node
	address   netip.Addr // known once it is ready
}

// target names the pod for Exec.
func (p *pod) target() string { return "pod/" + p.namespace + "/" + p.name }

// newNamespace makes a namespace for one spec. Cleaning up does not wait until it is gone.
func newNamespace(ctx context.Context, labels map[string]string) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: unique("e2e"), Labels: labels}}
	Expect(api.Create(ctx, namespace)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) {
		Expect(client.IgnoreNotFound(api.Delete(ctx, namespace))).To(Succeed())
	})
	return namespace.Name
}

// startPod makes a pod on a node. Without options it selects nothing, serves nothing and has no command.
func startPod(ctx context.Context, namespace string, on node, options ...func(*corev1.Pod)) *pod {
	GinkgoHelper()
	object := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: unique("pod"), Namespace: namespace},
		Spec: corev1.PodSpec{
			NodeName:                      on.Name,
			TerminationGracePeriodSeconds: ptr.To[int64](1),
			Containers:                    []corev1.Container{{Name: "main", Image: "probe"}},
		},
	}
	for _, o := range options {
		o(object)
	}
	// The default service account comes a moment after the namespace.
	Eventually(api.Create).WithArguments(ctx, object).Should(Succeed())
	return &pod{namespace: namespace, name: object.Name, node: on}
}

// labelled gives the pod a label.
func labelled(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { metav1.SetMetaDataLabel(&p.ObjectMeta, key, value) }
}

// onHostNetwork puts the pod into the network of its node.
func onHostNetwork(p *corev1.Pod) { p.Spec.HostNetwork = true }

// at gives the pod a particular address.
func at(address netip.Addr) func(*corev1.Pod) {
	return func(p *corev1.Pod) { metav1.SetMetaDataAnnotation(&p.ObjectMeta, addressAnnotation, address.String()) }
}

// serving lets the pod answer HTTP on a port, with the client's address and its own name.
func serving(port int) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Command = []string{probe, "serve", strconv.Itoa(port), p.Name}
	}
}

// completing lets the pod run a command of the probe once and end.
func completing(arguments ...string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Command = append([]string{probe}, arguments...)
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
	}
}

// ready waits until the pods are ready.
func ready(ctx context.Context, pods ...*pod) {
	GinkgoHelper()
	for _, p := range pods {
		Eventually(func(g Gomega) {
			object, err := getFresh(ctx, &corev1.Pod{}, p.namespace, p.name)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(object.Status.Conditions).To(ContainElement(SatisfyAll(
				HaveField("Type", corev1.PodReady), HaveField("Status", corev1.ConditionTrue))))
			p.address, err = netip.ParseAddr(object.Status.PodIP)
			g.Expect(err).NotTo(HaveOccurred())
		}).WithContext(ctx).Should(Succeed(), "pod %s is ready", p.name)
	}
}

// newPod makes a pod and waits until it is ready.
func newPod(ctx context.Context, namespace string, on node, options ...func(*corev1.Pod)) *pod {
	GinkgoHelper()
	p := startPod(ctx, namespace, on, options...)
	ready(ctx, p)
	return p
}

// relabel sets labels of an object; an empty value removes the label.
func relabel(ctx context.Context, object client.Object, labels map[string]string) {
	GinkgoHelper()
	before := object.DeepCopyObject().(client.Object)
	all := object.GetLabels()
	if all == nil {
		all = map[string]string{}
	}
	for key, value := range labels {
		if value == "" {
			delete(all, key)
		} else {
			all[key] = value
		}
	}
	object.SetLabels(all)
	Expect(api.Patch(ctx, object, client.MergeFrom(before))).To(Succeed())
}

// relabelPod sets labels of a pod; an empty value removes the label.
func relabelPod(ctx context.Context, p *pod, labels map[string]string) {
	GinkgoHelper()
	object, err := getFresh(ctx, &corev1.Pod{}, p.namespace, p.name)
	Expect(err).NotTo(HaveOccurred())
	relabel(ctx, object, labels)
}

// relabelNamespace sets labels of a namespace; an empty value removes the label.
func relabelNamespace(ctx context.Context, name string, labels map[string]string) {
	GinkgoHelper()
	object, err := getFresh(ctx, &corev1.Namespace{}, "", name)
	Expect(err).NotTo(HaveOccurred())
	relabel(ctx, object, labels)
}

// deletePod deletes a pod and waits until the object is gone.
func deletePod(ctx context.Context, p *pod) {
	GinkgoHelper()
	object := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: p.name, Namespace: p.namespace}}
	Expect(api.Delete(ctx, object)).To(Succeed())
	Eventually(func() error {
		_, err := getFresh(ctx, &corev1.Pod{}, p.namespace, p.name)
		return err
	}).WithContext(ctx).Should(MatchError(ContainSubstring("not found")), "pod %s is gone", p.name)
}
