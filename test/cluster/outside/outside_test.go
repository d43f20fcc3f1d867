package outside

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// start runs a server on loopback with ports of the kernel's choice; it ends with the test. The function that it
// returns ends it earlier and gives the lines of its log.
func start(t *testing.T, addrs ...netip.Addr) (*server, func() []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "requests.log")
	s, err := listen(addrs, ports{}, path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	stop := func() []string {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		done <- nil
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
	}
	t.Cleanup(func() { stop() })
	return s, stop
}

func TestEachProtocolAnswersWithTheSourceItSaw(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "::1"} {
		t.Run(addr, func(t *testing.T) {
			s, stop := start(t, netip.MustParseAddr(addr))
			var want []string

			source, answer := getHTTP(t, s.http[0].Addr().String())
			expectSame(t, "http", source, answer)
			want = append(want, fmt.Sprintf(`http %s "GET /any/path"`, source))

			for network, server := range map[string]string{
				"tcp": s.tcp[0].Addr().String(), "udp": s.udp[0].LocalAddr().String(),
			} {
				conn, err := net.Dial(network, server)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				// Twice: the connection stays open, and every line or datagram has an answer.
				for _, payload := range []string{"first", strings.Repeat("x", 40)} {
					expectSame(t, network, conn.LocalAddr().String(), ask(t, conn, payload+"\n"))
				}
				end := map[string]string{"tcp": "", "udp": `\n`}[network]
				want = append(want,
					fmt.Sprintf(`%s %s "first%s"`, network, conn.LocalAddr(), end),
					fmt.Sprintf(`%s %s "%s"`, network, conn.LocalAddr(), strings.Repeat("x", 32)))
			}

			expectLog(t, stop(), want)
		})
	}
}

func TestTheAnswerLeavesFromTheAddressThatWasAsked(t *testing.T) {
	s, _ := start(t, netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2"))
	for _, udp := range s.udp {
		// A connected socket receives only from the address that it sends to.
		conn, err := net.Dial("udp", udp.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		expectSame(t, "udp", conn.LocalAddr().String(), ask(t, conn, "x"))
	}
}

func TestAnAddressThatIsNotOursIsAnError(t *testing.T) {
	_, err := listen([]netip.Addr{netip.MustParseAddr("192.0.2.1")}, ports{}, filepath.Join(t.TempDir(), "log"))
	if err == nil || !strings.Contains(err.Error(), "192.0.2.1") {
		t.Errorf("listen on 192.0.2.1: got %v, want an error that names the address", err)
	}
}

func TestTheLogCanBeReadWhileServing(t *testing.T) {
	s, _ := start(t, netip.MustParseAddr("127.0.0.1"))
	source, _ := getHTTP(t, s.http[0].Addr().String())
	deadline := time.After(10 * time.Second)
	for ticker := time.NewTicker(flushInterval); ; {
		raw, err := os.ReadFile(s.log.file.Name())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), source) {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("request of %s not in the log: %q", source, raw)
		}
	}
}

// getHTTP returns the source address of one request and what the server said it was.
func getHTTP(t *testing.T, server string) (source, answer string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err == nil {
				source = conn.LocalAddr().String()
			}
			return conn, err
		},
	}}
	defer client.CloseIdleConnections()
	response, err := client.Get("http://" + server + "/any/path")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return source, string(body)
}

// ask sends payload and returns the line that comes back.
func ask(t *testing.T, conn net.Conn, payload string) string {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, payload); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func expectSame(t *testing.T, protocol, source, answer string) {
	t.Helper()
	if answer != source+"\n" {
		t.Errorf("%s: answer %q, want %q", protocol, answer, source+"\n")
	}
}

// expectLog checks that the log has exactly the wanted lines, in any order, each after a time in nanoseconds.
func expectLog(t *testing.T, lines, want []string) {
	t.Helper()
	left := map[string]bool{}
	for _, w := range want {
		left[w] = true
	}
	stamped := regexp.MustCompile(`^(\d{19}) (.*)$`)
	for _, line := range lines {
		m := stamped.FindStringSubmatch(line)
		if m == nil || !left[m[2]] {
			t.Errorf("unexpected line %q", line)
			continue
		}
		delete(left, m[2])
	}
	for line := range left {
		t.Errorf("no line %q in %q", line, lines)
	}
}
