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
	"syscall"
	"time"
)

// flow is the summary that udp prints.
type flow struct {
	Sent    int                `json:"sent"`
	Answers map[netip.Addr]int `json:"answers"` // by the source that the server saw
	Silence time.Duration      `json:"silence"` // longest time between two answers, in nanoseconds
}

// grace is how long answers are awaited after the last datagram.
const grace = 300 * time.Millisecond

// udp sends datagrams from one port for a while. Each begins with the token, by which the server's log tells them
// from others.
func udp(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("udp", flag.ContinueOnError)
	rate := set.Int("rate", 500, "datagrams a second")
	duration := set.Duration("duration", time.Second, "how long to send")
	rest, err := operands(set, args, "TOKEN", "ADDRESS:PORT")
	if err != nil {
		return err
	}
	conn, err := net.Dial("udp", rest[1])
	if err != nil {
		return err
	}
	defer conn.Close()
	answers := make(chan answered, 1)
	go func() { answers <- collect(conn) }()

	ctx, cancel := context.WithTimeout(ctx, *duration)
	defer cancel()
	sent, err := send(ctx, conn, rest[0], time.Second/time.Duration(*rate))
	if err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(grace)); err != nil {
		return err
	}
	got := <-answers
	if got.err != nil {
		return got.err
	}
	return json.NewEncoder(os.Stdout).Encode(flow{Sent: sent, Answers: got.sources, Silence: got.silence})
}

// send sends numbered datagrams until ctx ends and returns how many. A refusal by ICMP counts as a lost datagram.
func send(ctx context.Context, conn net.Conn, token string, interval time.Duration) (int, error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for sent := 0; ; {
		select {
		case <-ctx.Done():
			return sent, nil
		case <-tick.C:
		}
		sent++
		if _, err := fmt.Fprintf(conn, "%s %d\n", token, sent); err != nil && !isRefusal(err) {
			return sent, err
		}
	}
}

type answered struct {
	sources map[netip.Addr]int
	silence time.Duration
	err     error
}

// collect reads answers until the read deadline.
func collect(conn net.Conn) answered {
	result := answered{sources: map[netip.Addr]int{}}
	buffer := make([]byte, 256)
	for last := time.Now(); ; {
		n, err := conn.Read(buffer)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return result
		case err != nil && isRefusal(err):
			continue
		case err != nil:
			result.err = err
			return result
		}
		source, err := sourceIn(string(buffer[:n]))
		if err != nil {
			result.err = err
			return result
		}
		result.sources[source]++
		result.silence = max(result.silence, time.Since(last))
		last = time.Now()
	}
}

// isRefusal says whether an operation on a UDP socket reports that an earlier datagram was answered by ICMP.
func isRefusal(err error) bool {
	for _, e := range []error{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
