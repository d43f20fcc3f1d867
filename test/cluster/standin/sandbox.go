package standin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

const (
	podLink = "eth0" // a pod's end of its veth pair
	podMTU  = 1400   // leaves room for the encapsulation on an underlay of 1500
)

// podID identifies a pod for good: a later pod may have the same name, but not the same UID.
type podID struct {
	namespace string
	name      string
	uid       types.UID
}

// sandbox names the network namespace of a pod and the node's end of its veth pair.
type sandbox struct {
	pod       podID
	namespace string
	hostLink  string
}

// sandboxOf is the sandbox of a pod in the named cluster. Names of interfaces are short (15 characters at most), so
// that on the node has only what distinguishes the namespace's name from those of other pods.
func sandboxOf(clusterName string, pod podID) sandbox {
	namespace := cluster.PodNamespace(clusterName, pod.namespace, string(pod.uid))
	return sandbox{pod: pod, namespace: namespace, hostLink: "p" + strings.TrimPrefix(namespace, sandboxPrefix(clusterName))}
}

// sandboxPrefix begins the names of all pods' network namespaces of a cluster.
func sandboxPrefix(clusterName string) string { return "nc-" + clusterName + "-p-" }

// complete says whether both ends of the veth pair are where they belong. The pair is gone when either namespace
// was lost, as those of a node are when it reboots.
func (b sandbox) complete(node *cluster.Node) (bool, error) {
	for namespace, link := range map[string]string{node.Namespace: b.hostLink, b.namespace: podLink} {
		there := false
		err := inNetlink(namespace, func(h *netlink.Handle) error {
			_, err := h.LinkByName(link)
			there = err == nil
			return ignoreNoLink(err)
		})
		if errors.Is(err, os.ErrNotExist) {
			return false, nil
		}
		if err != nil || !there {
			return false, err
		}
	}
	return true, nil
}

// create makes the namespace and the veth pair and configures the pod's end. What an earlier attempt left behind
// must have been removed. A namespace without IPv6 addresses gets no IPv6 at all, which saves the switch the
// traffic of its neighbour discovery.
func (b sandbox) create(node *cluster.Node, a attachment) error {
	if err := newNamespace(b.namespace); err != nil {
		return err
	}
	if !hasIPv6(a) {
		if err := b.disableIPv6(b.namespace, "default"); err != nil {
			return err
		}
	}
	if err := b.createVeth(node, a); err != nil {
		return err
	}
	if err := b.disableIPv6(node.Namespace, b.hostLink); err != nil {
		return err
	}
	if err := inNetlink(b.namespace, func(h *netlink.Handle) error { return configurePodLink(h, a) }); err != nil {
		return err
	}
	for namespace, link := range map[string]string{node.Namespace: b.hostLink, b.namespace: podLink} {
		if err := cluster.InNamespace(namespace, func() error { return disableOffloads(link) }); err != nil {
			return fmt.Errorf("network namespace %s: %w", namespace, err)
		}
	}
	return inNetlink(node.Namespace, func(h *netlink.Handle) error {
		link, err := h.LinkByName(b.hostLink)
		if err != nil {
			return fmt.Errorf("link %s: %w", b.hostLink, err)
		}
		return h.LinkSetUp(link)
	})
}

// createVeth makes the pair with one end in each namespace.
func (b sandbox) createVeth(node *cluster.Node, a attachment) error {
	pod, err := netns.GetFromName(b.namespace)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", b.namespace, err)
	}
	defer pod.Close()
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU = b.hostLink, podMTU
	veth := &netlink.Veth{
		LinkAttrs: attributes, PeerName: podLink, PeerMTU: podMTU,
		PeerHardwareAddr: a.mac, PeerNamespace: netlink.NsFd(int(pod)),
	}
	return inNetlink(node.Namespace, func(h *netlink.Handle) error {
		if err := h.LinkAdd(veth); err != nil {
			return fmt.Errorf("veth %s: %w", b.hostLink, err)
		}
		return nil
	})
}

// configurePodLink brings up the pod's interfaces and gives it addresses and default routes.
func configurePodLink(h *netlink.Handle, a attachment) error {
	for _, name := range []string{"lo", podLink} {
		link, err := h.LinkByName(name)
		if err == nil {
			err = h.LinkSetUp(link)
		}
		if err != nil {
			return fmt.Errorf("link %s: %w", name, err)
		}
	}
	link, err := h.LinkByName(podLink)
	if err != nil {
		return fmt.Errorf("link %s: %w", podLink, err)
	}
	for i, address := range a.addresses {
		// Nobody else can have the address: OVN's port security sees to it, so IPv6 need not find out.
		addr := &netlink.Addr{IPNet: ipNet(address), Flags: unix.IFA_F_NODAD}
		if err := h.AddrReplace(link, addr); err != nil {
			return fmt.Errorf("address %s: %w", address, err)
		}
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: a.gateways[i].AsSlice()}
		if err := h.RouteReplace(route); err != nil {
			return fmt.Errorf("default route by %s: %w", a.gateways[i], err)
		}
	}
	return nil
}

// remove deletes the veth pair and the namespace, as far as they are there.
func (b sandbox) remove(node *cluster.Node) error {
	err := inNetlink(node.Namespace, func(h *netlink.Handle) error {
		link, err := h.LinkByName(b.hostLink)
		if err != nil {
			return ignoreNoLink(err)
		}
		return ignoreNoLink(h.LinkDel(link))
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return removeNamespace(b.namespace)
}

// disableIPv6 switches IPv6 off on a link. A machine without IPv6 has nothing to switch off.
func (b sandbox) disableIPv6(namespace, link string) error {
	return cluster.InNamespace(namespace, func() error {
		// /proc/sys/net shows the network namespace of the thread that opens it.
		err := os.WriteFile(filepath.Join("/proc/sys/net/ipv6/conf", link, "disable_ipv6"), []byte("1"), 0o644)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("network namespace %s: %w", namespace, err)
		}
		return nil
	})
}

// ignoreNoLink turns the error of a link that is not there into nil.
func ignoreNoLink(err error) error {
	var notFound netlink.LinkNotFoundError
	if errors.As(err, &notFound) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

func hasIPv6(a attachment) bool {
	for _, address := range a.addresses {
		if address.Addr().Is6() {
			return true
		}
	}
	return false
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
