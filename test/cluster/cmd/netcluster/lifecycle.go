package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

func upCommand(s *settings) *cobra.Command {
	var what cluster.Options
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make a cluster",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := s.options()
			if err != nil {
				return err
			}
			o.Nodes, o.OVN, o.Topology, o.IP = what.Nodes, what.OVN, what.Topology, what.IP
			o.ExternalNetworks = what.ExternalNetworks
			start := time.Now()
			c, err := cluster.Up(cmd.Context(), o)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "cluster %s is up after %.1fs\nexport KUBECONFIG=%s PATH=%s:$PATH\n",
				c.Name, time.Since(start).Seconds(), c.Kubeconfig(), c.ControlPlane)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&what.Nodes, "nodes", 3, "number of nodes")
	flags.StringVar(&what.OVN, "ovn", "distro", "release of OVN: distro (installed packages), trixie or sid (unpacked into the cache)")
	flags.StringVar(&what.Topology, "topology", "central", "topology: central (one northbound database) or interconnect")
	flags.StringVar(&what.IP, "ip", "4", "address families: 4, 6 or dual")
	flags.IntVar(&what.ExternalNetworks, "external-networks", 1, "number of networks outside the cluster; the first is the nodes' own")
	return cmd
}

func downCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Remove a cluster: processes, namespaces, files; also after a crash, also twice",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cluster.Down(cmd.Context(), s.name)
		},
	}
}
