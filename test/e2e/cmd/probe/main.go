// Command probe is what the end-to-end tests run inside the networks of pods, nodes and external hosts: small
// clients of the external host, and the server that backend pods run. It depends on nothing that the machine may
// lack.
//
//	probe get [-count N] [-timeout D] [-insecure] URL       HTTP; prints the answers, one a line
//	probe many [-timeout D] N ADDRESS:PORT                  N TCP connections; prints how many left with which source
//	probe udp [-rate N] [-duration D] TOKEN ADDRESS:PORT    one flow of datagrams; prints a summary of the answers
//	probe serve PORT NAME                                   HTTP server; answers "CLIENT_ADDRESS:PORT NAME"
//	probe arp [-duration D] ADDRESS                         prints the MAC addresses that answer for the address
//
// The exit status is 0 if everything was answered.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	commands := map[string]func(context.Context, []string) error{
		"get": get, "many": many, "udp": udp, "serve": serve, "arp": askARP,
	}
	if len(args) == 0 {
		return errors.New("no subcommand")
	}
	command, ok := commands[args[0]]
	if !ok {
		return fmt.Errorf("no subcommand %q", args[0])
	}
	return command(ctx, args[1:])
}

// operands parses the flags of a subcommand and returns what follows them, which must be named one by one.
func operands(set *flag.FlagSet, args []string, names ...string) ([]string, error) {
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	if set.NArg() != len(names) {
		return nil, fmt.Errorf("%s: want %v, got %q", set.Name(), names, set.Args())
	}
	return set.Args(), nil
}
