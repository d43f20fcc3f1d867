// Command netcluster makes OVN Kubernetes clusters of several nodes on one machine, without containers or virtual
// machines, and works with them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

func main() { os.Exit(run()) }

// run returns the exit status.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := rootCommand().ExecuteContext(ctx)
	if exit := (exitStatus)(0); errors.As(err, &exit) {
		return int(exit)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "netcluster:", err)
		return 1
	}
	return 0
}

// exitStatus is the exit status of a command that the user gave, and which has said what was wrong.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// passStatus turns the failure of a user's command into our own exit status.
func passStatus(err error) error {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		return exitStatus(exit.ExitCode())
	}
	return err
}

// settings are the values of the flags that all commands share.
type settings struct {
	name     string
	checkout string
}

func rootCommand() *cobra.Command {
	s := &settings{}
	root := &cobra.Command{
		Use:   "netcluster",
		Short: "OVN Kubernetes clusters in network namespaces",
		Long: "netcluster makes clusters with a real Kubernetes control plane and a real OVN on one machine, a network\n" +
			"namespace a node. It needs root and leaves the machine's own network alone.",
		SilenceUsage: true, SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&s.name, "name", "netcluster", "name of the cluster")
	root.PersistentFlags().StringVar(&s.checkout, "checkout", "",
		"directory of the ovn-egress repository (default: found from the working directory)")
	root.AddCommand(
		upCommand(s), downCommand(s), statusCommand(s), kubeconfigCommand(s), logsCommand(s),
		execCommand(s), controlCommand(s, "nbctl", "northbound"), controlCommand(s, "sbctl", "southbound"),
		deployCommand(s), undeployCommand(s), failCommand(s), healCommand(s),
		forwardCommand(s), outsideCommand(), standInCommand(s),
	)
	return root
}

// open returns the cluster that the flags name.
func (s *settings) open() (*cluster.Cluster, error) {
	o, err := s.options()
	if err != nil {
		return nil, err
	}
	return cluster.Open(s.name, o)
}

// options are those that do not say what the cluster is.
func (s *settings) options() (cluster.Options, error) {
	program, err := os.Executable()
	if err != nil {
		return cluster.Options{}, err
	}
	return cluster.Options{
		Name: s.name, Checkout: s.checkout, Program: program,
		Progress: func(line string) { fmt.Fprintln(os.Stderr, line) },
	}, nil
}
