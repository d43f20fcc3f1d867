package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
)

// What all specs share. BeforeSuite sets it; nothing changes it afterwards.
var (
	bed   provider
	api   client.Client // without cache
	probe string        // path of the probe executable
	node1 node
	node2 node
	node3 node
)

// smoke labels the specs that also run on the releases of OVN that the full suite does not run on in the gate.
const smoke = "smoke"

// limit ends a spec that hangs.
const limit = SpecTimeout(time.Minute)

const (
	// soon is how long anything may take that follows from a change, unless a spec says less.
	soon = 10 * time.Second
	poll = 50 * time.Millisecond
)

// setUp makes the cluster with our controllers and agents.
func setUp(ctx context.Context) error {
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyTimeout(soon)
	SetDefaultEventuallyPollingInterval(poll)
	SetDefaultConsistentlyDuration(time.Second)
	SetDefaultConsistentlyPollingInterval(poll)

	directory, err := os.MkdirTemp("", "ovn-egress-e2e-")
	if err != nil {
		return err
	}
	DeferCleanup(os.RemoveAll, directory)
	probe = filepath.Join(directory, "probe")
	if err := build(ctx, ".", "./cmd/probe", probe); err != nil {
		return err
	}
	if bed, err = newNetcluster(ctx); err != nil {
		return err
	}
	node1, node2, node3 = bed.Facts().Nodes[0], bed.Facts().Nodes[1], bed.Facts().Nodes[2]
	config, err := bed.RESTConfig()
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, egressipv1.AddToScheme, v1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	if api, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	return nil
}

// build compiles a command of this module; paths are relative to the directory, if they are not absolute.
func build(ctx context.Context, directory, source, executable string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", executable, source)
	cmd.Dir = directory
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w: %s", source, err, out)
	}
	return nil
}

var uniqueNumber, addressesTaken atomic.Int64

// unique makes a name that no other object of this run has.
func unique(base string) string { return fmt.Sprintf("%s-%d", base, uniqueNumber.Add(1)) }

// freeAddress is an address for an EgressIP that has not been used for as long as possible.
func freeAddress() netip.Addr {
	all := bed.Facts().EgressIPs
	return all[int(addressesTaken.Add(1)-1)%len(all)]
}

// getFresh reads an object of the given namespace, empty for a cluster-scoped one.
func getFresh[T client.Object](ctx context.Context, object T, namespace, name string) (T, error) {
	err := api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, object)
	return object, err
}

// isReady says whether a node is Ready.
func isReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
