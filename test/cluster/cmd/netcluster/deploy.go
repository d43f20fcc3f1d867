package main

import (
	"github.com/spf13/cobra"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

func deployCommand(s *settings) *cobra.Command {
	var o cluster.DeployOptions
	cmd := &cobra.Command{
		Use:   "deploy [-- CONTROLLER FLAGS]",
		Short: "Run ovn-egress: controllers on the first nodes, an agent on every node",
		Long: "deploy applies the manifests and runs controllers and agents as processes in the network namespaces of\n" +
			"nodes, each with the rights of its service account. What runs already is replaced.",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			o.Flags = args
			return c.Deploy(cmd.Context(), o)
		},
	}
	cmd.Flags().IntVar(&o.Replicas, "replicas", 2, "number of controllers")
	cmd.Flags().StringVar(&o.BinDir, "bin", "", "directory with the executables (default: bin of the checkout)")
	manifestFlag(cmd, &o)
	return cmd
}

func undeployCommand(s *settings) *cobra.Command {
	var o cluster.DeployOptions
	cmd := &cobra.Command{
		Use:   "undeploy",
		Short: "Remove ovn-egress, its custom resource definitions and all EgressIPs included",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			return c.Undeploy(cmd.Context(), o)
		},
	}
	manifestFlag(cmd, &o)
	return cmd
}

func manifestFlag(cmd *cobra.Command, o *cluster.DeployOptions) {
	cmd.Flags().StringVar(&o.ManifestDir, "manifests", "",
		"directory with a kustomization (default: manifests/base of the checkout)")
}
