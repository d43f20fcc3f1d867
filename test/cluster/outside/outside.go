// Package outside is the host beyond the cluster: it tells whoever connects which source address it saw, and keeps
// a log of it, so that tests can judge a pod's traffic by what really left the cluster.
package outside

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
)

// HTTPPort and EchoPort are where the host listens on each of its addresses: HTTP on the first, TCP and UDP on the
// second.
const (
	HTTPPort = 8080
	EchoPort = 9000
)

// ports are those of one run: the constants above, or zero in tests, where the kernel chooses.
type ports struct{ http, tcp, udp uint16 }

// server holds the sockets of one run. Each address has sockets of its own, so that an answer leaves from the
// address that the request came to even on a host with several.
type server struct {
	http []net.Listener
	tcp  []net.Listener
	udp  []*net.UDPConn
	log  *requestLog
}

// Serve listens on every address of addrs until ctx ends: HTTP on HTTPPort (any method and path), TCP and UDP on
// EchoPort. Each request, line or datagram is answered with one line SOURCE_ADDRESS:SOURCE_PORT, IPv6 addresses in
// brackets.
//
// Each is also appended to the file logPath, at most 50 ms later, as one line of four fields separated by a space:
// the time in nanoseconds since 1970; http, tcp or udp; the source as in the answer; and the first 32 bytes of the
// payload (of HTTP, METHOD and path) as a quoted Go string, the only field that may contain spaces.
//
// The error is nil when ctx ended the run.
func Serve(ctx context.Context, addrs []netip.Addr, logPath string) error {
	s, err := listen(addrs, ports{http: HTTPPort, tcp: EchoPort, udp: EchoPort}, logPath)
	if err != nil {
		return err
	}
	return s.run(ctx)
}

// listen opens the log and all sockets, or none.
func listen(addrs []netip.Addr, p ports, logPath string) (*server, error) {
	log, err := openRequestLog(logPath)
	if err != nil {
		return nil, err
	}
	s := &server{log: log}
	for _, addr := range addrs {
		if err := s.listenOn(addr, p); err != nil {
			return nil, errors.Join(err, s.close(), log.close())
		}
	}
	return s, nil
}

// listenOn opens the three sockets of one address.
func (s *server) listenOn(addr netip.Addr, p ports) error {
	l, err := net.Listen("tcp", netip.AddrPortFrom(addr, p.http).String())
	if err != nil {
		return fmt.Errorf("outside host: http: %w", err)
	}
	s.http = append(s.http, l)
	if l, err = net.Listen("tcp", netip.AddrPortFrom(addr, p.tcp).String()); err != nil {
		return fmt.Errorf("outside host: tcp: %w", err)
	}
	s.tcp = append(s.tcp, l)
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, p.udp)))
	if err != nil {
		return fmt.Errorf("outside host: udp: %w", err)
	}
	s.udp = append(s.udp, conn)
	return growReceiveBuffer(conn)
}

// close closes all sockets; those that are closed already do not count as errors.
func (s *server) close() error {
	var errs []error
	for _, l := range s.http {
		errs = append(errs, l.Close())
	}
	for _, l := range s.tcp {
		errs = append(errs, l.Close())
	}
	for _, c := range s.udp {
		errs = append(errs, c.Close())
	}
	for i, err := range errs {
		if errors.Is(err, net.ErrClosed) {
			errs[i] = nil
		}
	}
	return errors.Join(errs...)
}

// run serves until ctx ends or a socket fails, and writes the rest of the log.
func (s *server) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	web := &http.Server{Handler: http.HandlerFunc(s.serveHTTP), ReadHeaderTimeout: time.Minute}
	for _, l := range s.http {
		group.Go(func() error { return ended(web.Serve(l)) })
	}
	for _, l := range s.tcp {
		group.Go(func() error { return ended(s.acceptTCP(ctx, group, l)) })
	}
	for _, c := range s.udp {
		group.Go(func() error { return ended(s.serveUDP(c)) })
	}
	group.Go(func() error { return s.log.flushEvery(ctx, flushInterval) })
	group.Go(func() error {
		<-ctx.Done()
		return errors.Join(web.Close(), s.close())
	})
	return errors.Join(group.Wait(), s.log.close())
}

// ended turns the errors of a socket that run closed on purpose into nil.
func ended(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// serveHTTP answers one HTTP request.
func (s *server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	source, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	source = unmapped(source)
	s.log.add("http", source, []byte(r.Method+" "+r.URL.Path))
	w.Header().Set("Content-Type", "text/plain")
	if _, err := fmt.Fprintln(w, source); err != nil {
		slog.Warn("http answer not sent", "source", source, "error", err)
	}
}

// acceptTCP accepts connections until the listener is closed; each is served in a goroutine of its own.
func (s *server) acceptTCP(ctx context.Context, group *errgroup.Group, l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		group.Go(func() error {
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			// A client that goes away in the middle is its own affair, and ends nothing but its connection.
			if err := s.serveTCP(conn); err != nil && ctx.Err() == nil {
				slog.Warn("tcp connection ended", "source", conn.RemoteAddr(), "error", err)
			}
			return nil
		})
	}
}

// serveTCP answers each line of one connection with a line, until the client closes it.
func (s *server) serveTCP(conn net.Conn) error {
	defer func() { _ = conn.Close() }() // all that matters has been written, or has failed with an error
	source := unmapped(conn.RemoteAddr().(*net.TCPAddr).AddrPort())
	answer := []byte(source.String() + "\n")
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		s.log.add("tcp", source, lines.Bytes())
		if _, err := conn.Write(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

// serveUDP answers each datagram with one. It is one goroutine without allocations a datagram, because tests send
// thousands a second and count what is lost.
func (s *server) serveUDP(conn *net.UDPConn) error {
	buf := make([]byte, 64*1024)
	answer := make([]byte, 0, 64)
	for {
		n, source, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return err
		}
		source = unmapped(source)
		s.log.add("udp", source, buf[:n])
		answer = append(source.AppendTo(answer[:0]), '\n')
		if _, err := conn.WriteToUDPAddrPort(answer, source); err != nil && !errors.Is(err, net.ErrClosed) {
			// No route back, for example: the client sees a lost datagram, the others are served on.
			slog.Warn("udp answer not sent", "source", source, "error", err)
		}
	}
}

// unmapped writes an IPv4 source that came in as an IPv4-mapped IPv6 address as IPv4.
func unmapped(source netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(source.Addr().Unmap(), source.Port())
}
