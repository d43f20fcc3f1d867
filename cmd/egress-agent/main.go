// Command egress-agent runs on every node that may host EgressIPs. It reports when the node's chassis has installed
// an address, and announces the address to the network.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"github.com/ovn-egress/ovn-egress/pkg/agent"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "egress-agent:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	var o agent.Options
	var level slog.LevelVar
	cmd := &cobra.Command{
		Use:           "egress-agent",
		Short:         "Reports and announces the EgressIPs that this node hosts",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Log = logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: &level}))
			ctrl.SetLogger(o.Log)
			klog.SetLogger(o.Log) // client-go's own log
			cfg, err := config.GetConfig()
			if err != nil {
				return fmt.Errorf("configuration of the API client: %w", err)
			}
			return agent.Run(cmd.Context(), cfg, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.NodeName, "node-name", os.Getenv("NODE_NAME"), "name of this Kubernetes node (environment: NODE_NAME)")
	flags.StringVar(&o.OVSAddress, "ovs-address", "unix:/run/openvswitch/db.sock", "address of this node's Open vSwitch database")
	flags.StringVar(&o.IntegrationBridge, "integration-bridge", "br-int", "bridge that ovn-controller manages")
	flags.StringVar(&o.ExternalBridge, "external-bridge", "br-ex", "bridge through which the gateway router reaches the outside")
	flags.DurationVar(&o.Heartbeat, "heartbeat-interval", 5*time.Second, "how often the status is renewed while nothing changes")
	flags.StringVar(&o.HealthAddress, "health-probe-bind-address", ":9109", "where /healthz and /readyz are served; 0 for nowhere")
	flags.StringVar(&o.MetricsAddress, "metrics-bind-address", ":9110", "where /metrics is served; 0 for nowhere")
	flags.TextVar(&level, "log-level", &level, "least `LEVEL` of log lines: DEBUG, INFO, WARN or ERROR")

	kubeconfig := flag.NewFlagSet("", flag.ContinueOnError)
	config.RegisterFlags(kubeconfig)
	flags.AddGoFlagSet(kubeconfig)
	return cmd
}
