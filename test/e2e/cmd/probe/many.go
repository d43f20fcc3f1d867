package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// many makes TCP connections to a server that answers each line with the source it saw, and prints how many left
// with which source: {"172.18.0.201":97,"172.18.0.202":103}.
func many(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("many", flag.ContinueOnError)
	timeout := set.Duration("timeout", 2*time.Second, "of each connection")
	rest, err := operands(set, args, "N", "ADDRESS:PORT")
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(rest[0])
	if err != nil {
		return err
	}
	sources := map[netip.Addr]int{}
	for i := range n {
		source, err := connect(ctx, rest[1], *timeout)
		if err != nil {
			return fmt.Errorf("connection %d: %w", i+1, err)
		}
		sources[source]++
	}
	return json.NewEncoder(os.Stdout).Encode(sources)
}

// connect makes one connection and returns the source that the server saw.
func connect(ctx context.Context, server string, timeout time.Duration) (netip.Addr, error) {
	dialer := net.Dialer{Timeout: timeout}
	conn, err := dialer.DialContext(ctx, "tcp", server)
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return netip.Addr{}, err
	}
	if _, err := fmt.Fprintln(conn, "probe"); err != nil {
		return netip.Addr{}, err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return netip.Addr{}, err
	}
	return sourceIn(line)
}

// sourceIn reads an answer of the external host: ADDRESS:PORT.
func sourceIn(line string) (netip.Addr, error) {
	source, err := netip.ParseAddrPort(strings.TrimSpace(line))
	return source.Addr(), err
}
