package standin

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolValue is struct ethtool_value of linux/ethtool.h.
type ethtoolValue struct {
	command uint32
	data    uint32
}

// ifreqPointer is struct ifreq of linux/if.h with its union's pointer member in use.
type ifreqPointer struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte // the union has larger members
}

// disableOffloads makes a link of the calling thread's network namespace write complete checksums and packets of
// its MTU at most: the userspace datapath forwards unfinished checksums as if they were finished.
func disableOffloads(link string) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("offloads of %s: %w", link, err)
	}
	defer unix.Close(socket) //nolint:errcheck // nothing was written to it
	for _, command := range []uint32{
		unix.ETHTOOL_STXCSUM, unix.ETHTOOL_SRXCSUM, unix.ETHTOOL_STSO, unix.ETHTOOL_SGSO, unix.ETHTOOL_SGRO,
	} {
		value := ethtoolValue{command: command}
		request := ifreqPointer{data: unsafe.Pointer(&value)}
		copy(request.name[:unix.IFNAMSIZ-1], link)
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(socket), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
		// What a device cannot switch it has fixed, and veth devices have fixed only what is harmless.
		if errno != 0 && !errors.Is(errno, unix.EOPNOTSUPP) {
			return fmt.Errorf("offloads of %s: ethtool command %#x: %w", link, command, errno)
		}
	}
	return nil
}
