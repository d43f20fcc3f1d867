package agent

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/goleak"
)

// inNamespace runs the test in a network namespace of its own with a pair of Ethernet ports, "br-ex" and "wire". The
// goroutine's thread is not given back: it ends with the test, and the namespace with it.
func inNamespace(t *testing.T) (bridge, wire *net.Interface) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes a network namespace: run it as root")
	}
	runtime.LockOSThread()
	ns, err := netns.New()
	if err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Errorf("network namespace: %v", err)
		}
	})
	return addPorts(t)
}

// addPorts makes a pair of Ethernet ports that are up.
func addPorts(t *testing.T) (bridge, wire *net.Interface) {
	t.Helper()
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "br-ex"
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "wire"}); err != nil {
		t.Fatalf("veth: %v", err)
	}
	setUp(t, "br-ex")
	setUp(t, "wire")
	return carrying(t, "br-ex"), carrying(t, "wire")
}

func setUp(t *testing.T, name string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// carrying waits until a port that is up carries frames: until then the kernel drops them without a word.
func carrying(t *testing.T, name string) *net.Interface {
	t.Helper()
	await(t, name+" carries frames", func() bool {
		link, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		return link.Attrs().OperState == netlink.OperUp
	})
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return ifi
}

// await waits on the test's own thread, which is the one in the namespace.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

// newAnnouncer announces on br-ex until the test ends.
func newAnnouncer(t *testing.T) *arpAnnouncer {
	t.Helper()
	a := &arpAnnouncer{name: "br-ex"}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Errorf("announcer: %v", err)
		}
	})
	return a
}

// capture receives ARP on an interface.
func capture(t *testing.T, ifi *net.Interface) *packet.Conn {
	t.Helper()
	conn, err := packet.Listen(ifi, packet.Raw, int(ethernet.EtherTypeARP), nil)
	if err != nil {
		t.Fatalf("capture: %v", err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Errorf("capture: %v", err)
		}
	})
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// receive reads one ARP packet.
func receive(t *testing.T, conn *packet.Conn) (ethernet.Frame, arp.Packet) {
	t.Helper()
	buffer := make([]byte, 1500)
	n, _, err := conn.ReadFrom(buffer)
	if err != nil {
		t.Fatalf("capture: %v", err)
	}
	var frame ethernet.Frame
	if err := frame.UnmarshalBinary(buffer[:n]); err != nil {
		t.Fatalf("frame: %v", err)
	}
	var p arp.Packet
	if err := p.UnmarshalBinary(frame.Payload); err != nil {
		t.Fatalf("ARP packet: %v", err)
	}
	return frame, p
}

// expectAnnouncement receives both forms of an announcement.
func expectAnnouncement(t *testing.T, conn *packet.Conn, mac net.HardwareAddr, addr netip.Addr) {
	t.Helper()
	for _, operation := range []arp.Operation{arp.OperationRequest, arp.OperationReply} {
		frame, p := receive(t, conn)
		if !bytes.Equal(frame.Destination, ethernet.Broadcast) || !bytes.Equal(frame.Source, mac) {
			t.Errorf("frame from %s to %s, want from %s to everyone", frame.Source, frame.Destination, mac)
		}
		if p.Operation != operation || p.SenderIP != addr || p.TargetIP != addr || !bytes.Equal(p.SenderHardwareAddr, mac) {
			t.Errorf("%s: %s is at %s, for %s; want %s: %s at %s", p.Operation, p.SenderIP, p.SenderHardwareAddr, p.TargetIP, operation, addr, mac)
		}
	}
}

func TestAnnouncementsReachTheWire(t *testing.T) {
	bridge, wire := inNamespace(t)
	seen := capture(t, wire)
	gatewayPort := net.HardwareAddr{0x02, 0x42, 0xac, 0x12, 0x00, 0x03}
	addrs := []netip.Addr{netip.MustParseAddr(address), netip.MustParseAddr("172.18.0.201")}
	a := newAnnouncer(t)

	n, err := a.Announce(gatewayPort, addrs)
	if n != 2 || err != nil {
		t.Fatalf("announced %d: %v", n, err)
	}
	for _, addr := range addrs {
		expectAnnouncement(t, seen, gatewayPort, addr)
	}

	if n, err := a.Announce(nil, addrs[:1]); n != 1 || err != nil {
		t.Fatalf("announced %d: %v", n, err)
	}
	expectAnnouncement(t, seen, bridge.HardwareAddr, addrs[0])
	goleak.VerifyNone(t)
}

