package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func TestCachedFillsOnceForSeveralCallers(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var fills atomic.Int32
	fill := func(temporary, _ string) error {
		fills.Add(1)
		return os.WriteFile(filepath.Join(temporary, "content"), nil, 0o600)
	}
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			dir, err := cached(t.Context(), []string{"a", "b"}, fill)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := os.Stat(filepath.Join(dir, "content")); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	if n := fills.Load(); n != 1 {
		t.Errorf("filled %d times", n)
	}
}

func TestCachedLeavesNothingOfAFailedFill(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	broken := errors.New("no network")
	var partial string
	_, err := cached(t.Context(), []string{"x"}, func(temporary, _ string) error {
		partial = temporary
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("got error %v, want %v", err, broken)
	}
	if _, err := os.Stat(partial); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there", partial)
	}
	if _, err := cached(t.Context(), []string{"x"}, func(string, string) error { return nil }); err != nil {
		t.Errorf("a second attempt: %v", err)
	}
}

func TestWaitingForALockEndsWithTheContext(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockFile(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lockFile(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
