package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func execCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "exec node/NAME|pod/NAMESPACE/NAME|external/NAME -- COMMAND…",
		Short: "Run a command in the network namespace of a node, a pod or an external host",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			command, err := c.Command(cmd.Context(), args[0], args[1:]...)
			if err != nil {
				return err
			}
			command.Stdin, command.Stdout, command.Stderr = os.Stdin, cmd.OutOrStdout(), cmd.ErrOrStderr()
			return passStatus(command.Run())
		},
	}
}

// controlCommand is ovn-nbctl or ovn-sbctl on a zone's database. Its arguments are not ours to parse, but for
// --name and --zone at their beginning.
func controlCommand(s *settings, name, database string) *cobra.Command {
	return &cobra.Command{
		Use:                name + " [--name N] [--zone Z] ARGS…",
		Short:              fmt.Sprintf("Run ovn-%s on the %s database", name, database),
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && (args[0] == "--help" || args[0] == "-h") {
				return cmd.Help()
			}
			zone := ""
			args, err := leadingFlags(args, map[string]*string{
				"--name": &s.name, "--zone": &zone, "--checkout": &s.checkout,
			})
			if err != nil {
				return err
			}
			c, err := s.open()
			if err != nil {
				return err
			}
			z, err := c.Zone(zone)
			if err != nil {
				return err
			}
			remote := map[string]string{"nbctl": z.NB, "sbctl": z.SB}[name]
			tool := exec.CommandContext(cmd.Context(), filepath.Join(c.Tools, "ovn-"+name),
				append([]string{"--db=" + remote}, args...)...)
			tool.Stdin, tool.Stdout, tool.Stderr = os.Stdin, cmd.OutOrStdout(), cmd.ErrOrStderr()
			return passStatus(tool.Run())
		},
	}
}

// leadingFlags takes the given flags, as --flag VALUE or --flag=VALUE, off the beginning of args.
func leadingFlags(args []string, flags map[string]*string) (rest []string, err error) {
	for len(args) > 0 {
		flag, value, joined := strings.Cut(args[0], "=")
		target, ours := flags[flag]
		if !ours {
			return args, nil
		}
		args = args[1:]
		if !joined {
			if len(args) == 0 {
				return nil, errors.New("flag needs a value: " + flag)
			}
			value, args = args[0], args[1:]
		}
		*target = value
	}
	return nil, nil
}
