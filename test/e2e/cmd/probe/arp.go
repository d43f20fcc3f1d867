package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/mdlayher/arp"
)

// askARP asks once who has an address and collects all answers for a while. It prints the hardware addresses:
// ["02:42:ac:12:00:0c"].
func askARP(_ context.Context, args []string) error {
	set := flag.NewFlagSet("arp", flag.ContinueOnError)
	duration := set.Duration("duration", 500*time.Millisecond, "how long to wait for answers")
	rest, err := operands(set, args, "ADDRESS")
	if err != nil {
		return err
	}
	address, err := netip.ParseAddr(rest[0])
	if err != nil {
		return err
	}
	link, err := linkTo(address)
	if err != nil {
		return err
	}
	client, err := arp.Dial(link)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }() // nothing is left to be done about an error
	if err := client.Request(address); err != nil {
		return err
	}
	if err := client.SetReadDeadline(time.Now().Add(*duration)); err != nil {
		return err
	}
	owners := []string{}
	for {
		packet, _, err := client.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			slices.Sort(owners)
			return json.NewEncoder(os.Stdout).Encode(slices.Compact(owners))
		}
		if err != nil {
			return err
		}
		if packet.Operation == arp.OperationReply && packet.SenderIP == address {
			owners = append(owners, packet.SenderHardwareAddr.String())
		}
	}
}

// linkTo finds the link whose subnet contains the address.
func linkTo(address netip.Addr) (*net.Interface, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for i := range links {
		addresses, err := links[i].Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addresses {
			subnet, err := netip.ParsePrefix(a.String())
			if err == nil && subnet.Masked().Contains(address) && subnet.Addr() != address {
				return &links[i], nil
			}
		}
	}
	return nil, fmt.Errorf("no link to %s", address)
}
