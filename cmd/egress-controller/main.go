// Command egress-controller places EgressIPs on nodes and programs the OVN northbound database. Several replicas
// run; one leads.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
	"github.com/ovn-egress/ovn-egress/pkg/controller"
)

func main() {
	f := parseFlags(os.Args[1:])
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&f.zap)))
	log := ctrl.Log.WithName("egress-controller")
	if err := run(ctrl.SetupSignalHandler(), f, log); err != nil {
		log.Error(err, "stopped")
		os.Exit(1)
	}
}

func run(ctx context.Context, f *flags, log logr.Logger) error {
	cfg, err := f.config()
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, egressipv1.AddToScheme, v1alpha1.AddToScheme} {
		utilruntime.Must(add(scheme))
	}
	rest, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	rest.QPS, rest.Burst = 200, 400
	m, err := manager.New(rest, manager.Options{
		Scheme:                        scheme,
		Cache:                         controller.CacheOptions(),
		LeaderElection:                f.leaderElect,
		LeaderElectionID:              "egress-controller",
		LeaderElectionNamespace:       f.leaderElectionNamespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &f.leaseDuration,
		RenewDeadline:                 &f.renewDeadline,
		RetryPeriod:                   &f.retryPeriod,
		Metrics:                       metricsserver.Options{BindAddress: f.metricsAddress},
		HealthProbeBindAddress:        f.healthAddress,
	})
	if err != nil {
		return fmt.Errorf("manager: %w", err)
	}
	if err := m.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	if err := controller.Setup(ctx, m, cfg, log); err != nil {
		return err
	}
	return m.Start(ctx)
}
