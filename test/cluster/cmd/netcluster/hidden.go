package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"github.com/ovn-egress/ovn-egress/test/cluster"
	"github.com/ovn-egress/ovn-egress/test/cluster/outside"
	"github.com/ovn-egress/ovn-egress/test/cluster/standin"
)

// The commands in this file are processes of a cluster; up starts them.

func forwardCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:    "forward",
		Short:  "Carry connections from loopback to a cluster's kube-apiserver",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cluster.Forward(cmd.Context(), s.name)
		},
	}
}

func outsideCommand() *cobra.Command {
	var listen []string
	var log string
	cmd := &cobra.Command{
		Use:    "outside",
		Short:  "Answer connections with the source address they came from",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			addresses := make([]netip.Addr, 0, len(listen))
			for _, text := range listen {
				a, err := netip.ParseAddr(text)
				if err != nil {
					return fmt.Errorf("--listen: %w", err)
				}
				addresses = append(addresses, a)
			}
			return outside.Serve(cmd.Context(), addresses, log)
		},
	}
	cmd.Flags().StringSliceVar(&listen, "listen", nil, "addresses to listen on")
	cmd.Flags().StringVar(&log, "log", "", "file with a line a connection or datagram")
	return cmd
}

func standInCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:    "stand-in",
		Short:  "Be scheduler, kubelet, network plugin and kube-proxy of all nodes",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			state, err := cluster.LoadState(s.name)
			if err != nil {
				return err
			}
			return standin.Run(cmd.Context(), state, logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, nil)))
		},
	}
}
