package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

func statusCommand(s *settings) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what a cluster consists of",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			status := c.Status()
			switch output {
			case "json":
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(status)
			case "":
				processes, err := cluster.Processes(s.name)
				if err != nil {
					return err
				}
				return printStatus(cmd.OutOrStdout(), status, processes)
			}
			return fmt.Errorf("output format %q: only json, or none for text", output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "output format: json")
	return cmd
}

func printStatus(out io.Writer, status cluster.Status, processes []cluster.Process) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "cluster\t%s\tOVN %s, %s\n", status.Name, status.OVN, status.Topology)
	fmt.Fprintf(w, "kubeconfig\t%s\n", status.Kubeconfig)
	for _, n := range status.Nodes {
		fmt.Fprintf(w, "node\t%s\t%v\tpods %v\tzone %s\n", n.Name, n.Addresses, n.PodSubnets, n.Zone)
	}
	for _, z := range status.Zones {
		fmt.Fprintf(w, "zone\t%s\t%s\t%s\n", z.Name, z.NB, z.SB)
	}
	for _, e := range status.Externals {
		fmt.Fprintf(w, "external\t%s\t%v\tof %v\tgateways %v\n", e.Name, e.Addresses, e.Subnets, e.Gateways)
	}
	if last := len(status.EgressIPRange) - 1; last >= 0 {
		fmt.Fprintf(w, "EgressIPs\t%s–%s\n", status.EgressIPRange[0], status.EgressIPRange[last])
	}
	for _, p := range processes {
		state := "runs"
		if !p.Alive() {
			state = "ENDED"
		}
		fmt.Fprintf(w, "process\t%s\tpid %d\t%s\n", p.Component, p.PID, state)
	}
	return w.Flush()
}

func kubeconfigCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the path of the administrator's kubeconfig",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), c.Kubeconfig())
			return err
		},
	}
}

func logsCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "logs [COMPONENT]",
		Short: "Print a component's log; without an argument, list the components",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listLogs(cmd.OutOrStdout(), s.name)
			}
			log, err := os.Open(cluster.LogPath(s.name, args[0]))
			if err != nil {
				return fmt.Errorf("component %s: %w", args[0], err)
			}
			defer log.Close()
			_, err = io.Copy(cmd.OutOrStdout(), log)
			return err
		},
	}
}

func listLogs(out io.Writer, name string) error {
	entries, err := os.ReadDir(cluster.LogDirectory(name))
	if err != nil {
		return fmt.Errorf("cluster %s: %w", name, err)
	}
	var components []string
	for _, entry := range entries {
		if component, ok := strings.CutSuffix(entry.Name(), ".log"); ok {
			components = append(components, component)
		}
	}
	slices.Sort(components)
	_, err = fmt.Fprintln(out, strings.Join(components, "\n"))
	return err
}
