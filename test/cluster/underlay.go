package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// underlayNamespace holds the bridges that join nodes, control plane and external hosts: one for each external
// network, the first of which is also the nodes' own.
func (s *State) underlayNamespace() string { return namespacePrefix(s.Name) + "underlay" }

func bridgeName(network int) string { return fmt.Sprintf("net%d", network) }

// underlayPort names the underlay's end of a veth.
func underlayPort(network int, peer string) string { return strconv.Itoa(network) + "-" + peer }

// buildUnderlay makes all namespaces but those of nodes and pods, the bridges, and the external hosts' and the
// control plane's connections to them.
func (s *State) buildUnderlay(ctx context.Context) error {
	if err := createNamespace(ctx, s.underlayNamespace()); err != nil {
		return err
	}
	if err := setSysctls(s.underlayNamespace(), withoutIPv6()); err != nil {
		return err
	}
	for i := range s.Externals {
		if err := inNetlink(s.underlayNamespace(), func(h *netlink.Handle) error {
			return addBridge(h, bridgeName(i+1))
		}); err != nil {
			return err
		}
	}
	if err := createNamespace(ctx, s.controlNamespace()); err != nil {
		return err
	}
	if err := setSysctls(s.controlNamespace(), withoutIPv6()); err != nil {
		return err
	}
	if err := s.plugControl(ctx); err != nil {
		return err
	}
	for i := range s.Externals {
		if err := s.buildExternal(ctx, i+1, &s.Externals[i]); err != nil {
			return err
		}
	}
	return nil
}

// plugControl connects the control plane's namespace, with a MAC address that gateway routers can be told.
func (s *State) plugControl(ctx context.Context) error {
	control := netip.PrefixFrom(controlAddress, underlaySubnet.Bits())
	if err := s.plug(ctx, 1, "control", s.controlNamespace(), uplink, control); err != nil {
		return err
	}
	mac, err := net.ParseMAC(macOf(underlayMAC, controlAddress))
	if err != nil {
		return err
	}
	return inNetlink(s.controlNamespace(), func(h *netlink.Handle) error {
		link, err := h.LinkByName(uplink)
		if err != nil {
			return fmt.Errorf("link %s: %w", uplink, err)
		}
		if err := h.LinkSetHardwareAddr(link, mac); err != nil {
			return fmt.Errorf("MAC address of %s: %w", uplink, err)
		}
		return h.RouteAdd(&netlink.Route{Gw: gatewayAddress.AsSlice()})
	})
}

// buildExternal makes an external host, which is also its network's gateway and forwards.
func (s *State) buildExternal(ctx context.Context, network int, e *External) error {
	if err := createNamespace(ctx, e.Namespace); err != nil {
		return err
	}
	sysctls := withoutIPv6()
	sysctls["ipv4/ip_forward"] = "1"
	if err := setSysctls(e.Namespace, sysctls); err != nil {
		return err
	}
	var onLink []netip.Prefix
	for _, a := range append(append([]netip.Addr{}, e.Addresses...), e.Gateways...) {
		if e.Subnets[0].Contains(a) {
			onLink = append(onLink, netip.PrefixFrom(a, e.Subnets[0].Bits()))
			continue
		}
		if err := addAddress(e.Namespace, "lo", netip.PrefixFrom(a, a.BitLen())); err != nil {
			return err
		}
	}
	return s.plug(ctx, network, e.Name, e.Namespace, uplink, onLink...)
}

// startExternals starts the servers of the external hosts.
func (s *State) startExternals(program string) error {
	for i := range s.Externals {
		e := &s.Externals[i]
		argv := []string{program, "outside", "--log", e.Log}
		for _, a := range e.Addresses {
			argv = append(argv, "--listen", a.String())
		}
		if _, err := StartProcess(ProcessSpec{
			Cluster: s.Name, Component: e.Name, Namespace: e.Namespace, Argv: argv,
		}); err != nil {
			return err
		}
	}
	return nil
}

