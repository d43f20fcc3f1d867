package agent

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
)

// announcer tells the neighbours where addresses are.
type announcer interface {
	// Announce says that the IPv4 addresses are at mac, or at the interface's own MAC address if mac is nil. It
	// returns how many of them, from the front, were announced, and why the next was not.
	Announce(mac net.HardwareAddr, addrs []netip.Addr) (announced int, err error)
}

// arpAnnouncer announces by gratuitous ARP on an interface. It keeps its socket, because to close one takes the kernel
// some 10 ms, which would be added to every failover. It is not safe for concurrent use.
type arpAnnouncer struct {
	name  string       // interface
	conn  *packet.Conn // nil before the first announcement
	index int          // interface that conn is bound to
}

// Announce looks the interface up every time: a bridge that Open vSwitch made anew is another interface with the same
// name.
func (a *arpAnnouncer) Announce(mac net.HardwareAddr, addrs []netip.Addr) (announced int, err error) {
	ifi, err := net.InterfaceByName(a.name)
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", a.name, err)
	}
	if mac == nil {
		mac = ifi.HardwareAddr
	}
	for _, addr := range addrs {
		frames, err := announcement(mac, addr)
		if err != nil {
			return announced, fmt.Errorf("announce %s at %s: %w", addr, mac, err)
		}
		for _, frame := range frames {
			if err := a.send(ifi, frame); err != nil {
				return announced, fmt.Errorf("announce %s: interface %s: %w", addr, a.name, err)
			}
		}
		announced++
	}
	return announced, nil
}

// send sends a frame through the socket that is open, and through a new one if that fails: a socket whose interface
// was down says so once more after it is up again.
func (a *arpAnnouncer) send(ifi *net.Interface, frame []byte) error {
	everyone := &packet.Addr{HardwareAddr: ethernet.Broadcast}
	if a.conn != nil && a.index == ifi.Index {
		if _, err := a.conn.WriteTo(frame, everyone); err == nil {
			return nil
		}
	}
	if err := a.Close(); err != nil {
		return err
	}
	// Protocol 0 receives nothing (packet(7)): the socket is only written to, and the kernel need not queue ARP.
	conn, err := packet.Listen(ifi, packet.Raw, 0, nil)
	if err != nil {
		return fmt.Errorf("open packet socket: %w", err)
	}
	a.conn, a.index = conn, ifi.Index
	if _, err := conn.WriteTo(frame, everyone); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// Close closes the socket. The next announcement opens another.
func (a *arpAnnouncer) Close() error {
	if a.conn == nil {
		return nil
	}
	conn := a.conn
	a.conn = nil
	if err := conn.Close(); err != nil {
		return fmt.Errorf("close packet socket: %w", err)
	}
	return nil
}

// announcement is the two frames that say that addr is at mac. RFC 5227 wants the request form; some neighbours learn
// from the reply form only, and Linux from that only if the target is the sender once more (RFC 5944, section 4.6).
func announcement(mac net.HardwareAddr, addr netip.Addr) ([][]byte, error) {
	var frames [][]byte
	for _, form := range []struct {
		operation arp.Operation
		target    net.HardwareAddr
	}{
		{arp.OperationRequest, make(net.HardwareAddr, len(mac))},
		{arp.OperationReply, mac},
	} {
		p, err := arp.NewPacket(form.operation, mac, addr, form.target, addr)
		if err != nil {
			return nil, fmt.Errorf("ARP packet: %w", err)
		}
		payload, err := p.MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("ARP packet: %w", err)
		}
		f := ethernet.Frame{Destination: ethernet.Broadcast, Source: mac, EtherType: ethernet.EtherTypeARP, Payload: payload}
		frame, err := f.MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("ethernet frame: %w", err)
		}
		frames = append(frames, frame)
	}
	return frames, nil
}
