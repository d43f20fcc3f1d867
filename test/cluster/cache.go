package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// cached returns a directory below the user's cache, made by fill if it does not exist yet. fill gets a temporary
// directory, which becomes the final one by renaming, so that a directory that exists is complete; final is what
// it will be called. Of several callers, one fills and the others wait.
func cached(ctx context.Context, elem []string, fill func(temporary, final string) error) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("where to cache: %w", err)
	}
	final := filepath.Join(append([]string{base, "ovn-egress"}, elem...)...)
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return "", err
	}
	lock := final + ".lock"
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		return "", err
	}
	unlock, err := lockFile(ctx, lock)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	temporary := final + ".new"
	if err := os.RemoveAll(temporary); err != nil {
		return "", err
	}
	if err := os.Mkdir(temporary, 0o755); err != nil {
		return "", err
	}
	if err := fill(temporary, final); err != nil {
		return "", errors.Join(err, os.RemoveAll(temporary))
	}
	if err := os.Rename(temporary, final); err != nil {
		return "", err
	}
	return final, nil
}

// lockFile waits for the exclusive lock of a file or directory; the kernel frees the lock if its holder dies.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			file.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			file.Close()
			return nil, fmt.Errorf("wait for %s, which another netcluster holds: %w", path, ctx.Err())
		}
	}
}

// needSpace fails if the file system of a directory has less than the given bytes free for root.
func needSpace(directory string, bytes uint64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(directory, &fs); err != nil {
		return fmt.Errorf("free space of %s: %w", directory, err)
	}
	if free := fs.Bfree * uint64(fs.Bsize); free < bytes {
		return fmt.Errorf("%s has %d MB free, %d MB are needed", directory, free>>20, bytes>>20)
	}
	return nil
}