func TestANeighbourLearnsTheNewPlaceFromAnAnnouncement(t *testing.T) {
	_, wire := inNamespace(t)
	addr := netip.MustParseAddr(address)
	link, err := netlink.LinkByName("wire")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(172, 18, 0, 5), Mask: net.CIDRMask(16, 32)}}); err != nil {
		t.Fatalf("address: %v", err)
	}
	old := net.HardwareAddr{0x02, 0, 0, 0, 0, 0x01}
	if err := netlink.NeighSet(&netlink.Neigh{
		LinkIndex: wire.Index, IP: addr.AsSlice(), HardwareAddr: old, State: netlink.NUD_STALE,
	}); err != nil {
		t.Fatalf("neighbour: %v", err)
	}
	next := net.HardwareAddr{0x02, 0, 0, 0, 0, 0x02}
	if _, err := newAnnouncer(t).Announce(next, []netip.Addr{addr}); err != nil {
		t.Fatal(err)
	}
	await(t, "the neighbour knows the new place", func() bool {
		neighbours, err := netlink.NeighList(wire.Index, netlink.FAMILY_V4)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(neighbours, func(n netlink.Neigh) bool {
			return n.IP.Equal(addr.AsSlice()) && bytes.Equal(n.HardwareAddr, next)
		})
	})
}

func TestAnnouncementsGoOnWhenTheInterfaceIsBack(t *testing.T) {
	_, wire := inNamespace(t)
	a := newAnnouncer(t)
	mac := net.HardwareAddr{0x02, 0x42, 0xac, 0x12, 0x00, 0x03}
	addr := netip.MustParseAddr(address)
	announce := func(seen *packet.Conn) {
		t.Helper()
		if n, err := a.Announce(mac, []netip.Addr{addr}); n != 1 || err != nil {
			t.Fatalf("announced %d: %v", n, err)
		}
		expectAnnouncement(t, seen, mac, addr)
	}
	announce(capture(t, wire))

	link, err := netlink.LinkByName("br-ex")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetDown(link); err != nil {
		t.Fatal(err)
	}
	if n, err := a.Announce(mac, []netip.Addr{addr}); n != 0 || err == nil || !strings.Contains(err.Error(), address) {
		t.Errorf("announced %d on an interface that is down: %v, want an error that names %s", n, err, address)
	}
	setUp(t, "br-ex")
	carrying(t, "br-ex")
	carrying(t, "wire")
	announce(capture(t, wire))

	if err := netlink.LinkDel(link); err != nil {
		t.Fatal(err)
	}
	_, wire = addPorts(t)
	announce(capture(t, wire))
}

func TestAnInterfaceThatWasDownBetweenAnnouncementsIsNotNoticed(t *testing.T) {
	inNamespace(t)
	a := newAnnouncer(t)
	link, err := netlink.LinkByName("br-ex")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if n, err := a.Announce(nil, []netip.Addr{netip.MustParseAddr(address)}); n != 1 || err != nil {
			t.Fatalf("announced %d: %v", n, err)
		}
		if err := netlink.LinkSetDown(link); err != nil {
			t.Fatal(err)
		}
		setUp(t, "br-ex")
	}
}

func TestAnnounceSaysWhatCannotBeAnnounced(t *testing.T) {
	inNamespace(t)
	missing := arpAnnouncer{name: "br-none"}
	if n, err := missing.Announce(nil, []netip.Addr{netip.MustParseAddr(address)}); n != 0 || err == nil || !strings.Contains(err.Error(), "br-none") {
		t.Errorf("announced %d: %v, want an error that names br-none", n, err)
	}
	if n, err := newAnnouncer(t).Announce(nil, []netip.Addr{netip.MustParseAddr("fd00::1")}); n != 0 || err == nil {
		t.Errorf("announced %d: %v, want IPv6 refused", n, err)
	}
}
