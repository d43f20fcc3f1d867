// Command bench measures ovn-egress on the netns cluster and writes docs/benchmarks.md: how long an EgressIP takes
// to work, how many rows it costs, how long the loss of a node lasts. It needs root.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
	"github.com/ovn-egress/ovn-egress/test/cluster"
)

// bench is a cluster under measurement.
type bench struct {
	cluster *cluster.Cluster
	api     client.Client
}

func main() {
	var o options
	flag.StringVar(&o.report, "report", "docs/benchmarks.md", "file to write")
	flag.StringVar(&o.name, "name", "bench", "name of the cluster that is made and removed")
	flag.StringVar(&o.releases, "ovn", "trixie,distro", "OVN releases to count rows on; times are measured on the first")
	flag.IntVar(&o.applies, "applies", 50, "EgressIPs to apply")
	flag.IntVar(&o.losses, "losses", 10, "nodes to lose")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	report, name, releases string
	applies, losses        int
}

func run(o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var r results
	for i, release := range splitComma(o.releases) {
		err := withCluster(ctx, o.name, release, func(b *bench) error {
			if i == 0 {
				var err error
				if r.apply, err = b.measureApply(ctx, o.applies); err != nil {
					return err
				}
				if r.loss, err = b.measureLoss(ctx, o.losses); err != nil {
					return err
				}
			}
			rows, err := b.countRows(ctx, []int{1, 100, 2000})
			r.rows = append(r.rows, releaseRows{release: release, rows: rows})
			return err
		})
		if err != nil {
			return fmt.Errorf("OVN %s: %w", release, err)
		}
	}
	return r.write(o)
}

// withCluster calls f with a cluster on which ovn-egress is deployed, and removes the cluster whatever happens.
func withCluster(ctx context.Context, name, release string, f func(*bench) error) (err error) {
	c, err := cluster.Up(ctx, cluster.Options{Name: name, Nodes: 3, OVN: release, Progress: func(line string) { fmt.Fprintln(os.Stderr, line) }})
	defer func() {
		if downErr := cluster.Down(context.WithoutCancel(ctx), name); err == nil {
			err = downErr
		}
	}()
	if err != nil {
		return err
	}
	// One controller, on node1, which hosts nothing: how long a new leader takes is another question.
	if err := c.Deploy(ctx, cluster.DeployOptions{Replicas: 1}); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, egressipv1.AddToScheme, v1alpha1.AddToScheme} {
		utilruntime.Must(add(scheme))
	}
	config, err := c.RESTConfig()
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 1000, 1000
	api, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	return f(&bench{cluster: c, api: api})
}