// plug connects a namespace to the bridge of an external network with a veth, named link inside the namespace.
func (s *State) plug(ctx context.Context, network int, peer, namespace, link string, addresses ...netip.Prefix) error {
	port := underlayPort(network, peer)
	target, err := netns.GetFromName(namespace)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", namespace, err)
	}
	defer target.Close()
	if err := inNetlink(s.underlayNamespace(), func(h *netlink.Handle) error {
		bridge, err := h.LinkByName(bridgeName(network))
		if err != nil {
			return err
		}
		attributes := netlink.NewLinkAttrs()
		attributes.Name, attributes.MasterIndex, attributes.Flags = port, bridge.Attrs().Index, net.FlagUp
		return h.LinkAdd(&netlink.Veth{
			LinkAttrs: attributes, PeerName: link, PeerNamespace: netlink.NsFd(int(target)),
		})
	}); err != nil {
		return fmt.Errorf("veth %s: %w", port, err)
	}
	if err := setUp(namespace, link); err != nil {
		return err
	}
	for _, a := range addresses {
		if err := addAddress(namespace, link, a); err != nil {
			return err
		}
	}
	return errors.Join(disableOffloads(ctx, s.underlayNamespace(), port), disableOffloads(ctx, namespace, link))
}

func addBridge(h *netlink.Handle, name string) error {
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.Flags = name, net.FlagUp
	snooping := false
	if err := h.LinkAdd(&netlink.Bridge{LinkAttrs: attributes, MulticastSnooping: &snooping}); err != nil {
		return fmt.Errorf("bridge %s: %w", name, err)
	}
	return nil
}

// disableOffloads makes a device write complete checksums and whole packets: the userspace datapath forwards
// partial checksums as if they were complete.
func disableOffloads(ctx context.Context, namespace, link string) error {
	_, err := runIn(ctx, namespace, "ethtool", "-K", link, "tx", "off", "rx", "off", "gso", "off", "gro", "off", "tso", "off")
	return err
}

// inNetlink calls f with a netlink handle of a namespace.
func inNetlink(namespace string, f func(*netlink.Handle) error) error {
	ns, err := netns.GetFromName(namespace)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", namespace, err)
	}
	defer ns.Close()
	handle, err := netlink.NewHandleAt(ns)
	if err != nil {
		return fmt.Errorf("network namespace %s: netlink: %w", namespace, err)
	}
	defer handle.Close()
	if err := f(handle); err != nil {
		return fmt.Errorf("network namespace %s: %w", namespace, err)
	}
	return nil
}

func setUp(namespace, link string) error {
	return setLink(namespace, link, (*netlink.Handle).LinkSetUp)
}

func setDown(namespace, link string) error {
	return setLink(namespace, link, (*netlink.Handle).LinkSetDown)
}

func setLink(namespace, link string, set func(*netlink.Handle, netlink.Link) error) error {
	return inNetlink(namespace, func(h *netlink.Handle) error {
		l, err := h.LinkByName(link)
		if err == nil {
			err = set(h, l)
		}
		if err != nil {
			return fmt.Errorf("link %s: %w", link, err)
		}
		return nil
	})
}

// addAddress adds an address to a link; one that is there already is no error.
func addAddress(namespace, link string, a netip.Prefix) error {
	return inNetlink(namespace, func(h *netlink.Handle) error {
		l, err := h.LinkByName(link)
		if err == nil {
			err = h.AddrReplace(l, &netlink.Addr{IPNet: ipNet(a)})
		}
		if err != nil {
			return fmt.Errorf("address %s on %s: %w", a, link, err)
		}
		return nil
	})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// withoutIPv6 are the sysctls that keep links from getting IPv6 addresses and making traffic with them.
func withoutIPv6() map[string]string {
	return map[string]string{"ipv6/conf/all/disable_ipv6": "1", "ipv6/conf/default/disable_ipv6": "1"}
}

// setSysctls sets files below /proc/sys/net in a network namespace. A machine without IPv6 has no files for it.
func setSysctls(namespace string, values map[string]string) error {
	return InNamespace(namespace, func() error {
		for name, value := range values {
			// /proc/sys/net shows the namespace of the thread that opens it.
			err := os.WriteFile(filepath.Join("/proc/sys/net", name), []byte(value), 0o644)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("sysctl net %s in %s: %w", name, namespace, err)
			}
		}
		return nil
	})
}
