package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
	"github.com/ovn-egress/ovn-egress/test/cluster"
)

// patience bounds every wait.
const patience = 60 * time.Second

// until polls often: what is measured is a matter of milliseconds.
func until(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	if err := wait.PollUntilContextTimeout(ctx, 2*time.Millisecond, patience, true, done); err != nil {
		return fmt.Errorf("waiting for %s: %w", what, err)
	}
	return nil
}

// namespace makes a namespace with the label env=NAME.
func (b *bench) namespace(ctx context.Context, name string) error {
	return b.api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"env": name}}})
}

// pod makes a pod and returns it when it runs. A phantom has an address and no more.
func (b *bench) pod(ctx context.Context, namespace, name, node string, phantom bool) (*corev1.Pod, error) {
	p := newPod(namespace, name, node, phantom)
	if err := b.api.Create(ctx, p); err != nil {
		return nil, err
	}
	err := until(ctx, "pod "+name, func(ctx context.Context) (bool, error) {
		err := b.api.Get(ctx, client.ObjectKeyFromObject(p), p)
		return p.Status.Phase == corev1.PodRunning && p.Status.PodIP != "", err
	})
	return p, err
}

func newPod(namespace, name, node string, phantom bool) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{}},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "main", Image: "bench"}}},
	}
	if phantom {
		p.Annotations["netcluster.ovn-egress.io/phantom"] = "true"
	}
	return p
}

func newEgressIP(name, env string, addresses ...netip.Addr) *egressipv1.EgressIP {
	e := &egressipv1.EgressIP{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, a := range addresses {
		e.Spec.EgressIPs = append(e.Spec.EgressIPs, a.String())
	}
	e.Spec.NamespaceSelector.MatchLabels = map[string]string{"env": env}
	return e
}

// label sets or removes the label of egress nodes.
func (b *bench) label(ctx context.Context, node string, assignable bool) error {
	value := "null"
	if assignable {
		value = `""`
	}
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%s}}}`, egressipv1.EgressAssignableLabel, value)
	return b.api.Patch(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}, client.RawPatch("application/merge-patch+json", []byte(patch)))
}

// source makes one connection from the pod to the external host and returns the source that the host saw.
func (b *bench) source(pod *corev1.Pod, timeout time.Duration) (netip.Addr, error) {
	var seen netip.AddrPort
	err := cluster.InNamespace(cluster.PodNamespace(b.cluster.Name, pod.Namespace, string(pod.UID)), func() error {
		target := netip.AddrPortFrom(b.cluster.Externals[0].Addresses[0], 9000)
		conn, err := net.DialTimeout("tcp", target.String(), timeout)
		if err != nil {
			return err
		}
		defer conn.Close() //nolint:errcheck // only read from
		if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
		if _, err := conn.Write([]byte("bench\n")); err != nil {
			return err
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil {
			return err
		}
		seen, err = netip.ParseAddrPort(strings.TrimSpace(line))
		return err
	})
	return seen.Addr(), err
}

// untilSource connects until the external host sees the address, and counts what it saw before.
func (b *bench) untilSource(ctx context.Context, pod *corev1.Pod, want netip.Addr) (others map[string]int, err error) {
	others = map[string]int{}
	err = until(ctx, "source "+want.String(), func(context.Context) (bool, error) {
		seen, err := b.source(pod, attempt)
		if err != nil {
			others["none"]++
			return false, nil //nolint:nilerr // no answer is what is being measured
		}
		if seen != want {
			others[seen.String()]++
		}
		return seen == want, nil
	})
	return others, err
}
