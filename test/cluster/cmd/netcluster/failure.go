package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

func failCommand(s *settings) *cobra.Command {
	var how string
	cmd := &cobra.Command{
		Use:   "fail node/NAME",
		Short: "Make a node fail",
		Long: `Make a node fail:
  power   all its processes freeze and its links are cut
  link    its links are cut
  ovn     Open vSwitch and ovn-controller are killed
  reboot  all its processes are killed and its network namespace is lost, its databases are kept`,
		Args: cobra.ExactArgs(1),
		RunE: onNode(s, func(cmd *cobra.Command, c *cluster.Cluster, node string) error {
			return c.Fail(cmd.Context(), node, cluster.Failure(how))
		}),
	}
	cmd.Flags().StringVar(&how, "how", string(cluster.Power), "power, link, ovn or reboot")
	return cmd
}

func healCommand(s *settings) *cobra.Command {
	var how string
	cmd := &cobra.Command{
		Use:   "heal node/NAME",
		Short: "Bring a failed node back",
		Args:  cobra.ExactArgs(1),
		RunE: onNode(s, func(cmd *cobra.Command, c *cluster.Cluster, node string) error {
			return c.Heal(cmd.Context(), node, cluster.Failure(how))
		}),
	}
	cmd.Flags().StringVar(&how, "how", "", "the failure that is expected; by default, whichever it is")
	return cmd
}

// onNode runs a command whose argument is node/NAME.
func onNode(s *settings, do func(*cobra.Command, *cluster.Cluster, string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		node, ok := strings.CutPrefix(args[0], "node/")
		if !ok {
			return fmt.Errorf("%q is not node/NAME", args[0])
		}
		c, err := s.open()
		if err != nil {
			return err
		}
		return do(cmd, c, node)
	}
}
