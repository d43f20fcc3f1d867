package outside

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// flushInterval is how long a line may wait before it can be read in the file.
	flushInterval = 50 * time.Millisecond
	// payloadShown is how many bytes of a request's payload a line of the log quotes.
	payloadShown = 32
	// receiveBuffer, in bytes, holds a second of the fastest test traffic, should this process be paused that long.
	receiveBuffer = 8 << 20
)

// requestLog is a buffered log of requests. Its methods may be called concurrently.
type requestLog struct {
	file *os.File

	mu   sync.Mutex
	buf  *bufio.Writer // keeps its first error and returns it from each later Flush
	line []byte
}

// openRequestLog opens the log for appending.
func openRequestLog(path string) (*requestLog, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("outside host: log: %w", err)
	}
	return &requestLog{file: f, buf: bufio.NewWriterSize(f, 1<<20)}, nil
}

// add records one request that arrived just now. A write error surfaces at the next flush.
func (l *requestLog) add(protocol string, source netip.AddrPort, payload []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := strconv.AppendInt(l.line[:0], time.Now().UnixNano(), 10)
	line = append(line, ' ')
	line = append(line, protocol...)
	line = append(line, ' ')
	line = source.AppendTo(line)
	line = append(line, ' ')
	line = strconv.AppendQuoteToASCII(line, string(payload[:min(len(payload), payloadShown)]))
	line = append(line, '\n')
	_, _ = l.buf.Write(line)
	l.line = line // its memory serves the next request
}

// flush makes everything added so far readable in the file.
func (l *requestLog) flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.buf.Flush(); err != nil {
		return fmt.Errorf("outside host: log: %w", err)
	}
	return nil
}

// flushEvery flushes in intervals until ctx ends.
func (l *requestLog) flushEvery(ctx context.Context, interval time.Duration) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := l.flush(); err != nil {
				return err
			}
		}
	}
}

// close flushes what is left and closes the file.
func (l *requestLog) close() error {
	return errors.Join(l.flush(), l.file.Close())
}

// growReceiveBuffer asks for receiveBuffer: beyond the machine's limit where we may (root), up to it otherwise.
func growReceiveBuffer(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("outside host: udp: %w", err)
	}
	var forced error
	if err := raw.Control(func(fd uintptr) {
		forced = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
	}); err != nil {
		return fmt.Errorf("outside host: udp: %w", err)
	}
	if forced == nil {
		return nil
	}
	if err := conn.SetReadBuffer(receiveBuffer); err != nil {
		return fmt.Errorf("outside host: udp: receive buffer: %w", err)
	}
	return nil
}
